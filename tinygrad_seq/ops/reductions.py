"""Reductions over axes, and cumulative ones."""

from __future__ import annotations

import math

import numpy as np

from tinygrad_seq.errors import OutOfRangeError
from tinygrad_seq.ops.casting import astype
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


def kept(shape, axis):
    """``shape`` after a reduction over ``axis`` with keepdims=True."""
    if axis is None:
        return (1,) * len(shape)
    axes = {a % len(shape) for a in ((axis,) if isinstance(axis, int) else axis)}
    return tuple(1 if i in axes else n for i, n in enumerate(shape))


def spread(g, shape, axis, keepdims):
    """Undo a reduction: put the reduced axes back and broadcast ``g`` along them."""
    if not keepdims:
        g = reshape(g, kept(shape, axis))
    return broadcast_to(g, shape)


@primitive(numpy=np.sum, samples=_AXES, bad=_BAD_AXIS, bench=Sample((1024, 1024), axis=1),
           analytic=True)  # fmt: skip
def sum(x, axis=None, keepdims=False):
    """Sum over axes: out = Σ x. Every summed element has derivative 1."""
    return x.sum(axis=axis, keepdims=keepdims)


sum.vjp(x=lambda g, x_shape, axis, keepdims: spread(g, x_shape, axis, keepdims))


@primitive(numpy=np.mean, samples=_AXES, bad=_BAD_AXIS, bench=Sample((1024, 1024), axis=1),
           analytic=True)  # fmt: skip
def mean(x, axis=None, keepdims=False):
    """Mean over axes: out = Σ x / n. Every element has derivative 1/n."""
    return x.mean(axis=axis, keepdims=keepdims)


def _mean_rule(g, x_shape, out_shape, axis, keepdims):
    n = math.prod(x_shape) / max(1, math.prod(out_shape))
    return spread(g / n, x_shape, axis, keepdims)


mean.vjp(x=_mean_rule)


@primitive(numpy=np.max, samples=_AXES, bad=_BAD_AXIS, bench=Sample((1024, 1024), axis=1))
def max(x, axis=None, keepdims=False):
    """Largest element over axes. The gradient is shared equally among equal largest ones."""
    return x.max(axis=axis, keepdims=keepdims)


def _extremum_rule(g, x, out, axis, keepdims):
    hits = x == spread(out, x.shape, axis, keepdims)
    share = astype(hits, g.dtype)
    return spread(g, x.shape, axis, keepdims) * (share / sum(share, axis=axis, keepdims=True))


max.vjp(x=_extremum_rule)


@primitive(numpy=np.min, samples=_AXES, bad=_BAD_AXIS, bench=Sample((1024, 1024), axis=1))
def min(x, axis=None, keepdims=False):
    """Smallest element over axes. The gradient is shared equally among equal smallest ones."""
    return x.min(axis=axis, keepdims=keepdims)


min.vjp(x=_extremum_rule)


@primitive(numpy=np.argmax, samples=[Sample((3, 4)), Sample((3, 4), axis=1)], nondiff=("x",))
def argmax(x, axis=None, keepdims=False):
    """Index of the largest element along an axis (of the flat array if None); the first if tied."""
    return x.argmax(axis=axis, keepdims=keepdims)


@primitive(numpy=np.argmin, samples=[Sample((3, 4)), Sample((3, 4), axis=1)], nondiff=("x",))
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
