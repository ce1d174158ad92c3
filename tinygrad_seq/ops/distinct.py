"""Taking blocks from distinct places of an array, and putting them there.

Both treat the leading axes as one, numbered row by row: in an array (T, B, F) place t·B + b is the
block [t, b]. As no place occurs twice, nothing has to be added up: the transpose of the one is the
other, where ``getitem`` needs ``scatter``, which is far slower.
"""

from __future__ import annotations

import math

import numpy as np

from tinygrad_seq.backend import to_host, xp_of
from tinygrad_seq.errors import ArgumentError, DTypeError, OutOfRangeError, ShapeError, expect
from tinygrad_seq.ops.checks import expect_integers
from tinygrad_seq.ops.primitive import primitive
from tinygrad_seq.ops.sample import Bad, Integers, Sample

# Three of the six places of two axes (2, 3), in a shape of their own.
_THREE = np.array([4, 0, 2])
_SQUARE = np.array([[5, 1], [0, 2]])
_TWICE = np.array([1, 4, 1])
_MANY = np.random.default_rng(0).permutation(4096)[:3000]


def _expect_distinct(op, places, size):
    """``places`` must be different numbers in [0, size). Only the host can raise: give host arrays,
    and a device is not waited for."""
    expect_integers(op, "places", places)
    host = to_host(places).reshape(-1)
    if host.size:
        low, high = int(host.min()), int(host.max())
        ok = low >= 0 and high < size
        got = low if low < 0 else high
        expect(ok, op, f"places in [0, {size})", got, OutOfRangeError)
        most = np.bincount(host.astype(np.intp)).argmax()
        n = np.count_nonzero(host == most)
        expect(n == 1, op, "distinct places", f"{most} {n} times", ArgumentError)


@primitive(
    samples=[
        Sample((6, 4), _THREE),
        Sample((2, 3, 4), _THREE, 2),
        Sample((2, 3), places=_SQUARE, axes=2),
    ],
    bad=[
        Bad(OutOfRangeError, "places in [0, 6), got 6", (2, 3, 4), Integers((1,), 6, 7), 2),
        Bad(OutOfRangeError, "places in [0, 6), got -1", (6, 4), Integers((1,), -1, 0)),
        Bad(ArgumentError, "distinct places, got 1 2 times", (6, 4), _TWICE),
        Bad(DTypeError, "places of an integer dtype", (6, 4), np.array([0.0])),
        Bad(ShapeError, "at least 2 axes", (6,), _THREE, 2),
    ],
    nondiff=("places",),
    bench=Sample((64, 64, 128), _MANY, 2),
    analytic=True,
)
def take_distinct(x, places, axes=1):
    """Blocks of x at distinct places of its first ``axes`` axes.

    out[i, …] = x.reshape(−1, …)[places[i], …]: x (*leading, *block) → (*places.shape, *block).
    places: different integers ≥ 0, of any shape, best on the host. Repeated ones raise
    ArgumentError, those outside OutOfRangeError.
    """
    op = "take_distinct"
    expect(1 <= axes <= x.ndim, op, f"x with at least {max(axes, 1)} axes", x.shape)
    leading, block = x.shape[:axes], x.shape[axes:]
    _expect_distinct(op, places, math.prod(leading))
    xp = xp_of(x)
    return xp.take(x.reshape(math.prod(leading), *block), xp.asarray(places), axis=0)


@primitive(
    samples=[
        Sample((3, 4), _THREE, shape=(6,)),
        Sample((3, 4), _THREE, shape=(2, 3), fill=0.5),
        Sample((2, 2), places=_SQUARE, shape=(2, 3)),
    ],
    bad=[
        Bad(OutOfRangeError, "places in [0, 6), got 6", (1, 4), Integers((1,), 6, 7), shape=(2, 3)),
        Bad(ArgumentError, "distinct places, got 1 2 times", (3, 4), _TWICE, shape=(6,)),
        Bad(ShapeError, "x of shape (3, …)", (2, 4), _THREE, shape=(6,)),
        Bad(ArgumentError, "a fill that int64 can hold, got 0.5", Integers((3,), 0, 9), _THREE,
            shape=(6,), fill=0.5),
    ],
    nondiff=("places",),
    bench=Sample((3000, 128), _MANY, shape=(64, 64)),
    analytic=True,
)  # fmt: skip
def put_distinct(x, places, shape, fill=0):
    """The blocks of x at distinct places of an array that holds ``fill`` elsewhere.

    x (*places.shape, *block) → (*shape, *block), where out.reshape(−1, …)[places[i], …] = x[i, …];
    ``take_distinct`` turned round. fill: a number that x's dtype can hold; places: as there.
    """
    op = "put_distinct"
    _expect_distinct(op, places, math.prod(shape))
    ok = x.shape[: places.ndim] == places.shape
    wanted = ", ".join([*map(str, places.shape), "…"])
    expect(ok, op, f"x of shape ({wanted})", x.shape)
    holds = x.dtype.kind in "fc" or (math.isfinite(fill) and x.dtype.type(fill) == fill)
    expect(holds, op, f"a fill that {x.dtype} can hold", fill, ArgumentError)
    xp, block = xp_of(x), x.shape[places.ndim :]
    out = xp.full((math.prod(shape), *block), fill, x.dtype)
    out[xp.asarray(places)] = x
    return out.reshape(*shape, *block)


take_distinct.vjp(x=lambda g, places, axes, x_shape: put_distinct(g, places, x_shape[:axes]))
put_distinct.vjp(x=lambda g, places, shape: take_distinct(g, places, len(shape)))
