"""From numbers to a verdict: one analytic slope against everything finite differences say.

* ``pass``: they agree within the tolerance, and the differences are good enough to say so.
* ``kink``: the slopes of the two sides differ however small the step, or the function jumps; there
  is no derivative, and the analytic value lies between the two sides' slopes.
* ``too noisy``: the differences cannot be trusted to the tolerance, and the analytic value lies
  within what they leave open; or the analytic value itself is mostly rounding error.
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
    #: whether the analytic value lies outside the slopes of a kink's two sides
    outside: bool = False


def settled(analytic: float, stencil: Stencil, margin: float, rtol: float) -> bool:
    """Whether one stencil alone shows that the analytic slope is right."""
    tolerance = margin + rtol * abs(stencil.slope)
    return stencil.error() <= tolerance and abs(analytic - stencil.slope) <= tolerance


@dataclass(frozen=True)
class Estimate:
    """A slope, what it may be off by, and the stencil it comes from."""

    slope: float
    error: float
    stencil: Stencil

    @property
    def clear(self) -> bool:
        """Whether it is sure to be a slope and not noise, a kink or a jump."""
        return self.error < 0.1 * abs(self.slope)


def estimates_of(stencils: Sequence[Stencil]) -> list[Estimate]:
    """An estimate from each stencil on which the function is finite, finest first.

    The noise in the values is the same at all steps, so a stencil is taken to be as noisy as the
    noisiest of those finer than it. (Coarser ones may meet a kink that it does not reach.)
    """
    found: list[Estimate] = []
    scatter = 0.0
    for stencil in sorted(stencils, key=lambda s: s.h):
        if math.isfinite(stencil.error()):
            scatter = max(scatter, stencil.scatter)
            found.append(Estimate(stencil.slope, stencil.error(scatter), stencil))
    if any(e.clear for e in found):
        # A function that moves, but not at all in small steps, moves in stairs (float32 inside).
        found = [e for e in found if not e.stencil.still]
    return found


def judge(
    analytic: float, stencils: Sequence[Stencil], margin: float, rtol: float, faint: float = 0.0
) -> Finding:
    """The verdict on one derivative, from stencils at all step sizes.

    It may be off by ``margin`` and by the share ``rtol`` of the numeric value. A derivative below
    ``faint`` can be lost in the rounding of intermediate values that the output does not show.
    """
    estimates = estimates_of(stencils)
    if not estimates or not math.isfinite(analytic):
        return _not_finite(analytic, stencils, estimates)
    best = min(estimates, key=lambda e: e.error)
    found = (best.slope, best.error, best.stencil.h)
    tolerance = margin + rtol * abs(best.slope)
    off = abs(analytic - best.slope)
    if off <= tolerance and best.error <= 10 * tolerance:
        return Finding("pass", *found)
    if analytic == 0 and estimates[0].stencil.still:
        return Finding("pass", 0.0, 0.0, best.stencil.h)
    if max(abs(analytic), abs(best.slope), best.error) <= faint:
        return Finding("too noisy", *found, "the derivative is lost in rounding")
    kink = find_kink(estimates, best, off)
    if kink is not None:
        return _at_kink(analytic, kink, tolerance)
    if off <= tolerance + best.error:
        return Finding("too noisy", *found, "differences are uncertain beyond the tolerance")
    for other in estimates:
        apart, near = abs(other.slope - best.slope), abs(analytic - other.slope)
        if other.error < 0.1 * apart and near <= tolerance + other.error:
            note = "differences with other steps contradict each other"
            return Finding("too noisy", best.slope, apart, best.stencil.h, note)
    if _in_stairs(analytic, estimates, best, tolerance):
        return Finding("too noisy", *found, "the function stands still, and then jumps: in stairs")
    return Finding("wrong", *found)


def _in_stairs(
    analytic: float, estimates: Sequence[Estimate], best: Estimate, tolerance: float
) -> bool:
    """Whether the slope may be hidden in rounding that happens inside the function.

    Where tanh is saturated, 1 − tanh² is a multiple of the machine epsilon: it stands still in
    small steps, though it has a slope. So what is seen in small steps does not count if coarser
    ones, in which the function moves, allow the slope, and if all that it would have made of the
    small ones is less than the least that is seen to change.
    """
    if not best.stencil.still:
        return False
    width = 6 * max(e.stencil.h for e in estimates if e.stencil.still)
    for e in estimates:
        if not e.stencil.still and e.stencil.h * 6 > width:
            allows = abs(analytic - e.slope) <= tolerance + e.error
            if allows and abs(analytic) * width <= e.stencil.least_change:
                return True
    return False


def _not_finite(
    analytic: float, stencils: Sequence[Stencil], estimates: Sequence[Estimate]
) -> Finding:
    if estimates:
        best = min(estimates, key=lambda e: e.error)
        note = f"the gradient is {analytic}"
        return Finding("wrong", best.slope, best.error, best.stencil.h, note)
    note = "the function is NaN or infinite on a side, however small the step"
    return Finding("wrong", math.nan, math.inf, min(s.h for s in stencils), note)


@dataclass(frozen=True)
class Kink:
    """Where two slopes meet, or a function jumps: the same at two scales."""

    left: float
    right: float
    slack: float
    jump: float
    step: float


def find_kink(estimates: Sequence[Estimate], best: Estimate, off: float) -> Kink | None:
    """A kink or jump at the point itself, or None.

    The finest scale that can resolve what is unexplained, the best estimate's error or how far
    ``off`` the analytic value is, decides: if the two sides agree there the function is smooth,
    whatever it does further away. If they do not, a kink shows the same two slopes at the next
    scale as well; curvature and noise do not. Where some step shows a clear slope, a jump is but
    one stair of many.
    """
    unexplained = max(off, best.error)
    clear = any(e.clear for e in estimates)
    for fine, coarse in pairwise([e.stencil for e in estimates]):
        resolution = 5 * fine.rounding
        if fine.h > best.stencil.h:
            return None
        if resolution > 0.3 * unexplained:
            continue
        (left, right), (left2, right2) = fine.sides, coarse.sides
        gap, jump = abs(right - left), max(map(abs, fine.jumps))
        small = max(resolution, 0.1 * unexplained)
        if gap <= small and jump / fine.h <= small:
            return None
        if fine.bend > 0.1 * max(jump, gap * fine.h):
            continue
        apart = max(abs(left - left2), abs(right - right2))
        moved = max(abs(a - b) for a, b in zip(fine.jumps, coarse.jumps, strict=True))
        if not clear and jump / fine.h > small and moved <= 0.1 * jump:
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
    return Finding(verdict, middle, (high - low) / 2, kink.step, what + where, not inside)
