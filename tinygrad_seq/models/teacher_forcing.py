"""What a decoder is told while it learns: the right symbol of before, or the one it said itself.

The share of right ones is 1 in teacher forcing and 0 in free running. In scheduled sampling it
falls while a model trains, so that it learns to go on from its own mistakes. A schedule gives the
share at a training step, to be passed on: ``model.loss(…, teacher_forcing=schedule(step))``.
Source: Bengio et al. 2015, arXiv:1506.03099, section 2.4.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from tinygrad_seq.errors import ArgumentError, expect

#: training step 0, 1, 2, … → the share of right symbols
Schedule = Callable[[int], float]


def linear_decay(steps: int, least: float = 0.0) -> Schedule:
    """max(least, 1 − i/steps) at step i: from 1 straight down."""
    expect(steps >= 1, "linear_decay", "steps ≥ 1", steps, ArgumentError)
    expect(0 <= least <= 1, "linear_decay", "least in [0, 1]", least, ArgumentError)
    return lambda step: max(least, 1 - step / steps)


def exponential_decay(k: float) -> Schedule:
    """kⁱ at step i, for 0 < k < 1."""
    expect(0 < k < 1, "exponential_decay", "k in (0, 1)", k, ArgumentError)
    return lambda step: k**step


def inverse_sigmoid_decay(k: float) -> Schedule:
    """k / (k + exp(i/k)) at step i, for k ≥ 1: near 1 at first, ½ at i = k ln k, then to 0."""
    expect(1 <= k < math.inf, "inverse_sigmoid_decay", "k ≥ 1", k, ArgumentError)

    def share(step: int) -> float:
        small = k * math.exp(-step / k)  # exp(i/k) itself would overflow
        return small / (small + 1)

    return share


#: how the share may go over a run, as ``over_a_run`` knows it
SHAPES = ("constant", "linear", "exponential", "inverse-sigmoid")


def over_a_run(shape: str, steps: int, least: float) -> Schedule:
    """The share at each of ``steps`` training steps: ``least`` all along (``"constant"``), or from
    1 down to about that::

        least + (1 − least) · s(i)

    with s ``"linear"``, linear_decay(steps); ``"exponential"``, exponential_decay(k) with
    k**steps = 1/100; or ``"inverse-sigmoid"``, inverse_sigmoid_decay(k) with ½ half-way.
    Raises ArgumentError for another shape and for numbers out of range.
    """
    expect(shape in SHAPES, "schedule", f"one of {', '.join(SHAPES)}", repr(shape), ArgumentError)
    expect(steps >= 1, "schedule", "steps ≥ 1", steps, ArgumentError)
    expect(0 <= least <= 1, "schedule", "least in [0, 1]", least, ArgumentError)
    falls: dict[str, Callable[[], Schedule]] = {
        "constant": lambda: lambda step: 0.0,
        "linear": lambda: linear_decay(steps),
        "exponential": lambda: exponential_decay(0.01 ** (1 / steps)),
        "inverse-sigmoid": lambda: inverse_sigmoid_decay(_half_at(steps / 2)),
    }
    fall = falls[shape]()
    return lambda step: least + (1 - least) * fall(step)


def _half_at(step: float) -> float:
    """The k for which k ln k = step, by Newton's method."""
    k = 1 + step
    while abs(k * math.log(k) - step) > 1e-9 * (1 + step):
        k = (k + step) / (1 + math.log(k))
    return k
