"""From numbers to a verdict: one analytic slope against everything finite differences say.

* ``pass``: they agree within the tolerance, and the differences are good enough to say so.
* ``kink``: the slopes of the two sides differ however small the step, or the function jumps; there
  is no derivative, and the analytic value lies between the two sides' slopes.
* ``too noisy``: the differences cannot be trusted to the tolerance, and the analytic value lies
  within what they leave open.
* ``wrong``: everything else.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from tinygrad_seq.gradcheck.numerical import Stencil

#: from the one that matters most to the one that matters least
VERDICTS = ("nondeterministic", "wrong", "kink", "too noisy", "pass")


@dataclass(frozen=True)
class Finding:
    """What was found out about one derivative."""

    verdict: str
    numeric: float
    error: float
    step: float
    note: str = ""


def settled(analytic: float, stencil: Stencil, margin: float, rtol: float) -> bool:
    """Whether one stencil alone shows that the analytic slope is right."""
    tolerance = margin + rtol * abs(stencil.slope)
    return stencil.error <= tolerance and abs(analytic - stencil.slope) <= tolerance


def judge(analytic: float, stencils: Sequence[Stencil], margin: float, rtol: float) -> Finding:
    """The verdict on one derivative, from stencils at all step sizes.

    It may be off by ``margin`` and by the share ``rtol`` of the numeric value.
    """
    usable = sorted((s for s in stencils if math.isfinite(s.error)), key=lambda s: s.h)
    if not math.isfinite(analytic):
        best = min(stencils, key=lambda s: s.error)
        return Finding("wrong", best.slope, best.error, best.h, f"the gradient is {analytic}")
    if not usable:
        h = min(s.h for s in stencils)
        note = "the function is NaN or infinite on a side, however small the step"
        return Finding("wrong", math.nan, math.inf, h, note)
    best = min(usable, key=lambda s: s.error)
    tolerance = margin + rtol * abs(best.slope)
    off = abs(analytic - best.slope)
    kink = find_kink(usable, max(off, best.error))
    if kink is not None:
        return _at_kink(analytic, kink, tolerance)
    found = (best.slope, best.error, best.h)
    if off <= tolerance and best.error <= 10 * tolerance:
        return Finding("pass", *found)
    if off <= tolerance + best.error:
        return Finding("too noisy", *found, "differences are uncertain beyond the tolerance")
    for other in usable:
        apart, near = abs(other.slope - best.slope), abs(analytic - other.slope)
        if other.error < 0.1 * apart and near <= tolerance + other.error:
            note = "differences with other steps contradict each other"
            return Finding("too noisy", best.slope, apart, best.h, note)
    return Finding("wrong", *found)


@dataclass(frozen=True)
class Kink:
    """Where two slopes meet, or a function jumps: the same at two scales."""

    left: float
    right: float
    slack: float
    jump: float
    step: float


def find_kink(stencils: Sequence[Stencil], unexplained: float) -> Kink | None:
    """A kink or jump at the point itself, or None. ``stencils`` go from small to large steps.

    The finest scale that can resolve the ``unexplained`` difference decides: if the two sides
    agree there the function is smooth, whatever it does further away. If they do not, a kink
    shows the same two slopes at the next scale as well; curvature and noise do not.
    """
    for fine, coarse in pairwise(stencils):
        resolution = 5 * fine.rounding
        if resolution > 0.3 * unexplained:
            continue
        (left, right), (left2, right2) = fine.sides, coarse.sides
        gap, jump = abs(right - left), fine.jump
        small = max(resolution, 0.1 * unexplained)
        if gap <= small and jump / fine.h <= small:
            return None
        apart = max(abs(left - left2), abs(right - right2))
        straight = fine.bend <= 0.1 * max(jump, gap * fine.h)
        if not straight:
            continue
        if jump / fine.h > small and 0.8 * jump <= coarse.jump <= 1.25 * jump:
            return Kink(left, right, apart + resolution, jump, fine.h)
        if gap > small and apart <= 0.25 * gap:
            return Kink(left, right, apart + resolution, 0.0, fine.h)
    return None


def _at_kink(analytic: float, kink: Kink, tolerance: float) -> Finding:
    low, high = sorted((kink.left, kink.right))
    middle, slack = (low + high) / 2, tolerance + kink.slack
    inside = low - slack <= analytic <= high + slack
    sides = f"slope {kink.left:.6g} on the left, {kink.right:.6g} on the right"
    what = f"a jump of {kink.jump:.3g}; {sides}" if kink.jump else sides
    where = "" if inside else "; the gradient is outside"
    verdict = "kink" if inside else "wrong"
    return Finding(verdict, middle, (high - low) / 2, kink.step, what + where)
