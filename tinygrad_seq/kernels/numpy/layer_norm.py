"""Layer normalisation on the CPU, some rows at a time, so that they stay in the cache.

``kernels/reference/layer_norm.py`` says what is computed and what the names mean. Sums over all of
a row, or over all rows, are products with a vector, where they can be: BLAS is faster at them than
NumPy's reductions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tinygrad_seq.backend import Array
from tinygrad_seq.kernels.numpy.memory import empty
from tinygrad_seq.kernels.reference import layer_norm as reference

#: elements of a block: a few arrays of this size fit into the second-level cache
_BLOCK = 2**17


def _blocks(rows: int, width: int) -> Iterator[slice]:
    step = max(1, _BLOCK // width)
    return (slice(start, start + step) for start in range(0, rows, step))


def _like(x: Array) -> Array:
    """Memory for a result of x's shape."""
    large = x.nbytes >= 2**20
    return empty(x.shape, x.dtype) if large else np.empty(x.shape, x.dtype)


def _one_dtype(x: Array, *others: Array | None) -> bool:
    """Whether all are float32, or all float64; BLAS has no others."""
    kinds = {a.dtype for a in (x, *others) if a is not None}
    return len(kinds) == 1 and x.dtype in (np.float32, np.float64)


def forward(
    x: Array, weight: Array | None, bias: Array | None, eps: float
) -> tuple[Array, Array, Array]:
    """→ y, μ and r."""
    if not _one_dtype(x, weight, bias):
        return reference.forward(x, weight, bias, eps)
    rows, width = x.shape
    share = np.full(width, 1 / width, x.dtype)
    out = _like(x)
    mean, rate = np.empty((rows, 1), x.dtype), np.empty((rows, 1), x.dtype)
    for part in _blocks(rows, width):
        y, xs = out[part], x[part]
        mean[part, 0] = xs @ share
        np.subtract(xs, mean[part], out=y)
        variance = np.vecdot(y, y)
        variance *= share[0]
        variance += x.dtype.type(eps)
        rate[part, 0] = 1 / np.sqrt(variance)
        y *= rate[part]
        if weight is not None:
            y *= weight
        if bias is not None:
            y += bias
    return out, mean, rate


def backward(
    g: Array, x: Array, weight: Array | None, mean: Array, rate: Array, needs: Sequence[bool]
) -> tuple[Array | None, Array | None, Array | None]:
    """→ δx, δγ and δβ, None where not needed."""
    if not _one_dtype(x, g, weight):
        return reference.backward(g, x, weight, mean, rate, needs)
    need_x, need_weight, need_bias = needs
    rows, width = x.shape
    dx = _like(x) if need_x else None
    dweight = np.zeros(width, x.dtype) if need_weight else None
    share = np.full(width, 1 / width, x.dtype)
    if weight is not None:
        share *= weight
    for part in _blocks(rows, width):
        if not (need_x or need_weight):
            break
        gs = g[part]
        x_hat = x[part] - mean[part]
        x_hat *= rate[part]
        product = gs * x_hat
        if dweight is not None:
            dweight += np.ones(len(gs), x.dtype) @ product
        if dx is None:
            continue
        d = np.multiply(gs, 1 if weight is None else weight, out=dx[part])
        d -= (gs @ share)[:, None]
        x_hat *= (product @ share)[:, None]
        d -= x_hat
        d *= rate[part]
    return dx, dweight, np.ones(rows, x.dtype) @ g if need_bias else None
