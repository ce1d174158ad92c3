"""Questions that several ops ask of their arguments before they compute anything."""

from __future__ import annotations

import numpy as np

from tinygrad_seq.backend import is_array, to_host, xp_of
from tinygrad_seq.errors import ArgumentError, DTypeError, OutOfRangeError, expect

REDUCTIONS = ("mean", "sum", "none")


def kind_of(x):
    """The dtype of an array, or the type of what is none: for messages."""
    return getattr(x, "dtype", None) or type(x).__name__


def expect_floats(op, name, x):
    """``x`` must hold real or complex floating numbers."""
    expect(getattr(x, "dtype", np.dtype(int)).kind in "fc", op, f"{name} of a floating dtype",
           kind_of(x), DTypeError)  # fmt: skip


def expect_integers(op, name, x):
    """``x`` must be an array of integers."""
    ok = (is_array(x) or isinstance(x, np.generic)) and x.dtype.kind in "iu"
    expect(ok, op, f"{name} of an integer dtype", kind_of(x), DTypeError)


def expect_range(op, name, index, low, high):
    """All of the integer array ``index`` must lie in [low, high).

    Only the host can raise, so a device is waited for, once.
    """
    if not index.size:
        return
    least, most = to_host(xp_of(index).stack([index.min(), index.max()])).tolist()
    expect(least >= low, op, f"{name} in [{low}, {high})", least, OutOfRangeError)
    expect(most < high, op, f"{name} in [{low}, {high})", most, OutOfRangeError)


def expect_axis(op, axis, ndim):
    """``axis`` as a number from 0 up; it must be one of ``ndim`` axes."""
    ok = isinstance(axis, (int, np.integer)) and -ndim <= axis < ndim
    expect(ok, op, f"an axis in [{-ndim}, {ndim})", axis, OutOfRangeError)
    return axis % ndim


def expect_reduction(op, reduction):
    """``reduction`` must be one that losses know."""
    expect(reduction in REDUCTIONS, op, f"reduction {' | '.join(REDUCTIONS)}", repr(reduction),
           ArgumentError)  # fmt: skip
