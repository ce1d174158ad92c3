"""One step back through an LSTM: c_t = f ⊙ c_{t−1} + i ⊙ g, h_t = o ⊙ tanh c_t."""

from __future__ import annotations

import numpy as np

from tinygrad_seq.bptt.compare.run import Run
from tinygrad_seq.bptt.compare.textbook.pick import Pick
from tinygrad_seq.bptt.compare.textbook.slopes import slope
from tinygrad_seq.bptt.compare.textbook.weights import side_by_side, through_weights

#: what δ of a gate is multiplied with: the right factor's name, by the names in ``_factors``
RIGHT = {"i": "g", "f": "c_before", "g": "i", "o": "tanh_c"}


def step(run: Run, pick: Pick, t: int, dh: np.ndarray, down_c: np.ndarray
         ) -> dict[str, np.ndarray]:  # fmt: skip
    """δo = δh ⊙ tanh c, δc = δh ⊙ o ⊙ (1 − tanh² c) + what step t+1 hands down, and δi = δc ⊙ g,
    δf = δc ⊙ c_{t−1}, δg = δc ⊙ i. Down go f ⊙ δc and Whᵀ δa."""
    none, factors = np.zeros_like(dh), _factors(run, t)
    from_h = dh * _cell_slope(pick, factors)
    carried = pick(down_c, carry_c_not_used=none, carry_c_counted_twice=2 * down_c)
    dc = from_h + carried
    into_gates = pick(dc, carry_c_not_in_gates=from_h)
    d = {}
    for gate, right in RIGHT.items():
        source = (
            dh if gate == "o" else pick(into_gates, gate, gate_from_dh=dh, gate_from_carry=down_c)
        )
        wrong = {f"factor_is_{n}:{gate}": v for n, v in factors.items() if n != right}
        if gate == "o":
            wrong["cell_of_step_before"] = factors["tanh_c_before"]
            wrong["tanh_forgotten_twice"] = factors["c"]
        d[gate] = source * pick(factors[right], **wrong)
    slopes = {k: slope(run, pick, t, k, "tanh" if k == "g" else "sigma") for k in run.gates}
    da = side_by_side(run, pick, {k: d[k] * slopes[k] for k in run.gates})
    before_slope = np.concatenate([d[k] for k in run.gates], axis=1)
    below = through_weights(run, pick, da, before_slope)
    below_c = _cell_below(run, pick, t, dc, from_h)
    return {"da": da, "dq": da, "before": before_slope, "dc": dc, "below_c": below_c,
            "below": pick(below, carry_zero=none)}  # fmt: skip


def _factors(run: Run, t: int) -> dict[str, np.ndarray]:
    """Everything that a δ might be multiplied with, rightly or wrongly."""
    c, before = run.c[t], run.c[t - 1]
    return {
        "i": run.i[t], "f": run.f[t], "g": run.g[t], "o": run.o[t], "c": c, "tanh_c": np.tanh(c),
        "c_before": before, "tanh_c_before": np.tanh(before), "h": run.h[t],
        "h_before": run.h[t - 1], "one": np.ones_like(c),
    }  # fmt: skip


def _cell_slope(pick: Pick, factors: dict[str, np.ndarray]) -> np.ndarray:
    """∂h_t/∂c_t = o ⊙ (1 − tanh² c)."""
    o, c, seen, h = (factors[n] for n in ("o", "c", "tanh_c", "h"))
    of_before = o * (1 - factors["tanh_c_before"] ** 2)
    chosen: np.ndarray = pick(
        o * (1 - seen**2), cell_slope_forgotten=o, cell_slope_at_c=o * (1 - c * c),
        cell_without_o=1 - seen**2, cell_slope_not_squared=o * (1 - seen),
        cell_slope_of_h=o * (1 - h**2), cell_without_h=0 * o,
        cell_slope_tanh_twice=o * (1 - np.tanh(seen) ** 2), cell_slope_of_o=o * (1 - o),
        cell_from_do=seen * (1 - seen**2), cell_slope_only_tanh=o * seen,
        cell_slope_as_sigma=o * seen * (1 - seen), cell_of_step_before=of_before,
        cell_slope_of_step_before=of_before, tanh_forgotten_twice=o * (1 - c * c),
    )  # fmt: skip
    return chosen


def _cell_below(run: Run, pick: Pick, t: int, dc: np.ndarray, from_h: np.ndarray) -> np.ndarray:
    """f ⊙ δc, the straight way from c_t to c_{t−1}."""
    f = run.f[t]
    chosen: np.ndarray = pick(
        dc * f, carry_c_zero=0 * dc, carry_c_without_f=dc, carry_c_with_i=dc * run.i[t],
        carry_c_with_o=dc * run.o[t], carry_c_with_f_before=dc * run.f[t - 1],
        carry_c_with_f_after=dc * (run.f[t + 1] if t < run.T else f), carry_c_sign=-dc * f,
        carry_c_of_h_only=from_h * f, carry_c_1_minus_f=dc * (1 - f), carry_c_with_g=dc * run.g[t],
    )  # fmt: skip
    return chosen
