"""Do two devices agree? Everything is compared on the host, to a tolerance that dtypes set."""

import numpy as np

from tinygrad_seq.autograd import Tensor
from tinygrad_seq.backend import to_host

#: how far results may lie apart, against the largest number among them
TOLERANCE = {"float32": 1e-5, "float64": 1e-10}


def host(value):
    """A tensor or array as a NumPy array; None stays None."""
    if value is None:
        return None
    return to_host(value.data if isinstance(value, Tensor) else value)


def agree(got, expected, what="", tolerance=None):
    """Fail unless the two have one shape and dtype, and nearly the same numbers.

    Integers and masks must be equal. ``tolerance`` is that of the dtype by default.
    """
    got, expected = host(got), host(expected)
    assert (got is None) == (expected is None), what
    if got is None:
        return
    assert got.shape == expected.shape, what
    assert got.dtype == expected.dtype, what
    if got.dtype.kind != "f":
        np.testing.assert_array_equal(got, expected, what)
        return
    assert np.array_equal(np.isfinite(got), np.isfinite(expected)), what
    if not expected.size:
        return
    # A result near 0 of terms near 1 has the rounding error of the terms.
    scale = max(0.1, float(np.abs(expected).max()))
    limit = (tolerance or TOLERANCE[expected.dtype.name]) * scale
    worst = float(np.abs(got - expected).max())
    assert worst <= limit, f"{what}: off by {worst:.3g}, at most {limit:.3g} allowed"
