"""Scaled dot-product attention, as the equations stand in the paper (Vaswani et al. 2017).

    S = scale · Q Kᵀ + M        how well query i and key j fit, (…, L, S)
    P = softmax S               along the keys: row i says how query i shares its attention out
    O = (P ⊙ R) V               each output is a weighted mean of the values

q (…, L, E) · k (…, S, E) · v (…, S, E_v); what stands before these axes broadcasts. M: a mask that
broadcasts to (…, L, S), of floats that are added or of booleans, −∞ where False; ``causal`` puts −∞
where j > i as well. R: dropout's factors, 0 or 1/(1 − p). A row of −∞ alone gives P = 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinygrad_seq.backend import Array, xp_of


def scores(q: Array, k: Array, mask: Array | None, causal: bool, scale: float) -> Array:
    """S, with −∞ where a query must not look."""
    xp = xp_of(q)
    s = scale * (q @ k.swapaxes(-1, -2))
    if mask is not None:
        s = xp.where(mask, s, -np.inf) if mask.dtype == np.bool_ else s + mask
    if causal:
        s = xp.where(xp.tri(*s.shape[-2:], dtype=np.bool_), s, -np.inf)
    return s


def forward(
    q: Array, k: Array, v: Array, mask: Array | None, drop: Array | None, causal: bool, scale: float
) -> tuple[Array, Array]:
    """→ O (…, L, E_v), and for ``backward`` log Σ_j e^(S_ij) of each row (…, L, 1); it is ∞ for a
    row of −∞ alone, so that e^(S − ∞) = 0."""
    xp = xp_of(q)
    s = scores(q, k, mask, causal, scale)
    top = s.max(axis=-1, keepdims=True)
    top = xp.where(top == -np.inf, 0, top)
    e = xp.exp(s - top)
    total = e.sum(axis=-1, keepdims=True)
    some = total > 0
    divisor = xp.where(some, total, 1)
    p = e / divisor
    log_total = xp.where(some, top + xp.log(divisor), np.inf)
    return (p if drop is None else p * drop) @ v, log_total.astype(q.dtype)


def backward(
    g: Array,
    q: Array,
    k: Array,
    v: Array,
    mask: Array | None,
    drop: Array | None,
    causal: bool,
    scale: float,
    out: Array,
    log_total: Array,
    needs: Sequence[bool],
) -> tuple[Array | None, ...]:
    """With δX = ∂L/∂X and P computed again as e^(S − log Σ e^S),

        δV = (P ⊙ R)ᵀ δO        δP = (δO Vᵀ) ⊙ R
        δS = P ⊙ (δP − Σ_j P_ij δP_ij),   where the sum is δO_i · O_i
        δQ = scale · δS K       δK = scale · δSᵀ Q      δM = δS

    → δQ, δK, δV and δM, None where ``needs``, which has a bool for each, says so.
    """
    xp = xp_of(q)
    need_q, need_k, need_v, need_mask = needs
    p = xp.exp(scores(q, k, mask, causal, scale) - log_total)
    dropped = p if drop is None else p * drop
    dv = dropped.swapaxes(-1, -2) @ g if need_v else None
    dp = g @ v.swapaxes(-1, -2)
    dp = dp if drop is None else dp * drop
    ds = p * (dp - (g * out).sum(axis=-1, keepdims=True))
    dq = scale * (ds @ k) if need_q else None
    dk = scale * (ds.swapaxes(-1, -2) @ q) if need_k else None
    return dq, dk, dv, ds if need_mask else None
