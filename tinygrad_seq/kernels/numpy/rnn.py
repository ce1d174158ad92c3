"""The simple recurrent net on the CPU; ``kernels/reference/rnn.py`` says what is computed.

The forward is faster: the inputs of all steps are projected in one product, and every step works in
place in what will be the output. Going backward the products take nearly all the time, and the
reference makes as few of them as can be.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_seq.backend import Array
from tinygrad_seq.kernels.numpy.memory import empty
from tinygrad_seq.kernels.reference import rnn as reference
from tinygrad_seq.kernels.reference.recurrence import any_given

__all__ = ["backward", "forward"]

backward = reference.backward


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
