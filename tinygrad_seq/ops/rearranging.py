"""Ops that reverse, shift, surround, repeat and cut arrays."""

from __future__ import annotations

import numpy as np

from tinygrad_seq.backend import xp_of
from tinygrad_seq.errors import ArgumentError, OutOfRangeError, ShapeError, expect
from tinygrad_seq.ops.checks import expect_axis
from tinygrad_seq.ops.indexing import getitem, scatter
from tinygrad_seq.ops.primitive import by_numpy, primitive
from tinygrad_seq.ops.reductions import sum
from tinygrad_seq.ops.sample import Bad, Sample
from tinygrad_seq.ops.shaping import reshape

_BENCH = Sample((1024, 1024), axis=1)


@primitive(numpy=np.flip, samples=[Sample((3, 4)), Sample((3, 4), axis=1), Sample((2, 3, 4), -2),
                                   Sample((2, 3, 4), axis=(0, 2))],
           bad=[Bad(OutOfRangeError, "axis", (3, 4), axis=2)], bench=_BENCH, view=True,
           analytic=True)  # fmt: skip
def flip(x, axis=None):
    """Elements in reverse order along an axis, several, or all (None): a view."""
    return xp_of(x).flip(x, axis)


flip.vjp(x=lambda g, axis: flip(g, axis))


@primitive(
    numpy=np.roll,
    samples=[Sample((3, 4), 2), Sample((3, 4), -1, 1), Sample((3, 4), shift=(1, 2), axis=(0, 1))],
    bad=[Bad(OutOfRangeError, "axis", (3, 4), 1, 2)],
    bench=Sample((1024, 1024), 5, 1),
    analytic=True,
)
def roll(x, shift, axis=None):
    """Elements moved ``shift`` places along an axis; those pushed out come in at the other end.

    shift, axis: integers or tuples; axis None rolls the flat array.
    """
    return xp_of(x).roll(x, shift, axis=axis)


def _roll_back(g, shift, axis):
    return roll(g, tuple(-s for s in shift) if isinstance(shift, tuple) else -shift, axis)


roll.vjp(x=_roll_back)


@primitive(
    numpy=np.pad,
    samples=[
        Sample((3, 4), 1),
        Sample((3, 4), pad_width=(0, 2)),
        Sample((3, 4), pad_width=((1, 0), (2, 3)), constant_values=-1.5),
    ],
    bad=[
        Bad(ArgumentError, "mode 'constant'", (3, 4), 1, "reflect"),
        Bad(ShapeError, "pad_width", (3, 4), pad_width=((1, 0), (2, 3), (1, 1))),
        Bad(ShapeError, "pad_width", (3, 4), -1),
    ],
    bench=Sample((1024, 1024), 4),
    analytic=True,
)
def pad(x, pad_width, mode="constant", constant_values=0):
    """x with ``constant_values``, a number, before and after it along each axis.

    pad_width: n for every side, (before, after) for every axis, or such a pair for each axis.
    """
    expect(mode == "constant", "pad", "mode 'constant'", repr(mode), ArgumentError)
    widths = _widths(pad_width, x.ndim)
    shape = tuple(n + before + after for n, (before, after) in zip(x.shape, widths, strict=True))
    out = xp_of(x).full(shape, constant_values, x.dtype)
    out[_inner(widths, x.shape)] = x
    return out


def _widths(pad_width, ndim):
    """(before, after) for each axis."""
    try:
        pairs = np.broadcast_to(np.asarray(pad_width), (ndim, 2)).tolist()
    except ValueError:
        pairs = None
    ok = pairs is not None and all(isinstance(n, int) and n >= 0 for pair in pairs for n in pair)
    expect(ok, "pad", f"pad_width n ≥ 0, (before, after) or {ndim} such pairs", pad_width)
    return pairs


def _inner(widths, shape):
    """The part of the padded array that is x."""
    return tuple(slice(before, before + n) for (before, _), n in zip(widths, shape, strict=True))


pad.vjp(
    x=lambda g, x_shape, pad_width: getitem(g, _inner(_widths(pad_width, len(x_shape)), x_shape))
)


@primitive(
    numpy=np.tile,
    samples=[Sample((3, 4), 2), Sample((3, 4), reps=(2, 1, 3)), Sample((2, 3, 4), reps=(2, 2))],
    bad=[Bad(ArgumentError, "reps", (3, 4), reps=(2, -1))],
    bench=Sample((512, 512), reps=(2, 2)),
    analytic=True,
)
def tile(x, reps):
    """x laid beside itself ``reps`` times along each axis; shorter of reps and shape count as 1."""
    reps = reps if isinstance(reps, tuple) else (reps,)
    ok = all(isinstance(r, (int, np.integer)) and r >= 0 for r in reps)
    expect(ok, "tile", "reps to be integers ≥ 0", reps, ArgumentError)
    return xp_of(x).tile(x, reps)


def _tile_rule(g, x_shape, reps):
    reps = reps if isinstance(reps, tuple) else (reps,)
    ndim = max(len(reps), len(x_shape))
    reps = (1,) * (ndim - len(reps)) + reps
    shape = (1,) * (ndim - len(x_shape)) + tuple(x_shape)
    split = tuple(n for pair in zip(reps, shape, strict=True) for n in pair)
    return reshape(sum(reshape(g, split), axis=tuple(range(0, 2 * ndim, 2))), x_shape)


tile.vjp(x=_tile_rule)


@primitive(
    numpy=np.repeat,
    samples=[
        Sample((3, 4), 2),
        Sample((3, 4), 3, axis=1),
        Sample((3, 4), [2, 0, 1], axis=0),
        Sample((2,), [1, 3]),
    ],
    bad=[
        Bad(OutOfRangeError, "axis", (3, 4), 2, 2),
        Bad(ShapeError, "3 repeats", (3, 4), [1, 2], 0),
        Bad(ArgumentError, "≥ 0", (3, 4), -1),
    ],
    bench=Sample((512, 1024), 2, 0),
    analytic=True,
)
def repeat(x, repeats, axis=None):
    """Each element ``repeats`` times in a row along an axis (of the flat array if None).

    repeats: an integer, or one for each element of the axis.
    """
    flat = x.reshape(-1) if axis is None else x
    return flat[_repeated(repeats, axis, x.shape)]


def _repeated(repeats, axis, shape):
    """The index expression that repeats."""
    size = int(np.prod(shape)) if axis is None else shape[expect_axis("repeat", axis, len(shape))]
    counts = np.asarray(repeats)
    ok = counts.dtype.kind in "iu" and (counts >= 0).all()
    expect(ok, "repeat", "integers ≥ 0", repeats, ArgumentError)
    expect(counts.shape in ((), (1,), (size,)), "repeat", f"{size} repeats", counts.shape)
    places = np.repeat(np.arange(size), counts)
    before = 0 if axis is None else axis % len(shape)
    return (*(slice(None),) * before, places)


def _repeat_rule(g, x_shape, repeats, axis):
    index = _repeated(repeats, axis, x_shape)
    if axis is None:
        return reshape(scatter(g, index, (int(np.prod(x_shape)),)), x_shape)
    return scatter(g, index, x_shape)


repeat.vjp(x=_repeat_rule)


def split(x, indices_or_sections, axis=0):
    """x cut along an axis: into n equal parts, or before each of the indices given. → a list.

    Each part is a view. ShapeError where n does not divide the axis.
    """
    axis = expect_axis("split", axis, len(x.shape))
    size = x.shape[axis]
    if isinstance(indices_or_sections, (int, np.integer)):
        n = indices_or_sections
        expect(n > 0 and size % n == 0, "split", f"a number of parts that divides {size}", n)
        starts = [i * (size // n) for i in range(1, n)]
    else:
        starts = [int(i) for i in indices_or_sections]
    bounds = zip([0, *starts], [*starts, size], strict=True)
    return [getitem(x, (*(slice(None),) * axis, slice(a, b))) for a, b in bounds]


by_numpy[np.split] = split  # type: ignore[assignment]
