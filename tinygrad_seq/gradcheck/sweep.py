"""One derivative at every step size: its error beside the noise floor, and the Taylor remainder.

Two curves tell a right derivative from a wrong one without any tolerance.

* The error |(f(x + hd) − f(x − hd))/2h − a| of a right a falls like h² and then rises like 1/h,
  along the noise floor that rounding makes. Of a wrong a it stays where it is.
* The remainder |f(x + hd) − f(x) − h·a| of a right a falls like h², of a wrong one like h: its
  slope on logarithmic axes is 2 or 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygrad_seq.errors import ArgumentError, expect
from tinygrad_seq.gradcheck.numerical import Line

# Steps as shares of the input's size: two in every decade.
SHARES = tuple(10.0 ** (-k / 2) for k in range(2, 25))
# A remainder counts where it is this many times what rounding makes of it.
_ABOVE = 10.0
# The slope is taken over the finest decades that stand above rounding: curvature is least there.
_DECADES = 2.0


@dataclass(frozen=True, eq=False)
class Sweep:
    """Arrays of equal length, from the coarsest step to the finest."""

    where: str
    analytic: float
    #: h
    steps: np.ndarray
    #: (f(h) − f(−h)) / 2h
    slopes: np.ndarray
    #: what rounding alone may make of each slope
    floors: np.ndarray
    #: |f(±h) − f(0) ∓ h·a|, the larger of the two sides
    remainders: np.ndarray

    @property
    def errors(self) -> np.ndarray:
        """|slope − analytic| at each step."""
        return np.abs(self.slopes - self.analytic)

    @property
    def order(self) -> float:
        """How fast the remainder falls: ≈ 2 if the derivative is right, ≈ 1 if it is wrong.

        NaN where the remainder is rounding at (nearly) all steps: a right derivative of a function
        that is straight here.
        """
        h, r = self.steps, self.remainders
        with np.errstate(invalid="ignore"):
            used = np.isfinite(r) & (r > _ABOVE * self.floors * h)
        if used.sum() < 2:
            return math.nan
        used &= h <= h[used].min() * 10**_DECADES * 1.001
        if used.sum() < 2:
            return math.nan
        return float(np.polyfit(np.log10(h[used]), np.log10(r[used]), 1)[0])

    def verdict(self) -> str:
        """What the remainder says, in words."""
        if math.isnan(self.order):
            return "no more than rounding (straight here, and the derivative fits)"
        return f"falls as h^{self.order:.2f}  (2: right, 1: wrong)"

    def table(self, columns: int = 6) -> list[str]:
        """Rows of text, ``columns`` steps from the whole range."""
        chosen = np.unique(np.linspace(0, len(self.steps) - 1, columns).round().astype(int))
        rows = {"step": self.steps, "error": self.errors, "rounding": self.floors}
        return [
            f"{name:<10}" + "".join(f"{_short(v):>10}" for v in values[chosen])
            for name, values in rows.items()
        ]

    def __str__(self) -> str:
        head = [self.where, f"  remainder {self.verdict()}"]
        columns = {"step": self.steps, "error": self.errors, "rounding": self.floors,
                   "remainder": self.remainders}  # fmt: skip
        rows = ["  " + "".join(f"{name:>12}" for name in columns)]
        for values in zip(*columns.values(), strict=True):
            rows.append("  " + "".join(f"{_short(v):>12}" for v in values))
        return "\n".join([*head, *rows])


def _short(value: float) -> str:
    return f"{value:.0e}" if value else "0"


@dataclass(frozen=True)
class Derivative:
    """One derivative: what the tape says, and the line whose slope it is.

    ``numeric`` and ``error`` belong to ``step``; ``sweep`` looks at all steps.
    """

    where: str
    analytic: float
    step: float
    line: Line = field(repr=False, compare=False)
    row: int = field(repr=False, compare=False)

    @property
    def numeric(self) -> float:
        """The central difference (f(h) − f(−h)) / 2h."""
        return float(self.sweep([self.step]).slopes[0])

    @property
    def error(self) -> float:
        """|analytic − numeric|."""
        return abs(self.analytic - self.numeric)

    def sweep(self, steps: Sequence[float] | None = None) -> Sweep:
        """Look at ``steps`` (default: from a tenth of the input's size down, two a decade)."""
        chosen = [s * self.line.reach for s in SHARES] if steps is None else list(steps)
        good = bool(chosen) and all(h > 0 for h in chosen)
        expect(good, "sweep", "steps above 0", chosen, ArgumentError)
        h = np.array(sorted(chosen, reverse=True))
        with np.errstate(all="ignore"):
            start = self.line.start[self.row]
            above, below = (np.array([self._value(s * k) for k in h]) for s in (1, -1))
            slopes = (above - below) / (2 * h)
            forth, back = above - start - h * self.analytic, below - start + h * self.analytic
            floors = self._floors(slopes, h)
        remainders = np.maximum(np.abs(forth), np.abs(back))
        return Sweep(self.where, self.analytic, h, slopes, floors, remainders)

    def _value(self, t: float) -> float:
        return float(self.line(t)[self.row])

    def _floors(self, slopes: np.ndarray, h: np.ndarray) -> np.ndarray:
        """What rounding does at each step, with the slope that is typical."""
        finite = np.abs(slopes[np.isfinite(slopes)])
        typical = np.full(self.line.size.shape, np.median(finite) if finite.size else 0.0)
        return np.array([self.line.noise(typical, step)[self.row] for step in h])

    def __str__(self) -> str:
        numeric = self.numeric
        return "\n".join([
            f"{self.where}, step {self.step:.3g}",
            f"  analytic   {self.analytic: .12g}",
            f"  numeric    {numeric: .12g}",
            f"  error      {abs(self.analytic - numeric):.2e}",
        ])  # fmt: skip


@dataclass(frozen=True, eq=False)
class Histogram:
    """How many derivatives are off by how much, a decade a bar."""

    #: lower ends, as powers of ten; the first bar holds all that is smaller
    exponents: np.ndarray
    counts: np.ndarray
    #: how many agree to the last bit
    exact: int
    #: how many are not finite
    lost: int
    unit: str

    def __str__(self) -> str:
        rows: list[tuple[str, int]] = [("exact", self.exact)]
        rows += [(f"1e{k:+03d}", int(n)) for k, n in zip(self.exponents, self.counts, strict=True)]
        rows += [("NaN, inf", self.lost)] if self.lost else []
        most = max(1, *(n for _, n in rows))
        bars = [f"  {name:>8}  {'█' * math.ceil(50 * n / most):<50}  {n}" for name, n in rows]
        return "\n".join([f"errors {self.unit}, a decade a bar (from … up)", *bars])


def histogram(errors: Any, unit: str) -> Histogram:
    """Count ``errors`` (not negative) by decades; those of the empty ends are left out."""
    flat = np.abs(np.asarray(errors, dtype=np.float64)).ravel()
    finite = flat[np.isfinite(flat)]
    some = finite[finite > 0]
    decades = np.floor(np.log10(some)).astype(int)
    low, high = (int(decades.min()), int(decades.max())) if some.size else (0, -1)
    exponents = np.arange(low, high + 1)
    counts = np.array([(decades == k).sum() for k in exponents], dtype=int)
    return Histogram(exponents, counts, int((finite == 0).sum()), flat.size - finite.size, unit)
