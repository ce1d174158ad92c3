"""GELU's "tanh" form on the CPU; the other form is as in ``kernels/reference/gelu.py``.

It is computed a piece at a time and in place: one pass after the other over memory that has to be
fetched anew each time took three times as long, forward and backward.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tinygrad_seq.backend import Array
from tinygrad_seq.kernels.numpy.memory import empty
from tinygrad_seq.kernels.reference import gelu as reference
from tinygrad_seq.kernels.reference.gelu import C, D

#: elements of a piece; as many of x, g, the result and two scratch arrays stay in the cache
_PIECE = 2**14


def forward(x: Array, approximate: str) -> Array:
    """→ y."""
    if approximate == "none" or x.size < _PIECE or not x.flags.c_contiguous:
        return reference.forward(x, approximate)
    made = empty(x.shape, x.dtype)
    kind = x.dtype.type
    for part, out in _pieces(x, made):
        np.multiply(part, part, out=out)
        out *= kind(C * D)
        out += kind(C)
        out *= part
        np.tanh(out, out=out)
        out += 1
        out *= part
        out *= kind(0.5)
    return made


def backward(g: Array, x: Array, approximate: str) -> Array:
    """→ δx."""
    plain = x.flags.c_contiguous and g.flags.c_contiguous and g.dtype == x.dtype
    if approximate == "none" or x.size < _PIECE or not plain:
        return reference.backward(g, x, approximate)
    made = empty(x.shape, x.dtype)
    scratch = np.empty((2, _PIECE), x.dtype)
    for part, slope, out in _pieces(x, g, made):
        _backward(slope, part, out, *scratch[:, : len(part)])
    return made


def _pieces(*arrays: Array) -> Iterator[tuple[Array, ...]]:
    """Contiguous arrays of one size, cut into pieces side by side."""
    flat = [a.reshape(-1) for a in arrays]
    for start in range(0, flat[0].size, _PIECE):
        yield tuple(a[start : start + _PIECE] for a in flat)


def _backward(g: Array, x: Array, out: Array, slope: Array, t: Array) -> None:
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
