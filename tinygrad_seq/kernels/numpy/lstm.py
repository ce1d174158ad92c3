"""LSTM on the CPU; ``kernels/reference/lstm.py`` says what is computed and what the names mean.

What makes it fast:

- The states of a step are feature-major, (4H, B): each gate is then one piece of memory.
- One product per step gives the whole a_t: [W_ih W_hh b] times the column [x_t; h_{t−1}; 1].
- σ(a) = 1/(1 + e⁻ᵃ). The sign is put into the weights; tanh, which is slower, is for g and c only.
- Everything is computed in place, in memory that is used again for the next step.
- The weights' gradients come from one product for many steps. Not for all: memory that is fresh
  from the system costs more than the arithmetic done on it, and a block's worth is used again.

Gates and cells are stored feature-major and returned as batch-major views, the reference's shapes;
so the backward of either kernel can follow the forward of the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_seq.backend import Array
from tinygrad_seq.kernels.numpy.memory import empty
from tinygrad_seq.kernels.reference import lstm as reference
from tinygrad_seq.kernels.reference.recurrence import any_given, zeros_for_none

# Products for the weights' gradients sum over this many rows, steps × batch, at a time: enough
# that adding up the blocks costs little, few enough that a block stays in the cache.
_ROWS = 256


def _joint_weights(w_ih: Array, w_hh: Array, b_ih: Array, b_hh: Array) -> Array:
    """[W_ih W_hh b], with the rows of i, f and o negated."""
    n, inputs = w_ih.shape
    hidden = n // 4
    w = np.zeros((n, inputs + hidden + 1), w_ih.dtype)
    w[:, :inputs] = w_ih
    w[:, inputs:-1] = w_hh
    for bias in (b_ih, b_hh):
        if bias is not None:
            w[:, -1] += bias
    for rows in (w[: 2 * hidden], w[3 * hidden :]):
        np.negative(rows, out=rows)
    return w


def _activate(a: Array, hidden: int) -> None:
    """a ← the gates, in place, where a has the sign that ``_joint_weights`` gives it."""
    for sigmoids in (a[: 2 * hidden], a[3 * hidden :]):
        np.exp(sigmoids, out=sigmoids)
        sigmoids += 1
        np.reciprocal(sigmoids, out=sigmoids)
    g = a[2 * hidden : 3 * hidden]
    np.tanh(g, out=g)


def forward(
    x: Array,
    h0: Array,
    c0: Array,
    w_ih: Array,
    w_hh: Array,
    b_ih: Array | None,
    b_hh: Array | None,
    **options: Any,
) -> tuple[Array, ...]:
    """→ output, h_n, c_n, cells, gates. The options are left to the reference."""
    (steps, batch, inputs), hidden, dtype = x.shape, h0.shape[1], x.dtype
    # Too little to pay for arranging the weights, as when text is written.
    if steps * batch < 4 or any_given(options):
        return reference.forward(x, h0, c0, w_ih, w_hh, b_ih, b_hh, **options)
    w = _joint_weights(w_ih, w_hh, b_ih, b_hh)
    column = np.empty((inputs + hidden + 1, batch), dtype)
    x_t, h = column[:inputs], column[inputs:-1]
    h[...] = h0.T
    column[-1] = 1
    c_prev, scratch = c0.T, np.empty((hidden, batch), dtype)
    output = empty((steps, batch, hidden), dtype)
    gates = empty((steps, 4 * hidden, batch), dtype)
    cells = empty((steps, hidden, batch), dtype)
    with np.errstate(over="ignore"):  # where e⁻ᵃ is infinite σ is 0, as it should be
        for t in range(steps):
            a, c = gates[t], cells[t]
            i, f, g, o = a.reshape(4, hidden, batch)
            x_t[...] = x[t].T
            np.matmul(w, column, out=a)
            _activate(a, hidden)
            np.multiply(f, c_prev, out=c)
            np.multiply(i, g, out=scratch)
            c += scratch
            np.tanh(c, out=scratch)
            np.multiply(o, scratch, out=h)
            output[t] = h.T
            c_prev = c
    gates, cells = gates.transpose(0, 2, 1), cells.transpose(0, 2, 1)
    return output, output[-1].copy(), cells[-1].copy(), cells, gates


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
    **options: Any,
) -> tuple[Array | None, ...]:
    """→ the gradients of x, h0, c0, w_ih, w_hh, b_ih and b_hh, None where not needed."""
    g_output, g_h_n, g_c_n, g_cells, g_gates = grads
    if g_gates is not None or any_given(options):
        return reference.backward(
            grads, x, h0, c0, w_ih, w_hh, output, cells, gates, needs, **options
        )
    (steps, batch, _), hidden, dtype = x.shape, h0.shape[1], x.dtype
    need_x, need_h0, need_c0, need_w_ih, need_w_hh, *need_biases = needs[:7]
    gates, cells = gates.transpose(0, 2, 1), cells.transpose(0, 2, 1)
    w_hh_t = np.ascontiguousarray(w_hh.T)
    dh, dc = (zeros_for_none(g, like).T.copy() for g, like in ((g_h_n, h0), (g_c_n, c0)))
    c0_t = c0.T
    dx = empty(x.shape, dtype) if need_x else None
    dw_ih = np.zeros(w_ih.shape, dtype) if need_w_ih else None
    dw_hh = np.zeros(w_hh.shape, dtype) if need_w_hh else None
    db = np.zeros(4 * hidden, dtype) if any(need_biases) else None

    length = min(steps, -(-_ROWS // batch))
    block = np.empty((4 * hidden, length, batch), dtype)
    d, scratch = np.empty((4 * hidden, batch), dtype), np.empty((2, hidden, batch), dtype)
    for stop in range(steps, 0, -length):
        start = max(0, stop - length)
        for t in reversed(range(start, stop)):
            if g_output is not None:
                dh += g_output[t].T
            if g_cells is not None:
                dc += g_cells[t].T
            _step_back(gates[t], cells[t], cells[t - 1] if t else c0_t, dh, dc, d, scratch)
            block[:, t - start] = d
            if t or need_h0:
                np.matmul(w_hh_t, d, out=dh)
        rows = (stop - start) * batch
        da = block[:, : stop - start].reshape(4 * hidden, rows)
        if dx is not None:
            np.matmul(da.T, w_ih, out=dx[start:stop].reshape(rows, -1))
        if dw_ih is not None:
            dw_ih += da @ x[start:stop].reshape(rows, -1)
        if dw_hh is not None:
            before = [h0[None]] if start == 0 else []
            h_before = np.concatenate([*before, output[max(0, start - 1) : stop - 1]])
            dw_hh += da @ h_before.reshape(rows, hidden)
        if db is not None:
            db += da.sum(axis=1)
    dbs = [db.copy() if need and db is not None else None for need in need_biases]
    states = (dh.T if need_h0 else None, dc.T if need_c0 else None)
    return (dx, *states, dw_ih, dw_hh, *dbs, *[None] * 6)


def _step_back(
    gates: Array, c: Array, c_prev: Array, dh: Array, dc: Array, d: Array, scratch: Array
) -> None:
    """From δh_t and δc_t to d ← δa_t and, in place, dc ← δc_{t−1}."""
    hidden, batch = dh.shape
    i, f, g, o = gates.reshape(4, hidden, batch)
    d_i, d_f, d_g, d_o = blocks = d.reshape(4, hidden, batch)
    tanh_c, term = scratch
    # δc += δh ⊙ o ⊙ (1 − tanh² c)
    np.tanh(c, out=tanh_c)
    np.multiply(tanh_c, tanh_c, out=term)
    np.subtract(1, term, out=term)
    term *= o
    term *= dh
    dc += term
    # the slopes of the nonlinearities: σ′ = σ(1 − σ), tanh′ = 1 − tanh²
    np.subtract(1, gates, out=d)
    d *= gates
    np.multiply(g, g, out=d_g)
    np.subtract(1, d_g, out=d_g)
    # times what each gate was multiplied with, times δc or δh
    d_i *= g
    d_f *= c_prev
    d_g *= i
    blocks[:3] *= dc
    d_o *= tanh_c
    d_o *= dh
    dc *= f
