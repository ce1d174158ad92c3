"""One function that is checked many times, each time with another mistake in its derivative.

The function itself never changes, so each of its values is computed once and remembered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tinygrad_seq.gradcheck.corruptions import Corruption
from tinygrad_seq.gradcheck.examine import (
    Options,
    coarsest_dtype,
    look,
    tolerance_for,
    verdicts_of,
    views_of,
)
from tinygrad_seq.gradcheck.numerical import Line
from tinygrad_seq.gradcheck.sites import Site
from tinygrad_seq.gradcheck.subject import Subject
from tinygrad_seq.gradcheck.verdict import VERDICTS
from tinygrad_seq.gradcheck.views import View

# Gradients that differ by less than this many rounding errors of the largest are the same.
_SAME = 64.0


@dataclass(frozen=True)
class Mutant:
    """A derivative with one mistake, and what the check said about it.

    ``verdict`` is that of ``gradcheck``, or ``error`` where the mistake made a rule raise.
    """

    site: str
    corruption: str
    verdict: str
    #: how far off the mistake made the Jacobian, as a share of its largest element
    off: float
    detected: bool
    note: str = ""

    @property
    def equivalent(self) -> bool:
        """Whether the mistake changes nothing, so that nothing can detect it."""
        return not self.detected and self.off == 0

    @property
    def missed(self) -> bool:
        """Whether the check passed a wrong derivative."""
        return not (self.detected or self.equivalent)


class Examiner:
    """``examine`` a site with a corruption, as often as is wanted."""

    def __init__(
        self,
        subject: Subject,
        precision: Any = None,
        allow: tuple[str, ...] = (),
        fast: bool = False,
        seed: int = 0,
        directions: int = 2,
        **tolerances: Any,
    ):
        self.subject = subject
        self.allow = {"pass", *allow}
        with np.errstate(all="ignore"):
            self.centre = subject.first_run()
            tol = tolerance_for(coarsest_dtype(subject, precision), **tolerances)
            self.options = Options(tol, fast, False, seed, directions)
            self._right = views_of(subject, self.centre, self.options)
            self._lines = [_Remembered(view.line) for view in self._right]
            self.verdicts: set[str] = set()
            for k in range(len(self._right)):
                self.verdicts |= self._verdicts(k, self._right[k])

    @property
    def passes(self) -> bool:
        """Whether the derivative passes as it is."""
        return self.verdicts <= self.allow

    def examine(self, site: Site, corruption: Corruption) -> Mutant | None:
        """Corrupt and check → what came of it, or None where there is nothing to corrupt so."""
        made: list[bool] = []
        with np.errstate(all="ignore"), site.corrupt(self.subject, corruption.change, made):
            try:
                views = views_of(self.subject, self.centre, self.options)
            except Exception as error:  # a rule that raises is noticed by whoever calls it
                note = f"{type(error).__name__}: {error}"
                return Mutant(site.name, corruption.name, "error", np.inf, True, note)
            if not any(made):
                return None
            offs = [self._off(k, view) for k, view in enumerate(views)]
            verdicts: set[str] = set()
            for k in np.argsort(offs)[::-1]:
                if offs[k] and "wrong" not in verdicts:
                    verdicts |= self._verdicts(int(k), views[k])
        verdict = next((v for v in VERDICTS if v in verdicts), "pass")
        detected = not verdicts <= self.allow
        off = max(offs)
        note = "" if detected else self._reason(corruption, off)
        return Mutant(site.name, corruption.name, verdict, off, detected, note)

    def _verdicts(self, k: int, view: View) -> set[str]:
        return verdicts_of(look(replace(view, line=self._lines[k]), self.options))

    def _off(self, k: int, view: View) -> float:
        """By how much variable k's Jacobian has changed, as a share of its largest element (of the
        block where that is most)."""
        most, right = 0.0, self._right[k]
        for rows in right.rows:
            a, b = right.analytic[rows], view.analytic[rows]
            same = (a == b) | (np.isnan(a) & np.isnan(b))
            change = np.where(same, 0.0, np.nan_to_num(np.abs(a - b), nan=np.inf))
            largest = np.abs(a[np.isfinite(a)]).max(initial=0.0)
            apart = change.max(initial=0.0)
            if apart > _SAME * self.options.tol.epsilon * largest:
                most = max(most, float(apart / largest) if largest else np.inf)
        return most

    def _reason(self, corruption: Corruption, off: float) -> str:
        if not off:
            flat = not any(view.analytic.any() for view in self._right)
            return "the derivative is zero" if flat else corruption.harmless or "it is the same"
        tol = self.options.tol
        return f"off by {off:.1e} of the largest derivative; tolerance {tol.rtol + tol.atol:.1e}"


class _Remembered:
    """Lines that compute each value once."""

    def __init__(self, line: Callable[[int], Line]):
        self._line = line
        self._known: dict[int, Line] = {}

    def __call__(self, j: int) -> Line:
        if j not in self._known:
            line = self._line(j)
            values: dict[complex, np.ndarray] = {}

            def at(t: complex) -> np.ndarray:
                if t not in values:
                    values[t] = line.at(t)
                return values[t]

            self._known[j] = replace(line, at=at)
        return self._known[j]
