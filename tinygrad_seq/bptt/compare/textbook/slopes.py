"""The derivatives of the nonlinearities, and what is written in their place by mistake."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_seq.bptt.compare.run import Run
from tinygrad_seq.bptt.compare.textbook.pick import Pick


def sigma(a: np.ndarray) -> np.ndarray:
    """The logistic function."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * a)))


def slope(run: Run, pick: Pick, t: int, gate: str, kind: str) -> Any:
    """φ′ at step t of one gate (or of h, of an RNN) by its value v = φ(a): 1 − v² of tanh,
    v(1 − v) of σ, 1 where v > 0 of relu."""
    values = getattr(run, gate)
    v, before = values[t], values[t - 1]
    after = values[t + 1] if t < run.T else v
    block = max(run.gates.find(gate), 0) * run.H
    a = run.a[t][:, block : block + run.H]
    label = gate if run.gates else ""
    ones = np.ones_like(v)
    if kind == "relu":
        return pick(
            1.0 * (v > 0), label, slope_forgotten=ones, slope_step_before=1.0 * (before > 0),
            slope_step_after=1.0 * (after > 0), slope_of_tanh=1 - v * v, slope_is_value=v,
        )  # fmt: skip
    if kind == "tanh":
        return pick(
            1 - v * v, label, slope_tanh_forgotten=ones, slope_tanh_not_squared=1 - v,
            slope_tanh_as_sigma=v * (1 - v), slope_tanh_at_a=1 - a * a,
            slope_tanh_of_value=1 - np.tanh(v) ** 2, slope_tanh_without_1=v * v,
            slope_tanh_sign=v * v - 1, slope_tanh_step_before=1 - before**2,
            slope_tanh_step_after=1 - after**2, slope_tanh_is_value=v,
            slope_tanh_plus=1 + v * v, slope_tanh_twice=(1 - v * v) ** 2,
        )  # fmt: skip
    return pick(
        v * (1 - v), label, slope_sigma_forgotten=ones, slope_sigma_as_tanh=1 - v * v,
        slope_sigma_1_minus_v=1 - v, slope_sigma_is_value=v, slope_sigma_at_a=a * (1 - a),
        slope_sigma_of_value=sigma(v) * (1 - sigma(v)), slope_sigma_squared=v * (1 - v * v),
        slope_sigma_step_before=before * (1 - before), slope_sigma_step_after=after * (1 - after),
        slope_sigma_plus=v * (1 + v), slope_sigma_sign=v * (v - 1),
        slope_sigma_twice=(v * (1 - v)) ** 2,
    )  # fmt: skip


def side_by_side(run: Run, pick: Pick, blocks: dict[str, np.ndarray]) -> np.ndarray:
    """∂L/∂a_t of every gate, in the order of the weights' blocks."""
    joined = [
        pick(blocks[g], g, gate_sign=-blocks[g], gate_zero=0 * blocks[g], gate_twice=2 * blocks[g])
        for g in run.gates
    ]
    return np.concatenate(joined, axis=1)


def through_weights(run: Run, pick: Pick, dq: np.ndarray, damped: np.ndarray | None = None
                    ) -> np.ndarray:  # fmt: skip
    """W_hhᵀ δ, of rows: dq (B, G·H) → (B, H), block by block."""
    right, turned = np.zeros_like(dq[:, : run.H]), np.zeros_like(dq[:, : run.H])
    for k, gate in enumerate(run.gates or "h"):
        rows = slice(k * run.H, (k + 1) * run.H)
        part = dq[:, rows] @ run.Wh[rows]
        label = gate if run.gates else ""
        other = dq[:, rows] @ run.Wh[rows].T
        right = right + pick(part, label, carry_transposed=other)
        turned = turned + part
    result = right
    if run.gates:  # a gate left out, or the last one written over the others
        for k, gate in enumerate(run.gates):
            rows = slice(k * run.H, (k + 1) * run.H)
            part = dq[:, rows] @ run.Wh[rows]
            result = pick(result, **{f"carry_without_gate:{gate}": turned - part,
                                     f"carry_of_gate_only:{gate}": part})  # fmt: skip
    result = pick(result, carry_sign=-result, carry_without_weights=_summed(run, dq))
    if run.D == run.H:
        result = pick(result, carry_through_Wx=dq @ run.Wx)
    if damped is not None:
        result = pick(result, carry_before_slope=damped @ run.Wh)
    return np.asarray(result)


def _summed(run: Run, dq: np.ndarray) -> np.ndarray:
    """The blocks added up, with no weights at all."""
    return np.asarray(sum(np.split(dq, run.blocks, axis=1)))
