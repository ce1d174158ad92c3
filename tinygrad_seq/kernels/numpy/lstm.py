"""LSTM on the CPU; ``kernels/reference/lstm.py`` says what is computed and what the names mean.

What makes it fast:

- The states of a step are feature-major, (4H, B): each gate is then one piece of memory.
- One product per step gives the whole a_t: [W_ih W_hh b] times the column [x_t; h_{t−1}; 1].
- σ(a) = 1/(1 + e⁻ᵃ). The sign is put into the weights; tanh, which is slower, is for g and c only.
- Everything is computed in place, in memory that is used again for the next step.
- On the way back δa_t is a factor times δc_t or δh_t, and the factors of a block of steps are
  computed at once; so are, then, the weights' gradients.

Gates and cells are stored feature-major and returned as batch-major views, the reference's shapes;
so the backward of either kernel can follow the forward of the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tinygrad_seq.backend import Array
from tinygrad_seq.kernels.numpy import blocks
from tinygrad_seq.kernels.numpy.memory import empty
from tinygrad_seq.kernels.reference import lstm as reference
from tinygrad_seq.kernels.reference.recurrence import any_given, zeros_for_none

_ROWS = blocks.ROWS


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
    few = not blocks.pays(w_ih.size + w_hh.size, steps, h0.size)
    if few or any_given(options):
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
    one_row = x.shape[0] * x.shape[1] == 1
    if one_row or g_gates is not None or any_given(options):
        return reference.backward(
            grads, x, h0, c0, w_ih, w_hh, output, cells, gates, needs, **options
        )
    (_, batch, inputs), hidden = x.shape, h0.shape[1]
    need_x, need_h0, need_c0, need_w_ih, need_w_hh, *need_biases = needs[:7]
    gates, cells = gates.transpose(0, 2, 1), cells.transpose(0, 2, 1)
    dh, dc = (zeros_for_none(g, like).T.copy() for g, like in ((g_h_n, h0), (g_c_n, c0)))
    dx = empty(x.shape, x.dtype) if need_x else None
    dw_ih = dw_hh = db = None
    for start, stop, da in _deltas(g_output, g_cells, c0, cells, gates, w_hh, dh, dc, need_h0):
        part, rows = slice(start, stop), (stop - start) * batch
        if dx is not None:
            np.matmul(da.T, w_ih, out=dx[part].reshape(rows, inputs))
        if need_w_ih:
            dw_ih = blocks.plus(dw_ih, da @ x[part].reshape(rows, inputs))
        if need_w_hh:
            h_before = blocks.before(h0, output, start, stop)
            dw_hh = blocks.plus(dw_hh, da @ h_before.reshape(rows, hidden))
        if any(need_biases):
            db = blocks.plus(db, da.sum(axis=1))
    dbs = [db.copy() if need and db is not None else None for need in need_biases]
    states = (dh.T if need_h0 else None, dc.T if need_c0 else None)
    return (dx, *states, dw_ih, dw_hh, *dbs, *[None] * 6)


def _deltas(
    g_output: Array | None, g_cells: Array | None, c0: Array, cells: Array, gates: Array,
    w_hh: Array, dh: Array, dc: Array, need_h0: bool,
) -> Iterator[tuple[int, int, Array]]:  # fmt: skip
    """Back through the steps: for every block of them its start, its stop and δa, (4H, steps × B).

    dh and dc are ∂L/∂h_n and ∂L/∂c_n to begin with, ∂L/∂h0 and ∂L/∂c0 in the end.
    """
    (steps, hidden, batch), dtype = cells.shape, cells.dtype
    length = min(steps, -(-_ROWS // batch))
    of_steps = np.empty((length, 4, hidden, batch), dtype)
    of_rows = np.empty((4, hidden, length, batch), dtype)
    look_of_steps, scratch = np.empty((length, hidden, batch), dtype), np.empty_like(dh)
    for stop in range(steps, 0, -length):
        start = max(0, stop - length)
        d, look = of_steps[: stop - start], look_of_steps[: stop - start]
        _factors(gates[start:stop], cells[start:stop], cells[start - 1] if start else c0.T, d, look)
        for t in reversed(range(start, stop)):
            if g_output is not None:
                dh += g_output[t].T
            if g_cells is not None:
                dc += g_cells[t].T
            dc += np.multiply(look[t - start], dh, out=scratch)
            d_ifg, d_o = d[t - start, :3], d[t - start, 3]
            d_ifg *= dc
            d_o *= dh
            dc *= gates[t, hidden : 2 * hidden]
            if t or need_h0:
                np.matmul(w_hh.T, d[t - start].reshape(-1, batch), out=dh)
        da = of_rows[:, :, : stop - start]
        da[...] = d.transpose(1, 2, 0, 3)
        yield start, stop, da.reshape(4 * hidden, -1)


def _factors(gates: Array, c: Array, c_before: Array, d: Array, look: Array) -> None:
    """For a block of steps, which c_before precedes: d ← what δc_t (i, f, g) or δh_t (o) is
    multiplied with to give δa_t, and look ← what δh_t is to give what h_t adds to δc_t."""
    i, _, g, o = np.split(gates, 4, axis=1)
    d_i, d_f, d_g, d_o = d.transpose(1, 0, 2, 3)
    # the slopes of the nonlinearities: σ′ = σ(1 − σ), tanh′ = 1 − tanh²
    flat = d.reshape(gates.shape)
    np.subtract(1, gates, out=flat)
    flat *= gates
    np.multiply(g, g, out=d_g)
    np.subtract(1, d_g, out=d_g)
    # times what each gate was multiplied with
    d_i *= g
    d_f[0] *= c_before
    d_f[1:] *= c[:-1]
    d_g *= i
    np.tanh(c, out=look)
    d_o *= look
    # ∂h/∂c = o ⊙ (1 − tanh² c)
    look *= look
    np.subtract(1, look, out=look)
    look *= o
