"""From δ at the gates to what goes down through W_hh, with the ways to get it wrong."""

from __future__ import annotations

import numpy as np

from tinygrad_seq.bptt.compare.run import Run
from tinygrad_seq.bptt.compare.textbook.pick import Pick


def side_by_side(run: Run, pick: Pick, blocks: dict[str, np.ndarray]) -> np.ndarray:
    """∂L/∂a_t of every gate, in the order of the weights' blocks."""
    joined = [
        pick(blocks[g], g, gate_sign=-blocks[g], gate_zero=0 * blocks[g], gate_twice=2 * blocks[g])
        for g in run.gates
    ]
    return np.concatenate(joined, axis=1)


def through_weights(
    run: Run, pick: Pick, dq: np.ndarray, before_slope: np.ndarray | None = None
) -> np.ndarray:
    """W_hhᵀ δ, of rows: dq (B, G·H) → (B, H), block by block. ``before_slope``: what should
    have been multiplied with the slopes before."""
    blocks = zip(np.split(dq, run.blocks, axis=1), np.split(run.Wh, run.blocks), strict=True)
    parts = [(d @ w, d @ w.T) for d, w in blocks]
    labels = run.gates or " "
    result = np.zeros((run.B, run.H))
    for gate, (part, other) in zip(labels, parts, strict=True):
        result = result + pick(part, gate.strip(), carry_transposed=other)
    whole = dq @ run.Wh
    for gate, (part, _) in zip(run.gates, parts, strict=False):
        left_out = {f"carry_without_gate:{gate}": whole - part, f"carry_of_gate_only:{gate}": part}
        result = pick(result, **left_out)
    result = pick(result, carry_sign=-whole, carry_without_weights=_summed(run, dq))
    if run.D == run.H:
        result = pick(result, carry_through_Wx=dq @ run.Wx)
    if before_slope is not None:
        result = pick(result, carry_before_slope=before_slope @ run.Wh)
    return np.asarray(result)


def _summed(run: Run, dq: np.ndarray) -> np.ndarray:
    """The blocks added up, with no weights at all."""
    return np.asarray(sum(np.split(dq, run.blocks, axis=1)))
