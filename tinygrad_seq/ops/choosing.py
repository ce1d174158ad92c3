"""Ops that choose, element by element, between numbers: by a mask, or by their size."""

from __future__ import annotations

import numpy as np

from tinygrad_seq.backend import is_array, xp_of
from tinygrad_seq.errors import ArgumentError, DTypeError, ShapeError, expect
from tinygrad_seq.ops.checks import kind_of
from tinygrad_seq.ops.primitive import primitive
from tinygrad_seq.ops.sample import Bad, Booleans, Integers, Sample

_BENCH = Sample((1024, 1024), (1024, 1024))
_PAIRS = [Sample((3, 4), (3, 4)), Sample((2, 1, 4), (3, 1)), Sample((3, 4), 0.1)]
_BAD_PAIR = [Bad(ShapeError, "broadcast", (3, 4), (3,))]


@primitive(
    numpy=np.where,
    samples=[
        Sample(Booleans((3, 4)), (3, 4), (4,)),
        Sample(Booleans((4,)), (3, 1), (3, 4)),
        Sample(Booleans((3, 4)), (3, 4), 0.5),
    ],
    bad=[
        Bad(ShapeError, "broadcast", Booleans((3, 4)), (3, 4), (3,)),
        Bad(DTypeError, "mask", Integers((3, 4), 0, 2), (3, 4), (3, 4)),
    ],
    nondiff=("condition",),
    bench=Sample(Booleans((1024, 1024)), (1024, 1024), 0.0),
)
def where(condition, a, b):
    """Elements of a where the condition holds, of b elsewhere."""
    boolean = isinstance(condition, bool) or getattr(condition, "dtype", None) == np.bool_
    expect(boolean, "where", "a boolean mask as condition", kind_of(condition), DTypeError)
    xp = xp_of(condition, a, b)
    return xp.where(condition if is_array(condition) else xp.asarray(condition), a, b)


where.vjp(
    a=lambda g, condition: where(condition, g, 0),
    b=lambda g, condition: where(condition, 0, g),
)


@primitive(
    samples=[Sample((3, 4), Booleans((3, 4)), 0.5), Sample((3, 4), Booleans((4,)), -2.0)],
    bad=[
        Bad(ShapeError, "broadcasts to (3, 4)", (3, 4), Booleans((2, 3, 4)), 0.0),
        Bad(ShapeError, "broadcasts to (3, 4)", (3, 4), Booleans((3,)), 0.0),
        Bad(DTypeError, "boolean", (3, 4), Integers((3, 4), 0, 2), 0.0),
    ],
    nondiff=("mask", "value"),
    bench=Sample((1024, 1024), Booleans((1024, 1024)), 0.0),
)
def masked_fill(x, mask, value):
    """x with ``value``, a number, wherever the mask holds; no gradient flows there.

    mask: boolean, of a shape that broadcasts to x's.
    """
    ok = getattr(mask, "dtype", None) == np.bool_
    expect(ok, "masked_fill", "a boolean mask", kind_of(mask), DTypeError)
    expect(_reaches(mask.shape, x.shape), "masked_fill", f"a mask that broadcasts to {x.shape}",
           mask.shape)  # fmt: skip
    return xp_of(x).where(mask, value, x)


masked_fill.vjp(x=lambda g, mask: masked_fill(g, mask, 0))


def _reaches(shape, goal):
    """Whether ``shape`` broadcasts to exactly ``goal``."""
    tail = goal[len(goal) - len(shape) :] if len(shape) <= len(goal) else ()
    return len(tail) == len(shape) and all(n in (1, m) for n, m in zip(shape, tail, strict=True))


@primitive(numpy=np.maximum, samples=_PAIRS, bad=_BAD_PAIR, bench=_BENCH)
def maximum(a, b):
    """The larger of a and b, elementwise; it gets the gradient. Equals share it half and half."""
    return xp_of(a, b).maximum(a, b)


maximum.vjp(
    a=lambda g, a, b: where(a == b, g / 2, g * (a > b)),
    b=lambda g, a, b: where(a == b, g / 2, g * (b > a)),
)


@primitive(numpy=np.minimum, samples=_PAIRS, bad=_BAD_PAIR, bench=_BENCH)
def minimum(a, b):
    """The smaller of a and b, elementwise; it gets the gradient. Equals share it half and half."""
    return xp_of(a, b).minimum(a, b)


minimum.vjp(
    a=lambda g, a, b: where(a == b, g / 2, g * (a < b)),
    b=lambda g, a, b: where(a == b, g / 2, g * (b < a)),
)


@primitive(
    numpy=np.clip,
    samples=[Sample((3, 4), -0.5, 0.7), Sample((3, 4), min=-0.2), Sample((), max=0.3)],
    bad=[
        Bad(ArgumentError, "min ≤ max", (3, 4), 1.0, 0.0),
        Bad(ArgumentError, "min, max or both", (3, 4)),
        Bad(DTypeError, "numbers", (3, 4), np.zeros(4)),
    ],
    nondiff=("min", "max"),
    bench=Sample((1024, 1024), -1.0, 1.0),
)
def clip(x, min=None, max=None):
    """x limited to min ≤ out ≤ max, two numbers or None for no limit.

    ∂out/∂x = 1 where min ≤ x ≤ max, else 0. Limits that are arrays: ``minimum``, ``maximum``.
    """
    limits = [m for m in (min, max) if m is not None]
    expect(limits, "clip", "min, max or both", "neither", ArgumentError)
    ok = all(isinstance(m, (int, float, np.number)) for m in limits)
    kinds = " and ".join(type(m).__name__ for m in limits)
    expect(ok, "clip", "numbers as min and max", kinds, DTypeError)
    expect(limits[0] <= limits[-1], "clip", "min ≤ max", f"{min} > {max}", ArgumentError)
    return xp_of(x).clip(x, min, max)


def _inside(x, min, max):
    if min is None:
        return x <= max
    return x >= min if max is None else (x >= min) & (x <= max)


clip.vjp(x=lambda g, x, min, max: g * _inside(x, min, max))
