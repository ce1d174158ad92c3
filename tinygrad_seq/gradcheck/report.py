"""What a gradient check found, as data and as text of at most 80 columns."""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass, field

import numpy as np

from tinygrad_seq.gradcheck.verdict import VERDICTS

Index = tuple[int, ...]


@dataclass(frozen=True)
class Entry:
    """The check of one output against one input, with the worst derivative found in it.

    In full mode ``analytic`` and ``numeric`` are ∂output[at_output]/∂input[at_input]; in fast mode
    they are uᵀJv with the random directions of the report's seed, and both indices are None.
    """

    output: str
    input: str
    verdict: str
    analytic: float
    numeric: float
    tolerance: float
    #: how far ``numeric`` itself may be off
    uncertainty: float
    #: the distance by which the input was moved
    step: float
    at_output: Index | None = None
    at_input: Index | None = None
    #: which of the random directions, in fast mode
    direction: int | None = None
    checked: int = 1
    differing: int = 0
    #: the largest |numeric| among the checked
    largest: float = 0.0
    #: an error of this size is rounding, however small the derivatives are
    floor: float = 0.0
    epsilon: float = 2.0**-52
    note: str = ""

    @property
    def absolute(self) -> float:
        """|analytic − numeric|."""
        return abs(self.analytic - self.numeric)

    @property
    def relative(self) -> float:
        """The absolute error as a share of the larger magnitude; 0 where both are 0."""
        largest = max(abs(self.analytic), abs(self.numeric))
        return self.absolute / largest if largest else 0.0

    @property
    def ulp(self) -> float:
        """The absolute error in units of the numeric value's last place."""
        if not (math.isfinite(self.absolute) and math.isfinite(self.numeric)):
            return math.inf
        kind = np.float64 if self.epsilon < 1e-10 else np.float32
        return self.absolute / float(np.spacing(kind(abs(self.numeric))))

    @property
    def weight(self) -> float:
        """The absolute error in units of the tolerance; orders entries of the same verdict."""
        weight = self.absolute / self.tolerance if self.tolerance else self.absolute
        return weight if math.isfinite(weight) else math.inf

    @property
    def where(self) -> str:
        """The derivative as one writes it: ``d out[1] / d weight[3, 1]``."""
        return f"d {_at(self.output, self.at_output)} / d {_at(self.input, self.at_input)}"


def _at(name: str, index: Index | None) -> str:
    return name + (str(list(index)) if index else "")


@dataclass(frozen=True)
class Report:
    """The outcome of a gradient check. True if it passed; ``print`` shows all one needs."""

    entries: tuple[Entry, ...]
    mode: str
    dtype: str
    seed: int
    eps: float
    atol: float
    rtol: float
    allow: tuple[str, ...] = ()
    #: faults that no single derivative shows
    faults: tuple[tuple[str, str], ...] = ()
    what: str = "gradcheck"
    _width: int = field(default=80, repr=False)

    @property
    def verdict(self) -> str:
        """The worst verdict of all entries and faults."""
        given = {e.verdict for e in self.entries} | {v for v, _ in self.faults}
        return next((v for v in VERDICTS if v in given), "pass")

    def __bool__(self) -> bool:
        given = {e.verdict for e in self.entries} | {v for v, _ in self.faults}
        return given <= {"pass", *self.allow}

    @property
    def worst(self) -> Entry | None:
        """The entry that says most: of the worst verdict, the one furthest off its tolerance."""
        if not self.entries:
            return None
        rank = {v: -i for i, v in enumerate(VERDICTS)}
        return max(self.entries, key=lambda e: (rank[e.verdict], e.weight))

    @property
    def error(self) -> float:
        """The largest error found, as a share of the derivative if it is wrong, and of the largest
        derivative of its output by its input if it passed (the small ones are full of noise)."""
        return max((_size_of_error(e) for e in self.entries), default=0.0)

    def __str__(self) -> str:
        total = sum(e.checked for e in self.entries)
        kind = "derivatives" if self.mode != "fast" else "random projections"
        head = f"{self.what}: {self.verdict} ({self.mode}, {self.dtype}, {total} {kind})"
        lines = [*self._wrap(head), *self._table()]
        for verdict, fault in self.faults:
            lines += self._wrap(f"{verdict}: {fault}", "  ")
        worst = self.worst
        if worst is not None and (worst.verdict != "pass" or not self.faults):
            lines += self._details(worst)
        return "\n".join(lines)

    def _table(self) -> list[str]:
        rows = [(f"d {e.output} / d {e.input}", e) for e in self.entries]
        wide = min(self._width - 36, max((len(name) for name, _ in rows), default=0))
        lines = []
        for name, e in rows:
            short = name if len(name) <= wide else name[: wide - 1] + "…"
            count = f"{e.differing} of {e.checked} differ" if e.differing else f"{e.checked} agree"
            lines.append(f"  {short:<{wide}}  {e.verdict:<9}  {count}"[: self._width])
        return lines

    def _details(self, e: Entry) -> list[str]:
        lines = self._wrap(f"worst: {e.where}", "  ")
        if e.note:
            lines += self._wrap(e.note, "    ")
        lines += [
            f"    analytic   {e.analytic: .12g}",
            f"    numeric    {e.numeric: .12g}  ± {e.uncertainty:.1e}",
            f"    error      absolute {e.absolute:.2e}, relative {e.relative:.2e}, {e.ulp:.3g} ULP",
            f"    tolerance  {e.tolerance:.2e}  (rtol {self.rtol:g}, atol {self.atol:g})",
        ]
        along = "" if e.direction is None else f", direction {e.direction}"
        return [*lines, f"    reproduce  seed {self.seed}{along}, step {e.step:.3g}, "
                f"eps {self.eps:g}"]  # fmt: skip

    def _wrap(self, text: str, indent: str = "") -> list[str]:
        return textwrap.wrap(text, self._width, initial_indent=indent,
                             subsequent_indent=indent + "  ")  # fmt: skip


def _size_of_error(entry: Entry) -> float:
    if entry.verdict != "pass":
        return math.inf if math.isnan(entry.relative) else entry.relative
    if entry.absolute <= entry.floor:
        return 0.0
    return entry.absolute / max(abs(entry.numeric), entry.largest)
