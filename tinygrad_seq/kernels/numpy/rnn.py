"""The simple recurrent net on the CPU; ``kernels/reference/rnn.py`` says what is computed.

What makes it fast: the inputs of all steps are projected in one product, every step works in place
in what will be the output, and the weights' gradients come from one product after the loop.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinygrad_seq.backend import Array
from tinygrad_seq.kernels.reference.rnn import input_gradients


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


def _slope(h: Array, nonlinearity: str, out: Array) -> None:
    """out ← φ′, written in terms of h = φ(a)"""
    if nonlinearity == "relu":
        np.greater(h, 0, out=out)
    elif nonlinearity == "tanh":
        np.multiply(h, h, out=out)
        np.subtract(1, out, out=out)
    else:
        np.subtract(1, h, out=out)
        out *= h


def forward(
    x: Array, h0: Array, w_ih: Array, w_hh: Array, b_ih: Array, b_hh: Array, nonlinearity: str
) -> tuple[Array, Array]:
    """→ output, h_n."""
    output = np.tensordot(x, w_ih, axes=(2, 1))
    for bias in (b_ih, b_hh):
        if bias is not None:
            output += bias
    h, recurrent, w = h0, np.empty(h0.shape, x.dtype), np.ascontiguousarray(w_hh.T)
    for a in output:
        a += np.matmul(h, w, out=recurrent)
        _activate(a, nonlinearity)
        h = a
    return output, h.copy()


def backward(
    g_output: Array,
    g_h_n: Array,
    x: Array,
    h0: Array,
    w_ih: Array,
    w_hh: Array,
    output: Array,
    nonlinearity: str,
    needs: Sequence[bool],
) -> tuple[Array | None, ...]:
    """→ the gradients of x, h0, w_ih, w_hh, b_ih and b_hh, None where not needed."""
    need_x, need_h0, *need_weights = needs
    dh = g_h_n.copy()
    da = np.empty_like(output)
    for t in reversed(range(len(output))):
        dh += g_output[t]
        _slope(output[t], nonlinearity, out=da[t])
        da[t] *= dh
        if t or need_h0:
            np.matmul(da[t], w_hh, out=dh)
    dx, *dw = input_gradients(da, x, h0, output, w_ih, [need_x, *need_weights])
    return dx, dh if need_h0 else None, *dw
