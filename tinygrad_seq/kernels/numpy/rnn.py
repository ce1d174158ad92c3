"""The simple recurrent net on the CPU; ``kernels/reference/rnn.py`` says what is computed.

Forward, the inputs of all steps are projected in one product, and every step works in place in what
will be the output. Backward, φ′ is computed for all steps at once, and δa_t in its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_seq.backend import Array
from tinygrad_seq.kernels.numpy.memory import empty
from tinygrad_seq.kernels.reference import rnn as reference
from tinygrad_seq.kernels.reference.recurrence import any_given, before, zeros_for_none


def _activate(a: Array, nonlinearity: str) -> None:
    """a ← φ(a)"""
    if nonlinearity == "relu":
        np.maximum(a, 0, out=a)
    elif nonlinearity == "tanh":
        np.tanh(a, out=a)
    else:
        a *= 0.5
        np.tanh(a, out=a)
        a *= 0.5
        a += 0.5


def forward(
    x: Array,
    h0: Array,
    w_ih: Array,
    w_hh: Array,
    b_ih: Array | None,
    b_hh: Array | None,
    nonlinearity: str,
    **options: Any,
) -> tuple[Array, Array, Array]:
    """→ output, h_n, activations. The options are left to the reference."""
    if any_given(options):
        return reference.forward(x, h0, w_ih, w_hh, b_ih, b_hh, nonlinearity, **options)
    steps, batch, inputs = x.shape
    output = empty((steps, batch, len(w_hh)), x.dtype)
    rows = steps * batch
    np.matmul(x.reshape(rows, inputs), w_ih.T, out=output.reshape(rows, len(w_hh)))
    for bias in (b_ih, b_hh):
        if bias is not None:
            output += bias
    h, recurrent = h0, np.empty(h0.shape, x.dtype)
    for a in output:
        a += np.matmul(h, w_hh.T, out=recurrent)
        _activate(a, nonlinearity)
        h = a
    return output, h.copy(), output


def _slope(h: Array, nonlinearity: str) -> Array:
    """φ′(a), where h = φ(a)"""
    slope = empty(h.shape, h.dtype)
    if nonlinearity == "relu":
        return np.greater(h, 0, out=slope)
    if nonlinearity == "tanh":
        np.multiply(h, h, out=slope)
        return np.subtract(1, slope, out=slope)
    np.subtract(1, h, out=slope)
    slope *= h
    return slope


def backward(
    grads: Sequence[Array | None],
    x: Array,
    h0: Array,
    w_ih: Array,
    w_hh: Array,
    output: Array,
    activations: Array,
    nonlinearity: str,
    needs: Sequence[bool],
    **options: Any,
) -> tuple[Array | None, ...]:
    """→ the gradients of x, h0, w_ih, w_hh, b_ih and b_hh, None where not needed."""
    if x.shape[0] * x.shape[1] == 1 or any_given(options):  # one row: nothing to gain
        return reference.backward(
            grads, x, h0, w_ih, w_hh, output, activations, nonlinearity, needs, **options
        )
    g_output, g_h_n = grads
    need_x, need_h0, need_w_ih, need_w_hh, *need_biases = needs[:6]
    (steps, batch, inputs), hidden = x.shape, h0.shape[1]
    dh, da = zeros_for_none(g_h_n, h0).copy(), _slope(output, nonlinearity)
    for t in reversed(range(steps)):
        if g_output is not None:
            dh += g_output[t]
        da[t] *= dh
        if t or need_h0:
            np.matmul(da[t], w_hh, out=dh)
    rows = steps * batch
    flat = da.reshape(rows, hidden)
    dx = dw_ih = dw_hh = None
    if need_x:
        dx = empty(x.shape, x.dtype)
        np.matmul(flat, w_ih, out=dx.reshape(rows, inputs))
    if need_w_ih:
        dw_ih = flat.T @ x.reshape(rows, inputs)
    if need_w_hh:
        dw_hh = flat.T @ before(h0, output).reshape(rows, hidden)
    db = flat.sum(axis=0) if any(need_biases) else None
    dbs = [db.copy() if need and db is not None else None for need in need_biases]
    return dx, dh if need_h0 else None, dw_ih, dw_hh, *dbs, None, None
