"""One step back through a simple recurrent net: h_t = φ(a_t), a_t = Wx x_t + Wh h_{t−1} + b."""

from __future__ import annotations

import numpy as np

from tinygrad_seq.bptt.compare.run import Run
from tinygrad_seq.bptt.compare.textbook.pick import Pick
from tinygrad_seq.bptt.compare.textbook.slopes import slope
from tinygrad_seq.bptt.compare.textbook.weights import through_weights

NAMES = {"tanh": "tanh", "relu": "relu", "sigmoid": "sigma"}


def step(run: Run, pick: Pick, t: int, dh: np.ndarray, _: np.ndarray) -> dict[str, np.ndarray]:
    """δa_t = δh_t ⊙ φ′(a_t), and what goes down is Whᵀ δa_t."""
    da = dh * slope(run, pick, t, "h", NAMES[run.nonlinearity])
    below = through_weights(run, pick, da, before_slope=dh)
    below = pick(below, carry_zero=0 * below)
    return {"da": da, "dq": da, "before": dh, "below": below}
