"""Long short-term memory over a whole sequence, as the equations stand in the books.

With σ the logistic function, ⊙ the elementwise product, and for every step t = 1 … T

    a_t = W_ih x_t + b_ih + W_hh h_{t−1} + b_hh        four blocks of H rows: a_i, a_f, a_g, a_o
    i_t = σ(a_i)    f_t = σ(a_f)    g_t = tanh(a_g)    o_t = σ(a_o)
    c_t = f_t ⊙ c_{t−1} + i_t ⊙ g_t
    h_t = o_t ⊙ tanh c_t

(Hochreiter and Schmidhuber 1997; the forget gate is from Gers, Schmidhuber and Cummins 2000.)

x (T, B, I) · h0, c0 (B, H) · w_ih (4H, I) · w_hh (4H, H) · b_ih, b_hh (4H,) or None.
In arrays the batch comes first, so a vector W x of the formulas reads ``x @ W.T`` here.
"""

from __future__ import annotations

from collections.abc import Sequence

from tinygrad_seq.backend import Array, xp_of
from tinygrad_seq.kernels.reference.rnn import input_gradients, logistic


def forward(
    x: Array, h0: Array, c0: Array, w_ih: Array, w_hh: Array, b_ih: Array, b_hh: Array
) -> tuple[Array, ...]:
    """→ output (T, B, H), h_n, c_n (B, H), and for ``backward`` the gates (T, B, 4H), in the order
    i, f, g, o and after their nonlinearities, and the cells c_1 … c_T (T, B, H)."""
    xp = xp_of(x)
    h, c = h0, c0
    hidden, gates, cells = [], [], []
    for t in range(x.shape[0]):
        a = x[t] @ w_ih.T + h @ w_hh.T
        for bias in (b_ih, b_hh):
            a = a if bias is None else a + bias
        a_i, a_f, a_g, a_o = xp.split(a, 4, axis=1)
        i, f, g, o = logistic(a_i), logistic(a_f), xp.tanh(a_g), logistic(a_o)
        c = f * c + i * g
        h = o * xp.tanh(c)
        hidden.append(h)
        gates.append(xp.concatenate([i, f, g, o], axis=1))
        cells.append(c)
    return xp.stack(hidden), h, c, xp.stack(gates), xp.stack(cells)


def backward(
    g_output: Array,
    g_h_n: Array,
    g_c_n: Array,
    x: Array,
    h0: Array,
    c0: Array,
    w_ih: Array,
    w_hh: Array,
    output: Array,
    gates: Array,
    cells: Array,
    needs: Sequence[bool],
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

    → the gradients of x, h0, c0, w_ih, w_hh, b_ih and b_hh, None where ``needs`` says so.
    """
    xp = xp_of(x)
    dh, dc = g_h_n, g_c_n
    da = []
    for t in reversed(range(x.shape[0])):
        i, f, g, o = xp.split(gates[t], 4, axis=1)
        c_prev = cells[t - 1] if t else c0
        tanh_c = xp.tanh(cells[t])
        dh = dh + g_output[t]
        do = dh * tanh_c
        dc = dc + dh * o * (1 - tanh_c * tanh_c)
        di, df, dg = dc * g, dc * c_prev, dc * i
        da_t = [di * i * (1 - i), df * f * (1 - f), dg * (1 - g * g), do * o * (1 - o)]
        da.append(xp.concatenate(da_t, axis=1))
        dc = dc * f
        dh = da[-1] @ w_hh
    need_x, _, _, *need_weights = needs
    dx, *dw = input_gradients(xp.stack(da[::-1]), x, h0, output, w_ih, [need_x, *need_weights])
    return dx, dh, dc, *dw
