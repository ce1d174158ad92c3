"""The gated recurrent unit over a whole sequence, as the equations stand in the books.

For every step t = 1 … T, the weights in three blocks of H rows, for r, z and n,

    r_t = σ(W_ir x_t + b_ir + W_hr h_{t−1} + b_hr)                      reset gate
    z_t = σ(W_iz x_t + b_iz + W_hz h_{t−1} + b_hz)                      update gate
    n_t = tanh(W_in x_t + b_in + r_t ⊙ (W_hn h_{t−1} + b_hn))           reset_after
    n_t = tanh(W_in x_t + b_in + W_hn (r_t ⊙ h_{t−1}) + b_hn)           not reset_after
    h_t = (1 − z_t) ⊙ n_t + z_t ⊙ h_{t−1}                               update "keep"
    h_t = (1 − z_t) ⊙ h_{t−1} + z_t ⊙ n_t                               update "take"

(Cho et al. 2014, arXiv:1406.1078, resets before W_hn and keeps with z; Chung et al. 2014,
arXiv:1412.3555, take with z; PyTorch and cuDNN reset after W_hn, which is one product per step.)

x (T, B, I) · h0 (B, H) · w_ih (3H, I) · w_hh (3H, H) · b_ih, b_hh (3H,) or None.

The options, None where they are not wanted:

    gain_ih, gain_hh (3H,)   layer normalisation of W_ih x_t and W_hh h_{t−1}, see recurrence.py:
                             once over the rows of r and z, once over those of n (Ba et al. 2016)
    drop (B, H)              h_{t−1} ⊙ drop in place of h_{t−1} in what W_hh is multiplied with
    hold (T, B, H)           h_t, once computed, gives way to hold_t ⊙ h_{t−1} + (1 − hold_t) ⊙ h_t
"""

from __future__ import annotations

from collections.abc import Sequence

from tinygrad_seq.backend import Array, xp_of
from tinygrad_seq.kernels.reference.recurrence import (
    at_step,
    before,
    held,
    logistic,
    project,
    project_back,
    times,
    weight_gradients,
    zeros_for_none,
)

Block = tuple[Array, Array | None, Array | None]


def blocks(w: Array, bias: Array | None, gain: Array | None) -> tuple[Block, Block]:
    """Weight, bias and gain of the rows of r and z, and of those of n."""
    cut = 2 * (len(w) // 3)
    parts = (slice(None, cut), slice(cut, None))
    first, second = (
        (w[rows], None if bias is None else bias[rows], None if gain is None else gain[rows])
        for rows in parts
    )
    return first, second


def forward(
    x: Array,
    h0: Array,
    w_ih: Array,
    w_hh: Array,
    b_ih: Array | None,
    b_hh: Array | None,
    reset_after: bool,
    update: str,
    *,
    gain_ih: Array | None = None,
    gain_hh: Array | None = None,
    hold: Array | None = None,
    drop: Array | None = None,
    eps: float = 1e-5,
) -> tuple[Array, Array, Array, Array]:
    """→ output, all h_t (T, B, H), the last of them, h_n (B, H), the gates (T, B, 3H), in the
    order r, z, n and after their nonlinearities, and for ``backward`` W_hn h_{t−1} + b_hn, or
    W_hn (r_t ⊙ h_{t−1}) + b_hn, of every step (T, B, H)."""
    xp = xp_of(x)
    x_rz, x_n = blocks(w_ih, b_ih, gain_ih)
    h_rz, h_n = blocks(w_hh, b_hh, gain_hh)
    h = h0
    hidden, gates, candidates = [], [], []
    for t in range(x.shape[0]):
        v = times(h, drop)
        rz = logistic(project(x[t], *x_rz, eps) + project(v, *h_rz, eps))
        r, z = xp.split(rz, 2, axis=1)
        q = project(v if reset_after else r * v, *h_n, eps)
        n = xp.tanh(project(x[t], *x_n, eps) + (r * q if reset_after else q))
        new = (1 - z) * n + z * h if update == "keep" else (1 - z) * h + z * n
        h = held(h, new, at_step(hold, t))
        hidden.append(h)
        gates.append(xp.concatenate([rz, n], axis=1))
        candidates.append(q)
    return xp.stack(hidden), h, xp.stack(gates), xp.stack(candidates)


def backward(
    grads: Sequence[Array | None],
    x: Array,
    h0: Array,
    w_ih: Array,
    w_hh: Array,
    output: Array,
    gates: Array,
    candidates: Array,
    reset_after: bool,
    update: str,
    needs: Sequence[bool],
    *,
    gain_ih: Array | None = None,
    gain_hh: Array | None = None,
    hold: Array | None = None,
    drop: Array | None = None,
    eps: float = 1e-5,
) -> tuple[Array | None, ...]:
    """Backpropagation through time. With δv = ∂L/∂v, q_t = W_hn h_{t−1} + b_hn, and starting from
    δh_T = ∂L/∂h_n, for t = T … 1, with ``reset_after`` and update "keep",

        δh_t += ∂L/∂output_t                        what step t itself was used for
        δn_t  = δh_t ⊙ (1 − z_t)      δz_t = δh_t ⊙ (h_{t−1} − n_t)
        δa_n  = δn_t ⊙ (1 − n_t²)                   and with it
        δq_t  = δa_n ⊙ r_t            δr_t = δa_n ⊙ q_t
        δa_r  = δr_t ⊙ r_t(1 − r_t)   δa_z = δz_t ⊙ z_t(1 − z_t)
        δh_{t−1} = δh_t ⊙ z_t + W_hrᵀ δa_r + W_hzᵀ δa_z + W_hnᵀ δq_t

    ``grads`` are those of the three outputs, None for one that nobody used. → the gradients of x,
    h0, w_ih, w_hh, b_ih, b_hh, gain_ih and gain_hh, None where ``needs``, which has a bool for
    each of them, says so.
    """
    xp = xp_of(x)
    g_output, g_h_n, g_gates = grads
    dh = zeros_for_none(g_h_n, h0)
    (w_rz, _, gain_rz), (w_n, _, gain_n) = blocks(w_hh, None, gain_hh)
    h_before = before(h0, output)
    entering = times(h_before, drop)
    r, z, n = xp.split(gates, 3, axis=2)
    entering_n = entering if reset_after else r * entering  # what W_hn was multiplied with
    made: list[tuple[Array, ...]] = []  # δ(a_r, a_z), δa_n and δq of each step
    for t in reversed(range(x.shape[0])):
        dh = dh if g_output is None else dh + g_output[t]
        kept = at_step(hold, t)
        d = times(dh, None if kept is None else 1 - kept)
        stay, go = (z[t], 1 - z[t]) if update == "keep" else (1 - z[t], z[t])
        dz = d * (h_before[t] - n[t] if update == "keep" else n[t] - h_before[t])
        from_r, from_z, from_n = [0] * 3 if g_gates is None else xp.split(g_gates[t], 3, axis=1)
        da_n_t = (d * go + from_n) * (1 - n[t] * n[t])
        dq_t = da_n_t * r[t] if reset_after else da_n_t
        to_n = project_back(dq_t, entering_n[t], w_n, gain_n, eps) @ w_n
        dr = da_n_t * candidates[t] if reset_after else to_n * entering[t]
        slopes = [(dr + from_r) * r[t] * (1 - r[t]), (dz + from_z) * z[t] * (1 - z[t])]
        da_rz_t = xp.concatenate(slopes, axis=1)
        dv = project_back(da_rz_t, entering[t], w_rz, gain_rz, eps) @ w_rz
        dv = dv + (to_n if reset_after else to_n * r[t])
        d = d * stay + times(dv, drop)
        dh = d if kept is None else d + dh * kept
        made.append((da_rz_t, da_n_t, dq_t))
    da_rz, da_n, dq = map(xp.stack, zip(*made[::-1], strict=True))
    need_x, _, *need = needs
    of_x = _both([(da_rz, x), (da_n, x)], blocks(w_ih, None, gain_ih), eps, need[0::2])
    of_h = _both([(da_rz, entering), (dq, entering_n)], blocks(w_hh, None, gain_hh), eps,
                 need[1::2])  # fmt: skip
    dx = None
    if need_x:
        parts = zip((da_rz, da_n), blocks(w_ih, None, gain_ih), strict=True)
        dx = sum(project_back(da, x, w, gain, eps) @ w for da, (w, _, gain) in parts)
    return dx, dh, *(g for pair in zip(of_x, of_h, strict=True) for g in pair)


def _both(
    signals: Sequence[tuple[Array, Array]], weights: Sequence[Block], eps: float,
    needs: Sequence[bool],
) -> list[Array | None]:  # fmt: skip
    """The gradients of weight, bias and gain, the rows of both blocks together again."""
    made = [
        weight_gradients(dy, v, w, gain, eps, needs)
        for (dy, v), (w, _, gain) in zip(signals, weights, strict=True)
    ]
    xp = xp_of(signals[0][0])
    return [xp.concatenate(pair) if need else None for pair, need in zip(zip(*made, strict=True),
            needs, strict=True)]  # fmt: skip
