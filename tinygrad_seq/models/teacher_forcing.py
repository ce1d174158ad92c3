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
