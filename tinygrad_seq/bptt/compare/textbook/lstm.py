"""One step back through an LSTM: c_t = f ⊙ c_{t−1} + i ⊙ g, h_t = o ⊙ tanh c_t."""

from __future__ import annotations

import numpy as np

from tinygrad_seq.bptt.compare.run import Run
from tinygrad_seq.bptt.compare.textbook.pick import Pick
from tinygrad_seq.bptt.compare.textbook.slopes import slope
from tinygrad_seq.bptt.compare.textbook.weights import side_by_side, through_weights


def step(run: Run, pick: Pick, t: int, dh: np.ndarray, down_c: np.ndarray
         ) -> dict[str, np.ndarray]:  # fmt: skip
    """δo = δh ⊙ tanh c, δc = δh ⊙ o ⊙ (1 − tanh² c) + what step t+1 hands down, and δi = δc ⊙ g,
    δf = δc ⊙ c_{t−1}, δg = δc ⊙ i. Down go f ⊙ δc and Whᵀ δa."""
    i, f, g, o, c, c_before = run.i[t], run.f[t], run.g[t], run.o[t], run.c[t], run.c[t - 1]
    seen, none = np.tanh(c), np.zeros_like(c)
    do = dh * pick(seen, output_without_tanh=c, output_of_cell_before=np.tanh(c_before),
                   output_of_c_before=c_before, output_without_cell=np.ones_like(c))  # fmt: skip
    from_h = dh * pick(
        o * (1 - seen**2), cell_slope_forgotten=o, cell_slope_at_c=o * (1 - c * c),
        cell_without_o=1 - seen**2, cell_slope_not_squared=o * (1 - seen),
        cell_slope_of_h=o * (1 - run.h[t] ** 2), cell_without_h=none,
        cell_slope_squared_c=o * (1 - np.tanh(seen) ** 2), cell_slope_with_o_slope=o * (1 - o),
    )  # fmt: skip
    carried = pick(down_c, carry_c_not_used=none, carry_c_counted_twice=2 * down_c)
    dc = from_h + carried
    d = {
        "i": pick(dc * g, input_times_i=dc * i, input_without_g=dc, input_from_dh=dh * g),
        "f": pick(dc * c_before, forget_with_c_now=dc * c, forget_without_c=dc,
                  forget_from_dh=dh * c_before, forget_tanh_c=dc * np.tanh(c_before)),
        "g": pick(dc * i, candidate_times_g=dc * g, candidate_without_i=dc,
                  candidate_from_dh=dh * i, candidate_times_f=dc * f),
        "o": do,
    }  # fmt: skip
    slopes = {k: slope(run, pick, t, k, "tanh" if k == "g" else "sigma") for k in run.gates}
    da = side_by_side(run, pick, {k: d[k] * slopes[k] for k in run.gates})
    below = through_weights(run, pick, da)
    unslanted = np.concatenate([d[k] for k in run.gates], axis=1)
    below = pick(below, carry_zero=none, carry_before_slope=unslanted @ run.Wh)
    f_after = run.f[t + 1] if t < run.T else f
    below_c = pick(
        dc * f, carry_c_zero=none, carry_c_without_f=dc, carry_c_with_i=dc * i,
        carry_c_with_f_before=dc * run.f[t - 1], carry_c_with_f_after=dc * f_after,
        carry_c_of_h_only=from_h * f, carry_c_1_minus_f=dc * (1 - f),
        carry_c_with_o=dc * o, carry_c_sign=-dc * f,
    )  # fmt: skip
    return {"da": da, "dq": da, "dc": dc, "below": below, "below_c": below_c}
