"""Finite differences along a line, at many step sizes, each with an estimate of its own error.

A ``Line`` is a function of one number t; its slope at t = 0 is wanted. The first look is one
central difference with a small step. Where that does not settle the matter, a ladder of stencils
(seven equally spaced points each, from steps a hundredth of the input's size down to where rounding
drowns everything) separates the causes: truncation falls with the step, rounding noise grows
with 1/step, and a kink stays.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

# Two differences of seven points, of even and of odd symmetry, that are noise and nothing else:
# on a smooth function they vanish like h⁶ and h⁵. Divided by their norm they are as large as the
# noise of one value.
_EVEN = np.array([1.0, -6.0, 15.0, -20.0, 15.0, -6.0, 1.0]) / math.sqrt(924.0)
_ODD = np.array([-1.0, 4.0, -5.0, 0.0, 5.0, -4.0, 1.0]) / math.sqrt(84.0)
# Rounding errors are taken to be this many units in the last place.
_ULPS = 4.0
# The noise of seven values is estimated from one number; this factor makes a bound of it. It also
# covers what a kink anywhere inside a stencil does to the slope.
_COVER = 6.0


@dataclass(frozen=True)
class Tolerance:
    """``rtol`` as a share of the derivative, ``atol`` as a share of the largest one in its block.

    Both are relative, so that the check means the same for an output in nanometres.
    """

    eps: float
    atol: float
    rtol: float
    epsilon: float


@dataclass(frozen=True)
class Line:
    """Values φ(t) along a line through the point checked, one row of numbers per t."""

    at: Callable[[complex], np.ndarray]
    #: φ(0)
    centre: np.ndarray
    #: the t that counts as 1: the magnitude of what is moved
    reach: float
    #: for each number the magnitude whose last digit is rounded away
    size: np.ndarray
    #: the machine epsilon of the dtype that is computed in
    epsilon: float

    def noise(self, slope: np.ndarray, h: float) -> np.ndarray:
        """What rounding of φ and of t itself can do to a difference quotient with step h."""
        # A slope beyond all reason must not excuse itself.
        moved = np.minimum(np.abs(np.nan_to_num(slope)) * self.reach, 1e3 * self.size)
        noise: np.ndarray = _ULPS * self.epsilon * (self.size + moved) / h
        return noise

    def __call__(self, t: complex) -> np.ndarray:
        """φ(t). An infinity that does not move (a masked score) counts as 0."""
        values = self.at(t)
        still = np.where(values == self.centre, 0.0, np.nan)
        return np.where(np.isinf(self.centre), still, values)

    @property
    def start(self) -> np.ndarray:
        """φ(0), seen the same way."""
        return np.where(np.isinf(self.centre), 0.0, self.centre)


def central(line: Line, h: float) -> tuple[np.ndarray, np.ndarray]:
    """(φ(h) − φ(−h)) / 2h, and the gap |φ(h) − 2φ(0) + φ(−h)| / h between the slopes of the two
    sides, which a kink leaves standing as h goes to 0."""
    above, below = line(h), line(-h)
    gap = np.abs((above - line.start) - (line.start - below)) / h
    return (above - below) / (2 * h), gap


@dataclass(frozen=True)
class Stencil:
    """φ at −3h, −2h … 3h for one element of a line's values."""

    h: float
    values: np.ndarray
    rounding: float

    @property
    def slope(self) -> float:
        """The central difference of sixth order."""
        _, _, _, _, p1, p2, p3 = self.values
        m3, m2, m1 = self.values[:3]
        return float(45 * (p1 - m1) - 9 * (p2 - m2) + (p3 - m3)) / (60 * self.h)

    @property
    def scatter(self) -> float:
        """The size of noise in φ. Kinks and jumps show there too."""
        return float(max(abs(_EVEN @ self.values), abs(_ODD @ self.values)))

    @property
    def still(self) -> bool:
        """Whether φ does not move at all."""
        return bool((self.values == self.values[0]).all())

    @property
    def least_change(self) -> float:
        """The least by which φ changes from one point to the next, where it does."""
        changes = np.abs(np.diff(self.values))
        return float(changes[changes > 0].min(initial=np.inf))

    def error(self, scatter: float | None = None) -> float:
        """What ``slope`` may be off by: from truncation, from noise or a kink inside, from
        rounding. Infinite where the function is not finite.

        ``scatter`` is a better estimate of the noise than this one stencil's, which may be small
        by luck.
        """
        m2, m1, p1, p2 = self.values[[1, 2, 4, 5]]
        fourth = float(8 * (p1 - m1) - (p2 - m2)) / (12 * self.h)
        noise = _COVER * (self.scatter if scatter is None else scatter) / self.h
        error = abs(self.slope - fourth) + noise + self.rounding
        return error if math.isfinite(error) else math.inf

    @property
    def sides(self) -> tuple[float, float]:
        """The slopes at 0 as seen from the left and from the right, without φ(0) itself."""
        m3, m2, m1, _, p1, p2, p3 = self.values
        left = float(5 * m1 - 8 * m2 + 3 * m3) / (2 * self.h)
        right = float(-5 * p1 + 8 * p2 - 3 * p3) / (2 * self.h)
        return left, right

    @property
    def jumps(self) -> tuple[float, float]:
        """How far from φ(0) the left and the right side arrive."""
        m3, m2, m1, middle, p1, p2, p3 = self.values
        left, right = 3 * m1 - 3 * m2 + m3, 3 * p1 - 3 * p2 + p3
        return float(left - middle), float(right - middle)

    @property
    def bend(self) -> float:
        """How far the three values of a side are from a straight line: curvature or noise."""
        m3, m2, m1, _, p1, p2, p3 = self.values
        return float(max(abs(p1 - 2 * p2 + p3), abs(m1 - 2 * m2 + m3)))


def ladder_of(line: Line, eps: float, smallest: float) -> list[float]:
    """The ladder's step sizes: a thousand times the first look's, then all from large to small.

    ``smallest`` is the magnitude of the one element that is moved, where it is far below what its
    neighbours let expect.
    """
    relative = smallest / line.reach
    ladder = [0.02, *(eps * 10.0**k for k in range(4, -5, -1))]
    if 0 < relative < 1e-4:
        ladder += [relative * 10.0**-k for k in range(1, 5)]
    finest = 16 * line.epsilon * (min(1.0, relative) or 1.0)
    ladder = sorted({h for h in ladder if finest < h <= 0.03}, reverse=True)
    first = min(ladder, key=lambda h: abs(math.log(h / (1e3 * eps))))
    return [h * line.reach for h in [first, *(h for h in ladder if h != first)]]


def survey(line: Line, ladder: list[float]) -> Iterator[tuple[float, np.ndarray, np.ndarray]]:
    """Walk down the ladder → (h, the seven values of each element, its rounding noise)."""
    for h in ladder:
        values = np.stack([line.start if k == 0 else line(k * h) for k in range(-3, 4)], 1)
        slope = (values[:, 4] - values[:, 2]) / (2 * h)
        yield h, values, line.noise(slope, h)
