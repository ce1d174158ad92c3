"""Reductions over axes: sums, means, extremes.

``axis`` is an integer, a tuple of integers or None (all axes); ``keepdims`` keeps the reduced axes
with size one. An axis that is not there raises OutOfRangeError.
"""

from __future__ import annotations

import math

import numpy as np

from tinygrad_seq.backend import xp_of
from tinygrad_seq.errors import ArgumentError, OutOfRangeError, ShapeError, expect
from tinygrad_seq.ops.casting import astype
from tinygrad_seq.ops.choosing import where
from tinygrad_seq.ops.primitive import primitive
from tinygrad_seq.ops.sample import Bad, Booleans, Sample
from tinygrad_seq.ops.shaping import broadcast_to, reshape

_AXES = [
    Sample((3, 4)),
    Sample((3, 4), axis=1),
    Sample((2, 3, 4), axis=(0, -1), keepdims=True),
    Sample((2, 3, 4), axis=-2),
    Sample(()),
]
_BAD_AXIS = [Bad(OutOfRangeError, "axis", (3, 4), axis=2)]
_BAD_EMPTY = [*_BAD_AXIS, Bad(ShapeError, "zero-size", (0, 4), axis=0)]
_BENCH = Sample((1024, 1024), axis=1)


def axes_of(ndim, axis):
    """The axes a reduction goes over, as numbers from 0 up."""
    if axis is None:
        return tuple(range(ndim))
    return tuple(a % ndim if ndim else a for a in (axis if isinstance(axis, tuple) else (axis,)))


def kept(shape, axis):
    """``shape`` after a reduction over ``axis`` with keepdims=True."""
    axes = axes_of(len(shape), axis)
    return tuple(1 if i in axes else n for i, n in enumerate(shape))


def count(shape, axis):
    """How many elements a reduction over ``axis`` takes together."""
    return math.prod(shape[a] for a in axes_of(len(shape), axis))


def spread(g, shape, axis, keepdims):
    """Undo a reduction: put the reduced axes back and broadcast ``g`` along them."""
    if not keepdims:
        g = reshape(g, kept(shape, axis))
    return broadcast_to(g, shape)


@primitive(numpy=np.sum, samples=_AXES, bad=_BAD_AXIS, bench=_BENCH, analytic=True)
def sum(x, axis=None, keepdims=False):
    """Sum over axes: out = Σ x. Every summed element has derivative 1."""
    return x.sum(axis=axis, keepdims=keepdims)


sum.vjp(x=lambda g, x_shape, axis, keepdims: spread(g, x_shape, axis, keepdims))


@primitive(numpy=np.mean, samples=_AXES, bench=_BENCH, analytic=True,
           bad=[*_BAD_AXIS, Bad(ShapeError, "at least one element", (0, 4), axis=0)])  # fmt: skip
def mean(x, axis=None, keepdims=False):
    """Mean over axes: out = Σ x / n. Every element has derivative 1/n. n = 0 raises."""
    if not x.size:
        _expect_elements("mean", x.shape, axis)
    return x.mean(axis=axis, keepdims=keepdims)


def _expect_elements(op, shape, axis):
    expect(count(shape, axis), op, f"at least one element along axis {axis}", shape)


mean.vjp(
    x=lambda g, x_shape, axis, keepdims: spread(g / count(x_shape, axis), x_shape, axis, keepdims)
)


_SPREADS = [
    Sample((3, 4)),
    Sample((3, 4), axis=1, ddof=1),
    Sample((2, 3, 4), axis=(0, -1), keepdims=True),
    Sample((2, 3, 4), axis=-2, ddof=0.5),
]
_BAD_SPREADS = [
    *_BAD_AXIS,
    Bad(ShapeError, "at least one element", (0, 4), axis=0),
    Bad(ArgumentError, "ddof below 4", (3, 4), axis=1, ddof=4),
]


def _freedom(op, shape, axis, ddof):
    """n − ddof, what a sum of squares is divided by."""
    _expect_elements(op, shape, axis)
    n = count(shape, axis)
    expect(ddof < n, op, f"ddof below {n}, the number of elements", ddof, ArgumentError)
    return n - ddof


def _variance(op, x, axis, ddof, keepdims):
    n = _freedom(op, x.shape, axis, ddof)
    d = x - x.mean(axis=axis, keepdims=True)
    return (d * d).sum(axis=axis, keepdims=keepdims) / n


def _deviation(x, axis):
    return x - mean(x, axis=axis, keepdims=True)


@primitive(numpy=np.var, samples=_SPREADS, bad=_BAD_SPREADS, bench=_BENCH, analytic=True)
def var(x, axis=None, ddof=0, keepdims=False):
    """Variance over axes: out = Σ (x − x̄)²/(n − ddof), ∂out/∂x = 2(x − x̄)/(n − ddof).

    ddof: 0 as in NumPy; 1 for the unbiased estimate, which is PyTorch's default.
    """
    return _variance("var", x, axis, ddof, keepdims)


def _var_rule(g, x, axis, ddof, keepdims):
    scale = 2 / _freedom("var", x.shape, axis, ddof)
    return spread(g, x.shape, axis, keepdims) * (scale * _deviation(x, axis))


var.vjp(x=_var_rule)


@primitive(numpy=np.std, samples=_SPREADS, bad=_BAD_SPREADS, bench=_BENCH, analytic=True)
def std(x, axis=None, ddof=0, keepdims=False):
    """Standard deviation over axes: the root of ``var``, ∂out/∂x = (x − x̄)/((n − ddof)·out).

    Where all elements are equal out is 0 and so is the gradient.
    """
    return xp_of(x).sqrt(_variance("std", x, axis, ddof, keepdims))


def _std_rule(g, x, out, axis, ddof, keepdims):
    g = g / (where(out == 0, 1, out) * _freedom("std", x.shape, axis, ddof))
    return spread(g, x.shape, axis, keepdims) * _deviation(x, axis)


std.vjp(x=_std_rule)


@primitive(numpy=np.max, samples=_AXES, bad=_BAD_EMPTY, bench=_BENCH)
def max(x, axis=None, keepdims=False):
    """Largest element over axes. The gradient is shared equally among equal largest ones."""
    return x.max(axis=axis, keepdims=keepdims)


def shares(hits, g, shape, axis, keepdims):
    """``g`` shared equally among the elements of ``shape`` marked in ``hits``."""
    hits = astype(hits, g.dtype)
    return spread(g, shape, axis, keepdims) * (hits / sum(hits, axis=axis, keepdims=True))


def _extremum_rule(g, x, out, axis, keepdims):
    return shares(x == spread(out, x.shape, axis, keepdims), g, x.shape, axis, keepdims)


max.vjp(x=_extremum_rule)


@primitive(numpy=np.min, samples=_AXES, bad=_BAD_EMPTY, bench=_BENCH)
def min(x, axis=None, keepdims=False):
    """Smallest element over axes. The gradient is shared equally among equal smallest ones."""
    return x.min(axis=axis, keepdims=keepdims)


min.vjp(x=_extremum_rule)


_ONE_AXIS = [Sample((3, 4)), Sample((3, 4), axis=1), Sample((2, 3, 4), axis=-2, keepdims=True)]


@primitive(numpy=np.argmax, samples=_ONE_AXIS, bad=_BAD_AXIS, nondiff=("x",))
def argmax(x, axis=None, keepdims=False):
    """Index of the largest element along an axis (of the flat array if None); the first if tied."""
    return x.argmax(axis=axis, keepdims=keepdims)


@primitive(numpy=np.argmin, samples=_ONE_AXIS, bad=_BAD_AXIS, nondiff=("x",))
def argmin(x, axis=None, keepdims=False):
    """Index of the smallest element along an axis; the first if tied."""
    return x.argmin(axis=axis, keepdims=keepdims)


@primitive(numpy=np.all, samples=[Sample(Booleans((3, 4), 0.8), axis=1)], nondiff=("x",))
def all(x, axis=None, keepdims=False):
    """Whether every element along an axis is true."""
    return x.all(axis=axis, keepdims=keepdims)


@primitive(numpy=np.any, samples=[Sample(Booleans((3, 4), 0.2), axis=1)], nondiff=("x",))
def any(x, axis=None, keepdims=False):
    """Whether some element along an axis is true."""
    return x.any(axis=axis, keepdims=keepdims)
