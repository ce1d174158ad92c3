"""What ``parity`` found, as data and as text of at most 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

#: upper edges of the histogram's classes, in ULP; the last class is open
EDGES = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 64.0, 1024.0)
_LABELS = ("0", "≤½", "≤1", "≤2", "≤4", "≤8", "≤16", "≤64", "≤1024", "more")


def ulps(a: np.ndarray, b: np.ndarray, size: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """|a − b| in units of the last place that numbers of magnitude ``size`` have in ``dtype``.

    What is equal, infinite or NaN alike, is 0; what is not finite on one side only, infinite.
    """
    info = np.finfo(dtype)
    clipped = np.clip(size, float(info.smallest_normal), float(info.max) / 2).astype(dtype)
    unit = np.spacing(clipped).astype(np.float64)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(all="ignore"):
        off = np.abs(a - b) / unit
    return np.where(same, 0.0, np.where(np.isnan(off), np.inf, off))


@dataclass(frozen=True)
class Compared:
    """One output, or the gradient by one variable, on both devices. Errors are in ULP."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    #: of the first and of the second device, against the float64 reference
    errors: tuple[np.ndarray, np.ndarray]
    #: between the two devices
    apart: np.ndarray
    bound: float
    #: where they are furthest apart, and what stands there: both devices, the reference
    index: tuple[int, ...]
    values: tuple[float, float, float]

    @classmethod
    def of(
        cls, name: str, dtype: np.dtype[Any], first: np.ndarray, second: np.ndarray,
        truth: np.ndarray, floor: float, bound: float,
    ) -> Compared:  # fmt: skip
        """Compare three runs; ``floor`` is the least magnitude whose digits count."""
        if not first.shape == second.shape == truth.shape:
            shapes = f"{first.shape}, {second.shape}, {truth.shape}"
            raise ValueError(f"parity: {name} has shape {shapes} in the three runs")
        size = np.nan_to_num(np.abs(truth), nan=0.0)
        finite = size[np.isfinite(size)]
        middle = float(np.median(finite)) if finite.size else 0.0
        size = np.maximum(size, max(middle, floor))
        errors = ulps(first, truth, size, dtype), ulps(second, truth, size, dtype)
        apart = ulps(first, second, size, dtype)
        own = errors[0][np.isfinite(errors[0])].max(initial=0.0)
        at = int(np.argmax(apart)) if apart.size else 0
        there = [float(x.ravel()[at]) if x.size else 0.0 for x in (first, second, truth)]
        index = tuple(int(i) for i in np.unravel_index(at, apart.shape)) if apart.size else ()
        return cls(name, first.shape, str(dtype), errors, apart, bound + 4 * float(own), index,
                   (there[0], there[1], there[2]))  # fmt: skip

    @property
    def furthest(self) -> float:
        """How far apart the two devices are at most."""
        return float(self.apart.max(initial=0.0))

    @property
    def worst(self) -> tuple[float, float]:
        """The largest error of each device."""
        return float(self.errors[0].max(initial=0.0)), float(self.errors[1].max(initial=0.0))

    def __bool__(self) -> bool:
        return self.furthest <= self.bound


@dataclass(frozen=True)
class ParityReport:
    """What two devices made of the same computation. True if they agree."""

    entries: tuple[Compared, ...]
    devices: tuple[str, str]
    dtype: str
    seed: int
    what: str = "parity"

    def __bool__(self) -> bool:
        return all(self.entries)

    @property
    def verdict(self) -> str:
        """``pass`` or ``apart``."""
        return "pass" if self else "apart"

    @property
    def worst(self) -> Compared:
        """The entry that exceeds its bound most, or comes nearest to it."""
        return max(self.entries, key=lambda e: e.furthest / e.bound if e.bound else e.furthest)

    @property
    def apart(self) -> float:
        """How far apart the devices are at most, in ULP."""
        return max(e.furthest for e in self.entries)

    @property
    def errors(self) -> tuple[float, float]:
        """The largest error of each device, in ULP."""
        return max(e.worst[0] for e in self.entries), max(e.worst[1] for e in self.entries)

    @property
    def histogram(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """For each device how many elements have an error of 0, ≤ ½, ≤ 1 … ULP (see ``EDGES``)."""
        return self._counts(0), self._counts(1)

    def _counts(self, device: int) -> tuple[int, ...]:
        errors = np.concatenate([e.errors[device].ravel() for e in self.entries])
        classes = np.searchsorted(EDGES, errors, side="left")
        return tuple(np.bincount(classes, minlength=len(EDGES) + 1).tolist())

    def __str__(self) -> str:
        first, second = self.devices
        head = (f"{self.what}: {self.verdict} ({first} and {second} in {self.dtype}, "
                f"seed {self.seed}, against float64 on the cpu)")  # fmt: skip
        lines = textwrap.wrap(head, 80, subsequent_indent="  ")
        wide = min(30, max(len(e.name) for e in self.entries))
        lines.append(f"  {'largest error in ULP':<{max(wide, 20)}} {first:>9.9} {second:>9.9} "
                     f"{'apart':>9} {'allowed':>9} {'equal':>7}")  # fmt: skip
        lines += [self._line(e, max(wide, 20)) for e in self.entries]
        lines += histogram_lines(self.devices, self.histogram)
        if not self:
            a, b, truth = self.worst.values
            where = f"{self.worst.name} at {list(self.worst.index)}"
            lines += textwrap.wrap(f"worst: {where}", 78, initial_indent="  ")
            pairs = ((first, a), (second, b), ("float64", truth))
            lines += [f"    {name:<9.9} {value: .12g}" for name, value in pairs]
        return "\n".join(lines)

    @staticmethod
    def _line(e: Compared, wide: int) -> str:
        name = e.name if len(e.name) <= wide else e.name[: wide - 1] + "…"
        equal = float((e.apart == 0).mean()) if e.apart.size else 1.0
        numbers = (*e.worst, e.furthest, e.bound)
        return f"  {name:<{wide}} " + " ".join(f"{x:>9.3g}" for x in numbers) + f" {equal:>7.1%}"


def histogram_lines(devices: Sequence[str], counts: Sequence[Sequence[int]]) -> list[str]:
    """For each device how many elements are in each class of error."""
    lines = ["  elements by error" + "".join(f"{label:>6}" for label in _LABELS)]
    for name, numbers in zip(devices, counts, strict=True):
        lines.append(f"    {name:<15.15}" + "".join(f"{_short(n):>6}" for n in numbers))
    return lines


def _short(count: int) -> str:
    for factor, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= 10 * factor or (count >= 10**5 and factor == 10**3):
            return f"{count // factor}{unit}"
    return str(count)
