"""The error function of every backend against the C library's."""

import math

import numpy as np
import pytest

from tinygrad_seq.backend import as_device, to_host, transfer
from tinygrad_seq.kernels import kernel, reference_kernels

GRID = np.concatenate([np.linspace(-7, 7, 20_001), [0.46875, -0.46875, 1e-300, 30.0, 0.0]])


@pytest.mark.parametrize(("dtype", "limit"), [(np.float64, 1e-15), (np.float32, 6e-7)])
@pytest.mark.parametrize("device", ["cpu", "strict", "reference"])
def test_erf_to_the_last_digits(device, dtype, limit):
    x = GRID.astype(dtype)
    if device == "reference":
        with reference_kernels():
            out = kernel("erf", x).erf(x)
    else:
        there = transfer(x, as_device(device))
        out = to_host(kernel("erf", there).erf(there))
    true = np.array([math.erf(v) for v in x])
    assert out.dtype == dtype
    np.testing.assert_allclose(out, true, rtol=limit, atol=0)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_erf_at_the_ends(dtype):
    x = np.array([np.inf, -np.inf, np.nan], dtype)
    np.testing.assert_array_equal(kernel("erf", x).erf(x), np.array([1, -1, np.nan], dtype))
