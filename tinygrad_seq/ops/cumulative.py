"""Running sums, and products over axes."""

from __future__ import annotations

import math

import numpy as np

from tinygrad_seq.errors import OutOfRangeError
from tinygrad_seq.ops.casting import full_like
from tinygrad_seq.ops.indexing import getitem
from tinygrad_seq.ops.primitive import primitive
from tinygrad_seq.ops.rearranging import flip
from tinygrad_seq.ops.reductions import axes_of, count, spread
from tinygrad_seq.ops.sample import Bad, Sample
from tinygrad_seq.ops.shaping import concatenate, expand_dims, reshape, transpose

_BENCH = Sample((1024, 1024), axis=1)
_BAD_AXIS = [Bad(OutOfRangeError, "axis", (3, 4), axis=2)]


@primitive(numpy=np.cumsum, samples=[Sample((3, 4)), Sample((3, 4), axis=0), Sample((2, 3, 4), -1)],
           bad=_BAD_AXIS, bench=_BENCH, analytic=True)  # fmt: skip
def cumsum(x, axis=None):
    """Running sum along an axis (of the flat array if None): out_t = Σ_{s≤t} x_s.

    Its transpose runs from the end: ∂L/∂x_s = Σ_{t≥s} g_t.
    """
    return x.cumsum(axis=axis)


def _cumsum_rule(g, x_shape, axis):
    if axis is None:
        return reshape(flip(cumsum(flip(g))), x_shape)
    return flip(cumsum(flip(g, axis), axis), axis)


cumsum.vjp(x=_cumsum_rule)


@primitive(
    numpy=np.prod,
    samples=[
        Sample((3, 4)),
        Sample((3, 4), axis=1),
        Sample((2, 3, 5), axis=(0, -1), keepdims=True),
        Sample((2, 1, 4), axis=1),
        Sample(()),
    ],
    bad=_BAD_AXIS,
    bench=_BENCH,
    analytic=True,
)
def prod(x, axis=None, keepdims=False):
    """Product over axes: out = Π x. The derivative by one element is the product of the others,
    found without dividing, so that zeros do no harm."""
    return x.prod(axis=axis, keepdims=keepdims)


def _prod_rule(g, x, axis, keepdims):
    shape = x.shape
    if not math.prod(shape):
        return spread(g, shape, axis, keepdims)
    axes = axes_of(len(shape), axis)
    order = (*axes, *[i for i in range(len(shape)) if i not in axes])
    front = transpose(x, order)
    others = _others(reshape(front, (count(shape, axis), -1)))
    back = tuple(sorted(range(len(order)), key=order.__getitem__))
    return spread(g, shape, axis, keepdims) * transpose(reshape(others, front.shape), back)


def _others(x):
    """For each row the product of all other rows, elementwise, in log₂ n steps.

    Up a tree of pairs: each node is the product below it. Then down: what is outside a node is
    what is outside its parent, times its sibling.
    """
    rows, siblings = x.shape[0], []
    while x.shape[0] > 1:
        if x.shape[0] % 2:
            x = concatenate([x, full_like(x, 1, shape=(1, x.shape[1]))])
        pairs = reshape(x, (-1, 2, x.shape[1]))
        siblings.append(flip(pairs, 1))
        x = getitem(pairs, (slice(None), 0)) * getitem(pairs, (slice(None), 1))
    outside = full_like(x, 1)
    for sibling in reversed(siblings):
        n = sibling.shape[0]
        below = expand_dims(getitem(outside, slice(n)), 1) * sibling
        outside = reshape(below, (2 * n, below.shape[2]))
    return getitem(outside, slice(rows))


prod.vjp(x=_prod_rule)
