"""Ops that rearrange an array without computing anything."""

from __future__ import annotations

import numpy as np

from tinygrad_seq.backend import xp_of
from tinygrad_seq.errors import OutOfRangeError, ShapeError
from tinygrad_seq.ops.checks import expect_axis
from tinygrad_seq.ops.indexing import getitem
from tinygrad_seq.ops.primitive import primitive
from tinygrad_seq.ops.sample import Bad, Sample


@primitive(numpy=np.reshape, samples=[Sample((3, 4), shape=(2, 6)), Sample((3, 4), shape=-1),
                                      Sample((1,), shape=())],
           bad=[Bad(ShapeError, "reshape", (3, 4), shape=(5, 2))], view=True,
           analytic=True)  # fmt: skip
def reshape(x, shape):
    """The same numbers in the same order, in another shape; one size may be −1.

    A view where the memory allows, else a copy.
    """
    return x.reshape(shape)


reshape.vjp(x=lambda g, x_shape: reshape(g, x_shape))


@primitive(numpy=np.broadcast_to, samples=[Sample((3, 1), shape=(2, 3, 4))],
           bad=[Bad(ShapeError, "broadcast", (3, 2), shape=(3, 4))], view=True,
           analytic=True)  # fmt: skip
def broadcast_to(x, shape):
    """Repeat x along new and size-one axes, without copying."""
    return xp_of(x).broadcast_to(x, shape)


broadcast_to.vjp(x=lambda g: g)  # the tape sums a gradient back to the shape of its input


def _argsort(axes):
    return tuple(sorted(range(len(axes)), key=axes.__getitem__))


@primitive(numpy=np.transpose, samples=[Sample((3, 4)), Sample((2, 3, 4), axes=(2, 0, 1))],
           bad=[Bad(ShapeError, "axes", (3, 4), axes=(0,))], view=True, analytic=True)  # fmt: skip
def transpose(x, axes=None):
    """Axes in another order; all reversed by default."""
    return x.transpose(axes)


def _transpose_rule(g, axes):
    if axes is None:
        return transpose(g)
    n = len(axes)
    return transpose(g, _argsort([a % n for a in axes]))


transpose.vjp(x=_transpose_rule)


@primitive(numpy=np.swapaxes, samples=[Sample((2, 3, 4), 0, -1)],
           bad=[Bad(OutOfRangeError, "axis", (3, 4), 0, 2)], view=True, analytic=True)  # fmt: skip
def swapaxes(x, axis1, axis2):
    """Two axes exchanged."""
    return x.swapaxes(*(expect_axis("swapaxes", axis, x.ndim) for axis in (axis1, axis2)))


swapaxes.vjp(x=lambda g, axis1, axis2: swapaxes(g, axis1, axis2))


@primitive(numpy=np.squeeze, samples=[Sample((3, 1, 4)), Sample((1, 3, 1), axis=-1)],
           bad=[Bad(ShapeError, "squeeze", (3, 4), axis=0)], view=True, analytic=True)  # fmt: skip
def squeeze(x, axis=None):
    """Without axes of size one."""
    return x.squeeze(axis=axis)


squeeze.vjp(x=lambda g, x_shape: reshape(g, x_shape))


@primitive(numpy=np.expand_dims, samples=[Sample((3, 4), 1), Sample((3, 4), axis=(0, -1)),
                                          Sample((), 0)],
           bad=[Bad(OutOfRangeError, "axis", (3, 4), 3)], view=True, analytic=True)  # fmt: skip
def expand_dims(x, axis):
    """With new axes of size one, at these places of the result."""
    return xp_of(x).expand_dims(x, axis)


expand_dims.vjp(x=lambda g, x_shape: reshape(g, x_shape))


@primitive(numpy=np.stack, samples=[Sample([(3, 4), (3, 4)]), Sample([(3,), (3,), (3,)], axis=-1)],
           bad=[Bad(ShapeError, "stack", [(3, 4), (4, 3)])], sequence=True,
           analytic=True)  # fmt: skip
def stack(arrays, axis=0):
    """Arrays of one shape, along a new axis."""
    return xp_of(arrays[0]).stack(arrays, axis=axis)


@stack.vjp_all
def _stack_rule(g, arrays_shape, axis):
    axis %= len(arrays_shape[0]) + 1
    at = (slice(None),) * axis
    return [getitem(g, (*at, i)) for i in range(len(arrays_shape))]


@primitive(numpy=np.concatenate, samples=[Sample([(2, 3), (4, 3)]),
                                          Sample([(2, 3), (2, 1)], axis=-1)],
           bad=[Bad(ShapeError, "concatenate", [(3, 4), (4, 3)])], sequence=True,
           bench=Sample([(1024, 512), (1024, 512)], axis=1), analytic=True)  # fmt: skip
def concatenate(arrays, axis=0):
    """Arrays one after another along an axis they have."""
    return xp_of(arrays[0]).concatenate(arrays, axis=axis)


@concatenate.vjp_all
def _concatenate_rule(g, arrays_shape, axis):
    axis %= len(arrays_shape[0])
    at = (slice(None),) * axis
    parts, start = [], 0
    for shape in arrays_shape:
        stop = start + shape[axis]
        parts.append(getitem(g, (*at, slice(start, stop))))
        start = stop
    return parts
