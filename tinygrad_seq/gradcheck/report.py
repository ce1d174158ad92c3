"""What a gradient check found, as data and as text of at most 80 columns."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from tinygrad_seq.errors import ArgumentError, GradcheckError, expect
from tinygrad_seq.gradcheck.sweep import Derivative, Histogram, Sweep, histogram
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
class Comparison:
    """Every derivative of one output by one input: a row for each element of the output, a column
    for each of the input; in fast mode one row, and a column for each direction."""

    output: str
    input: str
    analytic: np.ndarray
    numeric: np.ndarray
    tolerance: np.ndarray


@dataclass(frozen=True)
class Report:
    """The outcome of a gradient check. True if it passed; ``print`` shows all one needs.

    ``entries`` hold the worst derivative of each output by each input, ``comparisons`` all of them
    as arrays. ``sweep`` looks at one of them at every step size, ``histogram`` counts the errors of
    all, ``explain`` puts both below the report, and ``reproduction`` is the Python call that gives
    one derivative again. They run the function once more, as it was when it was checked.
    """

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
    comparisons: tuple[Comparison, ...] = field(default=(), compare=False, repr=False)
    #: how the call that reproduces a derivative begins and ends
    call: tuple[str, str] = field(
        default=("tg.gradcheck.derivative(fn, inputs", ")"), compare=False, repr=False
    )
    #: (number of an entry, entry) → its derivative, to be looked at more closely
    source: Callable[[int, Entry], Derivative] | None = field(
        default=None, compare=False, repr=False
    )
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

    def demanded(self) -> Report:
        """This report if it passed. Otherwise raise GradcheckError with it."""
        if not self:
            raise GradcheckError(str(self), self)
        return self

    def derivative(self, entry: Entry | None = None) -> Derivative:
        """The derivative that ``entry`` shows (default: the worst), to be evaluated at any step.

        Raises ArgumentError if there is none: nothing was compared.
        """
        chosen = self.worst if entry is None else entry
        numbers = [i for i, e in enumerate(self.entries) if e is chosen and e.checked]
        expect(numbers and self.source, "derivative", "an entry of the report with a derivative",
               chosen, ArgumentError)  # fmt: skip
        assert self.source is not None
        assert chosen is not None
        return self.source(numbers[0], chosen)

    def sweep(self, entry: Entry | None = None) -> Sweep:
        """Error against step size, and the Taylor remainder; see ``derivative``."""
        return self.derivative(entry).sweep()

    def histogram(self, unit: str = "relative") -> Histogram:
        """The errors of all derivatives, by decades.

        ``unit``: "relative" to the largest derivative of the same output by the same input, in
        "tolerance"s, or in "ULP", units of the numeric value's last place (of the dtype that was
        checked).
        """
        expect(unit in _UNITS, "histogram", f"one of {', '.join(_UNITS)}", unit, ArgumentError)
        with np.errstate(all="ignore"):
            parts = [np.ravel(_errors(c, unit, self.dtype)) for c in self.comparisons]
        return histogram(np.concatenate([np.zeros(0), *parts]), _UNITS[unit])

    def reproduction(self, entry: Entry | None = None) -> str:
        """A line of Python that gives the derivative of ``entry`` (default: the worst) again, where
        the function and its inputs have these names."""
        e = self.worst if entry is None else entry
        expect(e is not None, "reproduction", "a report with entries", "none", ArgumentError)
        assert e is not None
        start, end = self.call
        i = next((i for i, other in enumerate(self.entries) if other is e), 0)
        outputs = len(dict.fromkeys(other.output for other in self.entries)) or 1
        options = "" if not self.seed and e.direction is None else f", seed={self.seed}"
        options += "" if e.direction is None else f", direction={e.direction}"
        options += f", step={e.step:.3g}"
        k, o = divmod(i, outputs)
        names = [n if len(n) < 50 else str(i) for n, i in ((e.output, o), (e.input, k))]
        indices = [_compact(e.at_output), _compact(e.at_input)]
        places = (f'"{n}{index}"' for n, index in zip(names, indices, strict=True))
        return f"{start}, {', '.join(places)}{options}{end}"

    def explain(self) -> str:
        """The report with the worst derivative at every step, and a histogram of all errors."""
        parts = [str(self)]
        worst = self.worst
        if worst is not None and worst.checked and self.source is not None:
            parts += [str(self.sweep()), str(self.histogram())]
            if worst.verdict == "pass":
                parts.append("\n".join(self._call(worst, "")))
        return "\n\n".join(parts)

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
        if e.verdict != "pass" and e.checked and self.source is not None:
            sweep = self.sweep(e)
            lines += [f"    remainder  {sweep.verdict()}", *(f"    {r}" for r in sweep.table())]
        along = "" if e.direction is None else f", direction {e.direction}"
        lines.append(f"    reproduce  seed {self.seed}{along}, step {e.step:.3g}, eps {self.eps:g}")
        if e.verdict != "pass":
            lines += self._call(e, "    ")
        return lines

    def _call(self, e: Entry, indent: str) -> list[str]:
        """The line that reproduces ``e``, broken where Python allows it."""
        return textwrap.wrap(self.reproduction(e), self._width, initial_indent=indent,
                             subsequent_indent=indent + "  ", break_on_hyphens=False)  # fmt: skip

    def _wrap(self, text: str, indent: str = "") -> list[str]:
        return textwrap.wrap(text, self._width, initial_indent=indent,
                             subsequent_indent=indent + "  ")  # fmt: skip


def _compact(index: Index | None) -> str:
    return f"[{','.join(map(str, index))}]" if index else ""


_UNITS = {
    "relative": "as shares of the largest derivative",
    "tolerance": "in tolerances",
    "ULP": "in units in the last place",
}


def _errors(c: Comparison, unit: str, dtype: str) -> np.ndarray:
    """The errors of one block in ``unit``."""
    off = np.where(c.analytic == c.numeric, 0.0, np.abs(c.analytic - c.numeric))
    if unit == "tolerance":
        return np.asarray(np.where(off == 0, 0.0, off / c.tolerance))
    if unit == "ULP":
        last = np.spacing(np.abs(c.numeric).astype(dtype)).astype(np.float64)
        return np.asarray(off / last)
    largest = np.abs(c.numeric[np.isfinite(c.numeric)]).max(initial=0.0)
    return np.asarray(off / largest if largest else off)


def _size_of_error(entry: Entry) -> float:
    if entry.verdict != "pass":
        return math.inf if math.isnan(entry.relative) else entry.relative
    if entry.absolute <= entry.floor:
        return 0.0
    return entry.absolute / max(abs(entry.numeric), entry.largest)
