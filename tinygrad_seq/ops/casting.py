"""Ops that change where or how numbers are held, not what they are."""

from __future__ import annotations

import numpy as np

from tinygrad_seq.backend import as_device, device_of, transfer, xp_of
from tinygrad_seq.ops.primitive import primitive
from tinygrad_seq.ops.sample import Integers, Sample


@primitive(samples=[Sample((3, 4))], view=True, analytic=True)
def identity(x):
    """The same array at a new place on the tape: out = x."""
    return x


identity.vjp(x=lambda g: g)


@primitive(numpy=np.copy, samples=[Sample((3, 4)), Sample(())], bench=Sample((1024, 1024)),
           analytic=True)  # fmt: skip
def copy(x):
    """The same numbers in memory of their own: out = x."""
    return x.copy()


copy.vjp(x=lambda g: g)


# No sample rounds to float32: what is rounded has steps where differences look for a slope.
@primitive(samples=[Sample((3, 4), dtype=np.float64), Sample(Integers((3,), -9, 9), np.float64)])
def astype(x, dtype):
    """The same numbers in another dtype; the gradient comes back in x's dtype."""
    return x.astype(dtype)


astype.vjp(x=lambda g: g)  # the tape casts a gradient to the dtype of its input


@primitive(samples=[Sample((3, 4), device="cpu")], residuals=("source",))
def to_device(x, device):
    """The same numbers on another device; the gradient comes back to x's device."""
    moved = transfer(x, as_device(device))
    return x.copy() if moved is x else moved, device_of(x)


to_device.vjp(x=lambda g, source: to_device(g, source))


@primitive(numpy=np.full_like, samples=[Sample((3, 4), 2.0), Sample((3, 4), 1, shape=(2,)),
                                       Sample((3, 4), 1, shape=())],
           nondiff=("x", "value"))  # fmt: skip
def full_like(x, value, shape=None, dtype=None):
    """An array filled with a number, beside ``x`` (its device; its shape and dtype by default)."""
    if shape is None:
        return xp_of(x).full_like(x, value, dtype=dtype)
    return xp_of(x).full(shape, value, x.dtype if dtype is None else dtype)
