"""The derivative of GELU's "tanh" form on the CPU; the rest is as in ``kernels/reference/gelu.py``.

It is computed a piece at a time and in place: one pass after the other over memory that has to be
fetched anew each time took three times as long.
"""

from __future__ import annotations

import numpy as np

from tinygrad_seq.backend import Array
from tinygrad_seq.kernels.numpy.memory import empty
from tinygrad_seq.kernels.reference import gelu as reference
from tinygrad_seq.kernels.reference.gelu import C, D, forward

__all__ = ["backward", "forward"]

#: elements of a piece; as many of x, g, the result and two scratch arrays stay in the cache
_PIECE = 2**14


def backward(g: Array, x: Array, approximate: str) -> Array:
    """→ δx."""
    plain = x.flags.c_contiguous and g.flags.c_contiguous and g.dtype == x.dtype
    if approximate == "none" or x.size < _PIECE or not plain:
        return reference.backward(g, x, approximate)
    made = empty(x.shape, x.dtype)
    flat, scratch = (a.reshape(-1) for a in (x, g, made)), np.empty((2, _PIECE), x.dtype)
    xs, gs, outs = flat
    for start in range(0, x.size, _PIECE):
        part = slice(start, start + _PIECE)
        _piece(gs[part], xs[part], outs[part], *scratch[:, : len(xs[part])])
    return made


def _piece(g: Array, x: Array, out: Array, slope: Array, t: Array) -> None:
    """out ← g ⊙ (1 + t + (1 − t²) x u′)/2."""
    kind = x.dtype.type
    np.multiply(x, x, out=slope)
    np.multiply(slope, kind(C * D), out=t)
    t += kind(C)
    t *= x
    np.tanh(t, out=t)
    slope *= kind(3 * C * D)
    slope += kind(C)
    slope *= x
    np.multiply(t, t, out=out)
    np.subtract(1, out, out=out)
    out *= slope
    out += t
    out += 1
    out *= g
    out *= kind(0.5)
