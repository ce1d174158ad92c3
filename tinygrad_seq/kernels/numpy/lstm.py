"""LSTM on the CPU; ``kernels/reference/lstm.py`` says what is computed and what the names mean.

What makes it fast:

- The states of a step are feature-major, (4H, B): each gate is then one piece of memory.
- One product per step gives the whole a_t: [W_ih W_hh b] times the column [x_t; h_{t−1}; 1].
- σ(a) = (1 + tanh(a/2))/2. The halves are put into the weights, so one tanh serves all gates.
- Everything is computed in place, in memory that is used again for the next step.
- The weights' gradients come after the loop, from one product for all steps.

Gates and cells are stored feature-major and returned as batch-major views, the reference's shapes;
so the backward of either kernel can follow the forward of the other.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinygrad_seq.backend import Array


def _joint_weights(w_ih: Array, w_hh: Array, b_ih: Array, b_hh: Array) -> Array:
    """[W_ih W_hh b], with the rows of i, f and o halved."""
    n, inputs = w_ih.shape
    hidden = n // 4
    w = np.zeros((n, inputs + hidden + 1), w_ih.dtype)
    w[:, :inputs] = w_ih
    w[:, inputs:-1] = w_hh
    for bias in (b_ih, b_hh):
        if bias is not None:
            w[:, -1] += bias
    w[: 2 * hidden] *= 0.5
    w[3 * hidden :] *= 0.5
    return w


def forward(
    x: Array, h0: Array, c0: Array, w_ih: Array, w_hh: Array, b_ih: Array, b_hh: Array
) -> tuple[Array, ...]:
    """→ output, h_n, c_n, gates, cells."""
    (steps, batch, inputs), hidden, dtype = x.shape, h0.shape[1], x.dtype
    w = _joint_weights(w_ih, w_hh, b_ih, b_hh)
    z = np.empty((steps + 1, inputs + hidden + 1, batch), dtype)  # [x_t; h_{t−1}; 1]
    z[:-1, :inputs] = x.transpose(0, 2, 1)
    z[0, inputs:-1] = h0.T
    z[:, -1] = 1
    h = z[:, inputs:-1]
    gates = np.empty((steps, 4 * hidden, batch), dtype)
    cells = np.empty((steps, hidden, batch), dtype)
    c_prev, scratch = c0.T.copy(), np.empty((hidden, batch), dtype)
    for t in range(steps):
        a, c = gates[t], cells[t]
        i, f, g, o = a.reshape(4, hidden, batch)
        np.matmul(w, z[t], out=a)
        np.tanh(a, out=a)
        for sigmoids in (a[: 2 * hidden], o):
            sigmoids *= 0.5
            sigmoids += 0.5
        np.multiply(f, c_prev, out=c)
        np.multiply(i, g, out=scratch)
        c += scratch
        np.tanh(c, out=scratch)
        np.multiply(o, scratch, out=h[t + 1])
        c_prev = c
    output = h[1:].transpose(0, 2, 1).copy()
    gates, cells = gates.transpose(0, 2, 1), cells.transpose(0, 2, 1)
    return output, output[-1].copy(), cells[-1].copy(), gates, cells


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
    """→ the gradients of x, h0, c0, w_ih, w_hh, b_ih and b_hh, None where not needed."""
    (steps, batch, _), hidden, dtype = x.shape, h0.shape[1], x.dtype
    need_x, need_h0, need_c0, need_w_ih, need_w_hh, *need_biases = needs
    gates, cells, g_h = (v.transpose(0, 2, 1) for v in (gates, cells, g_output))
    w_hh_t = np.ascontiguousarray(w_hh.T)
    dh, dc = g_h_n.T.copy(), g_c_n.T.copy()
    da = np.empty((4 * hidden, steps, batch), dtype)  # laid out for the products after the loop
    d = np.empty((4, hidden, batch), dtype)
    scratch = np.empty((hidden, batch), dtype)
    tanh_c = np.empty_like(scratch)
    c0 = c0.T
    for t in reversed(range(steps)):
        a = gates[t].reshape(4, hidden, batch)
        i, f, g, o = a
        d_i, d_f, d_g, d_o = d
        np.tanh(cells[t], out=tanh_c)
        dh += g_h[t]
        # δc += δh ⊙ o ⊙ (1 − tanh² c)
        np.multiply(tanh_c, tanh_c, out=scratch)
        np.subtract(1, scratch, out=scratch)
        scratch *= o
        scratch *= dh
        dc += scratch
        # the slopes of the nonlinearities: σ′ = σ(1 − σ), tanh′ = 1 − tanh²
        np.subtract(1, a, out=d)
        d *= a
        np.multiply(g, g, out=d_g)
        np.subtract(1, d_g, out=d_g)
        # times what each gate was multiplied with, times δc or δh
        d_i *= g
        d_f *= cells[t - 1] if t else c0
        d_g *= i
        d[:3] *= dc
        d_o *= tanh_c
        d_o *= dh
        da[:, t] = d.reshape(4 * hidden, batch)
        dc *= f
        if t or need_h0:
            np.matmul(w_hh_t, d.reshape(4 * hidden, batch), out=dh)
    da = da.reshape(4 * hidden, steps * batch)
    dw_hh = None
    if need_w_hh:
        dw_hh = da @ np.concatenate([h0[None], output[:-1]]).reshape(steps * batch, hidden)
    db = da.sum(axis=1) if any(need_biases) else None
    return (
        (da.T @ w_ih).reshape(x.shape) if need_x else None,
        dh.T if need_h0 else None,
        dc.T if need_c0 else None,
        da @ x.reshape(steps * batch, -1) if need_w_ih else None,
        dw_hh,
        *(db.copy() if need else None for need in need_biases),
    )
