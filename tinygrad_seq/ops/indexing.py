"""Selecting elements, and putting them back."""

from __future__ import annotations

import numpy as np

from tinygrad_seq.backend import xp_of
from tinygrad_seq.errors import OutOfRangeError
from tinygrad_seq.ops.primitive import primitive
from tinygrad_seq.ops.sample import Bad, Booleans, Sample


def is_basic(index):
    """Whether an index selects by slices and integers only: a view, no element twice."""
    items = index if isinstance(index, tuple) else (index,)
    return all(i is None or i is Ellipsis or isinstance(i, (int, slice)) for i in items)


@primitive(
    samples=[
        Sample((5, 4), slice(1, None, 2)),
        Sample((5, 4), (Ellipsis, -1)),
        Sample((5, 4), ([0, 0, 3], [1, 1, 2])),
        Sample((5, 4), np.array([4, 0, 4])),
        Sample((5, 4), (None, slice(None), 2)),
    ],
    bad=[Bad(OutOfRangeError, "out of bounds", (5, 4), 7)],
    nondiff=("index",),
    bench=Sample((4096, 256), slice(1, None, 2)),
    view=True,
)
def getitem(x, index):
    """Selected elements: out = x[index], with slices, integers, arrays and masks as in NumPy."""
    return x[index]


getitem.vjp(x=lambda g, x_shape, index: scatter(g, index, x_shape))


@primitive(samples=[Sample((2, 4), slice(1, 3), (5, 4)), Sample((3,), [1, 1, 0], (4,))],
           nondiff=("index", "shape"))  # fmt: skip
def scatter(x, index, shape):
    """Zeros of ``shape`` with x added at ``index``, repeated indices adding up.

    The transpose of ``getitem``.
    """
    xp = xp_of(x)
    out = xp.zeros(shape, x.dtype)
    if is_basic(index):
        out[index] = x
    else:
        xp.add.at(out, index, x)
    return out


scatter.vjp(x=lambda g, index: getitem(g, index))


@primitive(numpy=np.where, samples=[Sample(Booleans((3, 4)), (3, 4), (4,))],
           nondiff=("condition",), bench=Sample(Booleans((1024, 1024)), (1024, 1024), 0.0))  # fmt: skip
def where(condition, a, b):
    """Elements of a where the condition holds, of b elsewhere."""
    return xp_of(condition, a, b).where(condition, a, b)


where.vjp(
    a=lambda g, condition: where(condition, g, 0),
    b=lambda g, condition: where(condition, 0, g),
)
