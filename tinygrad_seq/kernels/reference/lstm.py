"""Long short-term memory over a whole sequence, as the equations stand in the books.

With σ the logistic function, ⊙ the elementwise product, and for every step t = 1 … T

    a_t = W_ih x_t + b_ih + W_hh h_{t−1} + b_hh        four blocks of H rows: a_i, a_f, a_g, a_o
    i_t = σ(a_i)    f_t = σ(a_f)    g_t = tanh(a_g)    o_t = σ(a_o)
    c_t = f_t ⊙ c_{t−1} + i_t ⊙ g_t
    h_t = o_t ⊙ tanh c_t

(Hochreiter and Schmidhuber 1997; the forget gate is from Gers, Schmidhuber and Cummins 2000.)

x (T, B, I) · h0, c0 (B, H) · w_ih (4H, I) · w_hh (4H, H) · b_ih, b_hh (4H,) or None.

The options, None where they are not wanted:

    w_hr (P, H)              h_t = W_hr (o_t ⊙ tanh c_t), so h is P wide and w_hh (4H, P)
    peephole (3H,)           its blocks p_i, p_o, p_f: p_i ⊙ c_{t−1}, p_f ⊙ c_{t−1} and p_o ⊙ c_t
                             join a_i, a_f and a_o
    gain_ih, gain_hh (4H,)   layer normalisation of W_ih x_t and W_hh h_{t−1}, see recurrence.py
    gain_c, b_c (H,)         tanh(gain_c ⊙ LN(c_t) + b_c) in place of tanh c_t
    drop (B, H)              h_{t−1} ⊙ drop in place of h_{t−1} in W_hh h_{t−1}
    hold, hold_c (T, B, H)   h_t and c_t, once computed, give way to hold ⊙ old + (1 − hold) ⊙ new
"""

from __future__ import annotations

from collections.abc import Sequence

from tinygrad_seq.backend import Array, xp_of
from tinygrad_seq.kernels.reference.recurrence import (
    at_step,
    before,
    held,
    logistic,
    normalised,
    project,
    project_back,
    through_norm,
    times,
    weight_gradients,
    zeros_for_none,
)


def squashed(c: Array, gain: Array | None, bias: Array | None, eps: float) -> Array:
    """tanh c, or tanh(gain ⊙ LN(c) + bias)."""
    if gain is not None:
        c = gain * normalised(c, eps)[0]
        c = c if bias is None else c + bias
    return xp_of(c).tanh(c)


def forward(
    x: Array,
    h0: Array,
    c0: Array,
    w_ih: Array,
    w_hh: Array,
    b_ih: Array | None,
    b_hh: Array | None,
    *,
    w_hr: Array | None = None,
    peephole: Array | None = None,
    gain_ih: Array | None = None,
    gain_hh: Array | None = None,
    gain_c: Array | None = None,
    b_c: Array | None = None,
    hold: Array | None = None,
    hold_c: Array | None = None,
    drop: Array | None = None,
    eps: float = 1e-5,
) -> tuple[Array, ...]:
    """→ output (T, B, H), h_n, c_n (B, H), the cells c_1 … c_T (T, B, H), and the gates
    (T, B, 4H), in the order i, f, g, o and after their nonlinearities."""
    xp = xp_of(x)
    h, c = h0, c0
    hidden, cells, gates = [], [], []
    p_i, p_o, p_f = (None,) * 3 if peephole is None else xp.split(peephole, 3)
    for t in range(x.shape[0]):
        a = project(x[t], w_ih, b_ih, gain_ih, eps)
        a = a + project(times(h, drop), w_hh, b_hh, gain_hh, eps)
        a_i, a_f, a_g, a_o = xp.split(a, 4, axis=1)
        if peephole is not None:
            a_i, a_f = a_i + p_i * c, a_f + p_f * c
        i, f, g = logistic(a_i), logistic(a_f), xp.tanh(a_g)
        c_new = f * c + i * g
        o = logistic(a_o if peephole is None else a_o + p_o * c_new)
        h_new = o * squashed(c_new, gain_c, b_c, eps)
        h_new = h_new if w_hr is None else h_new @ w_hr.T
        c = held(c, c_new, at_step(hold_c, t))
        h = held(h, h_new, at_step(hold, t))
        hidden.append(h)
        cells.append(c)
        gates.append(xp.concatenate([i, f, g, o], axis=1))
    return xp.stack(hidden), h, c, xp.stack(cells), xp.stack(gates)


def backward(
    grads: Sequence[Array | None],
    x: Array,
    h0: Array,
    c0: Array,
    w_ih: Array,
    w_hh: Array,
    output: Array,
    cells: Array,
    gates: Array,
    needs: Sequence[bool],
    *,
    w_hr: Array | None = None,
    peephole: Array | None = None,
    gain_ih: Array | None = None,
    gain_hh: Array | None = None,
    gain_c: Array | None = None,
    b_c: Array | None = None,
    hold: Array | None = None,
    hold_c: Array | None = None,
    drop: Array | None = None,
    eps: float = 1e-5,
) -> tuple[Array | None, ...]:
    """Backpropagation through time. With δv = ∂L/∂v, and starting from δh_T = ∂L/∂h_n and
    δc_T = ∂L/∂c_n, for t = T … 1

        δh_t += ∂L/∂output_t                           what step t itself was used for
        δo_t  = δh_t ⊙ tanh c_t
        δc_t += δh_t ⊙ o_t ⊙ (1 − tanh² c_t)           h_t looks at the cell
        δi_t  = δc_t ⊙ g_t      δf_t = δc_t ⊙ c_{t−1}      δg_t = δc_t ⊙ i_t
        δa_t  = [δi ⊙ i(1−i), δf ⊙ f(1−f), δg ⊙ (1−g²), δo ⊙ o(1−o)]
        δc_{t−1} = δc_t ⊙ f_t                          the straight road from cell to cell
        δh_{t−1} = W_hhᵀ δa_t

    ``grads`` are those of the five outputs, None for one that nobody used. → the gradients of x,
    h0, c0, w_ih, w_hh, b_ih, b_hh, w_hr, peephole, gain_ih, gain_hh, gain_c and b_c, None where
    ``needs``, which has a bool for each of them, says so.
    """
    xp = xp_of(x)
    g_output, g_h_n, g_c_n, g_cells, g_gates = grads
    dh, dc = zeros_for_none(g_h_n, h0), zeros_for_none(g_c_n, c0)
    p_i, p_o, p_f = (None,) * 3 if peephole is None else xp.split(peephole, 3)
    entering = times(before(h0, output), drop)  # what W_hh was multiplied with
    c_before = before(c0, cells)
    i, f, g, o = xp.split(gates, 4, axis=2)
    c_new = cells if hold_c is None else f * c_before + i * g
    seen = squashed(c_new, gain_c, b_c, eps)  # the cell as h_t looks at it
    made: list[tuple[Array, ...]] = []  # δa_t, δ of the tanh's argument, δ of the new h_t
    for t in reversed(range(x.shape[0])):
        dh = dh if g_output is None else dh + g_output[t]
        dc = dc if g_cells is None else dc + g_cells[t]
        kept, kept_c = at_step(hold, t), at_step(hold_c, t)
        d = dh_new_t = times(dh, None if kept is None else 1 - kept)
        d = d if w_hr is None else d @ w_hr
        do, ds = d * seen[t], d * o[t] * (1 - seen[t] * seen[t])
        from_gates = [0] * 4 if g_gates is None else xp.split(g_gates[t], 4, axis=1)
        da_o = (do + from_gates[3]) * o[t] * (1 - o[t])
        dc_new = times(dc, None if kept_c is None else 1 - kept_c)
        dc_new = dc_new + (ds if gain_c is None else through_norm(ds, c_new[t], gain_c, eps))
        dc_new = dc_new if peephole is None else dc_new + p_o * da_o
        da_i = (dc_new * g[t] + from_gates[0]) * i[t] * (1 - i[t])
        da_f = (dc_new * c_before[t] + from_gates[1]) * f[t] * (1 - f[t])
        da_g = (dc_new * i[t] + from_gates[2]) * (1 - g[t] * g[t])
        dc = dc_new * f[t] if kept_c is None else dc_new * f[t] + dc * kept_c
        dc = dc if peephole is None else dc + p_i * da_i + p_f * da_f
        da_t = xp.concatenate([da_i, da_f, da_g, da_o], axis=1)
        d = times(project_back(da_t, entering[t], w_hh, gain_hh, eps) @ w_hh, drop)
        dh = d if kept is None else d + dh * kept
        made.append((da_t, ds, dh_new_t))
    da, ds, dh_new = map(xp.stack, zip(*made[::-1], strict=True))
    need_x, _, _, *need = needs
    dx = project_back(da, x, w_ih, gain_ih, eps) @ w_ih if need_x else None
    of_x, of_h = ([need[k], need[k + 2], need[k + 6]] for k in (0, 1))
    dw_ih, db_ih, dgain_ih = weight_gradients(da, x, w_ih, gain_ih, eps, of_x)
    dw_hh, db_hh, dgain_hh = weight_gradients(da, entering, w_hh, gain_hh, eps, of_h)
    over = (0, 1)
    dw_hr = xp.tensordot(dh_new, o * seen, axes=(over, over)) if need[4] else None
    dpeephole = None
    if need[5]:
        da_i, da_f, _, da_o = xp.split(da, 4, axis=2)
        parts = (da_i * c_before, da_o * c_new, da_f * c_before)
        dpeephole = xp.concatenate([part.sum(axis=over) for part in parts])
    dgain_c = (ds * normalised(c_new, eps)[0]).sum(axis=over) if need[8] else None
    db_c = ds.sum(axis=over) if need[9] else None
    return (dx, dh, dc, dw_ih, dw_hh, db_ih, db_hh, dw_hr, dpeephole, dgain_ih, dgain_hh,
            dgain_c, db_c)  # fmt: skip
