"""Selecting elements, and putting them back.

An index is *basic* if it holds only integers, slices, ``None`` and ``...``: its result is a view,
and no element is taken twice. Every other index (arrays, lists, masks) gives a copy, and its
transpose has to add up what was taken more than once.
"""

from __future__ import annotations

import numpy as np

from tinygrad_seq.backend import is_array, xp_of
from tinygrad_seq.errors import OutOfRangeError, ShapeError, expect
from tinygrad_seq.ops.checks import expect_axis, expect_integers, expect_range
from tinygrad_seq.ops.primitive import primitive
from tinygrad_seq.ops.sample import Bad, Booleans, Integers, Sample

_BASIC = frozenset([int, slice, type(None), type(Ellipsis)])


def is_basic(index):
    """Whether an index selects by integers, slices, None and Ellipsis only."""
    for i in index if type(index) is tuple else (index,):
        if type(i) not in _BASIC and not isinstance(i, np.integer):
            return False
    return True


def getitem(x, index):
    """Selected elements: out = x[index], with slices, integers, arrays and masks as in NumPy.

    A view for slices and integers, else a copy. Out-of-range indices raise OutOfRangeError, on
    every device.
    """
    return basic_getitem(x, index) if is_basic(index) else array_getitem(x, index)


@primitive(
    samples=[
        Sample((5, 4), slice(1, None, 2)),
        Sample((5, 4), -1),
        Sample((5, 4), index=(Ellipsis, -1)),
        Sample((5, 4), index=(2, 3)),
        Sample((5, 4), index=(None, slice(None, None, -1), 2)),
    ],
    bad=[Bad(OutOfRangeError, "out of bounds", (5, 4), 7),
         Bad(OutOfRangeError, "too many indices", (5, 4), index=(1, 2, 3))],
    nondiff=("index",),
    bench=Sample((4096, 256), slice(1, None, 2)),
    view=True,
    analytic=True,
)  # fmt: skip
def basic_getitem(x, index):
    """What ``getitem`` does for integers, slices, None and Ellipsis: a view of x."""
    if type(index) is not tuple:
        index = (index,)
    # With an Ellipsis NumPy gives one element as a view too, not as a scalar.
    return x[index] if Ellipsis in index else x[(*index, Ellipsis)]


@primitive(
    samples=[
        Sample((5, 4), index=([0, 0, 3], [1, 1, 2])),
        Sample((5, 4), Integers((2, 3), -5, 5)),
        Sample((5, 4), [4, 0, 4]),
        Sample((5, 3, 4), index=(slice(1, 4), [2, 0], None)),
        Sample((5, 3, 4), index=([2, 0], slice(None), [1, 1])),
        Sample((5, 4), Booleans((5, 4))),
        Sample((5, 4), index=(np.array([True, False, True, True, False]), 1)),
    ],
    bad=[
        Bad(OutOfRangeError, "out of bounds", (5, 4), [0, 7]),
        Bad(OutOfRangeError, "", (5, 4), Integers((3,), 5, 9)),
        Bad(OutOfRangeError, "integer", (5, 4), np.array([0.0, 1.0])),
        Bad(OutOfRangeError, "boolean", (5, 4), np.array([True, False])),
    ],
    nondiff=("index",),
    bench=Sample((4096, 256), Integers((4096,), 0, 4096)),
    analytic=True,
)
def array_getitem(x, index):
    """What ``getitem`` does for arrays, lists and masks: a copy of the chosen elements."""
    if not isinstance(x, np.ndarray):
        _expect_inside("array_getitem", x, index)
    return x[index]


def _expect_inside(op, x, index):
    """Raise what NumPy would: other libraries let an index wrap around."""
    given = index if isinstance(index, tuple) else (index,)
    items = [np.asarray(i) if isinstance(i, (list, bool)) else i for i in given]
    taken = sum(_axes_taken(i) for i in items)
    axis = 0
    for i in items:
        if i is Ellipsis:
            axis += x.ndim - taken
        elif is_array(i) and i.size and i.dtype.kind != "b" and axis < x.ndim:
            ok = i.dtype.kind in "iu"
            expect(ok, op, "an index of integer or boolean dtype", i.dtype, OutOfRangeError)
            expect_range(op, "indices", i, -x.shape[axis], x.shape[axis])
        elif is_array(i) and i.dtype.kind == "b":
            ok = i.shape == x.shape[axis : axis + i.ndim]
            expect(ok, op, f"a boolean mask for shape {x.shape}", i.shape, OutOfRangeError)
        axis += _axes_taken(i)


def _axes_taken(item):
    if item is None or item is Ellipsis:
        return 0
    return item.ndim if is_array(item) and item.dtype.kind == "b" else 1


@primitive(
    samples=[
        Sample((2, 4), slice(1, 3), shape=(5, 4)),
        Sample((3,), [1, 1, 0], shape=(4,)),
        Sample((2, 3, 4), Integers((2, 3), -5, 5), shape=(5, 4)),
    ],
    bad=[
        Bad(ShapeError, "broadcast", (3, 4), slice(1, 3), shape=(5, 4)),
        Bad(OutOfRangeError, "out of bounds", (3,), [0, 9, 0], shape=(4,)),
    ],
    nondiff=("index",),
    bench=Sample((4096, 256), Integers((4096,), 0, 4096), shape=(4096, 256)),
    analytic=True,
)
def scatter(x, index, shape):
    """Zeros of ``shape`` with x added at ``index``, repeated indices adding up.

    The transpose of ``getitem``.
    """
    out = xp_of(x).zeros(shape, x.dtype)
    if is_basic(index):
        out[index] = x
    else:
        _add_at("scatter", out, index, x)
    return out


basic_getitem.vjp(x=lambda g, x_shape, index: scatter(g, index, x_shape))
array_getitem.vjp(x=lambda g, x_shape, index: scatter(g, index, x_shape))
scatter.vjp(x=lambda g, index: getitem(g, index))


def _add_at(op, out, index, x):
    """``np.add.at(out, index, x)`` by way of flat positions, for which NumPy has a fast loop.

    out: contiguous, so that flattening it is no copy.
    """
    xp = xp_of(out)
    if not isinstance(out, np.ndarray):
        _expect_inside(op, out, index)
    positions = xp.arange(out.size).reshape(out.shape)[index]
    values = xp.empty(positions.shape, out.dtype)
    values[...] = x  # an array that broadcasts, or a number
    xp.add.at(out.reshape(-1), positions.reshape(-1), values.reshape(-1))


@primitive(
    samples=[
        Sample((5, 4), [0, 0, 3], (3, 4)),
        Sample((5, 4), Ellipsis, (5, 4)),
        Sample((5, 4), slice(1, 4), (3, 1)),
        Sample((5, 4), index=([0, 0, 1], [1, 1, 2]), source=0.5),
        Sample((5, 4), Booleans((5, 4)), 2.0),
    ],
    bad=[
        Bad(OutOfRangeError, "out of bounds", (5, 4), [0, 7], (2, 4)),
        Bad(ShapeError, "broadcast", (5, 4), [0, 1], (3, 4)),
    ],
    nondiff=("index",),
    bench=Sample((4096, 256), Integers((4096,), 0, 4096), (4096, 256)),
    analytic=True,
)
def index_add(x, index, source):
    """x with ``source`` added at x[index], repeated indices adding up: ``np.add.at`` on a copy.

    ∂out/∂x = 1; the gradient of source is that of out, taken at ``index``.
    """
    xp = xp_of(x)
    out = xp.array(x, xp.result_type(x, source), copy=True, order="C")
    if is_basic(index):
        out[index] += source
    else:
        _add_at("index_add", out, index, source)
    return out


index_add.vjp(x=lambda g: g, source=lambda g, index: getitem(g, index))


@primitive(
    numpy=np.take_along_axis,
    samples=[
        Sample((3, 4), Integers((3, 2), -4, 4), 1),
        Sample((3, 4), Integers((5, 4), 0, 3), axis=0),
        Sample((2, 3, 4), Integers((2, 1, 6), 0, 4), axis=-1),
        Sample((2, 3, 4), Integers((1, 3, 4), 0, 2), axis=0),
    ],
    bad=[
        Bad(OutOfRangeError, "indices in [-4, 4)", (3, 4), Integers((3, 2), 4, 9), 1),
        Bad(OutOfRangeError, "axis", (3, 4), Integers((3, 2), 0, 3), 2),
        Bad(ShapeError, "indices with 2 axes", (3, 4), Integers((3,), 0, 3), 1),
        Bad(ShapeError, "broadcast", (3, 4), Integers((2, 4), 0, 3), 1),
    ],
    nondiff=("indices",),
    bench=Sample((4096, 256), Integers((4096, 1), 0, 256), 1),
    analytic=True,
)
def take_along_axis(x, indices, axis):
    """Elements of x chosen along one axis: out[i, j] = x[i, indices[i, j]] for axis 1.

    x, indices and out have as many axes; the others broadcast. Out-of-range indices raise.
    """
    return x[_along("take_along_axis", indices, axis, x.shape)]


def _along(op, indices, axis, shape):
    """The index expression that means ``indices`` along ``axis`` and every place elsewhere."""
    ndim = len(shape)
    axis = expect_axis(op, axis, ndim)
    expect_integers(op, "indices", indices)
    expect(indices.ndim == ndim, op, f"indices with {ndim} axes", indices.shape)
    sizes = zip(indices.shape, shape, strict=True)
    fits = [i == axis or 1 in (m, n) or m == n for i, (m, n) in enumerate(sizes)]
    expect(all(fits), op, f"indices that broadcast to {shape} but for axis {axis}", indices.shape)
    expect_range(op, "indices", indices, -shape[axis], shape[axis])
    full = [
        xp_of(indices).arange(n).reshape((-1,) + (1,) * (ndim - 1 - i)) for i, n in enumerate(shape)
    ]
    full[axis] = indices
    return tuple(full)


take_along_axis.vjp(
    x=lambda g, indices, axis, x_shape: scatter(
        g, _along("take_along_axis", indices, axis, x_shape), x_shape
    )
)

_BAD_VECTOR = [Bad(ShapeError, "at least two axes", (3,))]


@primitive(numpy=np.tril, samples=[Sample((3, 4)), Sample((2, 4, 4), 1), Sample((4, 3), -1)],
           bad=_BAD_VECTOR, bench=Sample((1024, 1024)), analytic=True)  # fmt: skip
def tril(x, k=0):
    """The lower triangle of the last two axes, up to the k-th diagonal; 0 above it."""
    expect(x.ndim > 1, "tril", "at least two axes", x.shape)
    return xp_of(x).tril(x, k)


tril.vjp(x=lambda g, k: tril(g, k))


@primitive(numpy=np.triu, samples=[Sample((3, 4)), Sample((2, 4, 4), 1), Sample((4, 3), -1)],
           bad=_BAD_VECTOR, bench=Sample((1024, 1024)), analytic=True)  # fmt: skip
def triu(x, k=0):
    """The upper triangle of the last two axes, from the k-th diagonal; 0 below it."""
    expect(x.ndim > 1, "triu", "at least two axes", x.shape)
    return xp_of(x).triu(x, k)


triu.vjp(x=lambda g, k: triu(g, k))
