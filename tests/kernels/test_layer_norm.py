"""Layer normalisation in blocks of rows gives what the equations say."""

from itertools import product

import numpy as np
import pytest

import tinygrad_seq as tg
from tinygrad_seq.kernels.numpy import layer_norm as fast
from tinygrad_seq.kernels.reference import layer_norm as reference

SHAPES = [(7, 5), (4, 5), (1, 5), (0, 5), (3, 1), (9, 40)]


def drawn(shape, dtype):
    rng = np.random.default_rng(sum(shape))
    x, g = rng.standard_normal((2, *shape)).astype(dtype) + dtype(3)
    weight, bias = rng.standard_normal((2, shape[1])).astype(dtype)
    return g, x, weight, bias


def equal(got, expected, dtype):
    for a, b in zip(got, expected, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            assert a.shape == b.shape
            assert a.dtype == b.dtype == dtype
            scale = max(1, np.abs(b).max(initial=0))
            tolerance = {np.float16: 1e-2, np.float32: 2e-5}.get(dtype, 1e-12)
            np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("layout", ["C", "F", "strided"])
def test_the_same_as_the_reference(layout, shape, dtype, monkeypatch):
    """With blocks of a few rows, the last one shorter; with and without scale and shift."""
    monkeypatch.setattr(fast, "_BLOCK", 15)
    g, x, weight, bias = drawn(shape, dtype)
    if layout == "strided":
        g, x = (np.repeat(a, 2, axis=1)[:, ::2] for a in (g, x))
    g, x = (np.asfortranarray(a) if layout == "F" else a for a in (g, x))
    for w, b in product((weight, None), (bias, None)):
        expected = reference.forward(x, w, b, 0.1)
        equal(fast.forward(x, w, b, 0.1), expected, dtype)
        _, mean, rate = expected
        for needs in product((True, False), repeat=3):
            equal(fast.backward(g, x, w, mean, rate, needs),
                  reference.backward(g, x, w, mean, rate, needs), dtype)  # fmt: skip


def test_mixed_dtypes_are_promoted_as_numpy_does():
    _, x, weight, bias = drawn((4, 5), np.float32)
    wide = weight.astype(np.float64)
    assert fast.forward(x, wide, bias, 0.1)[0].dtype == np.float64
    x, wide = tg.tensor(x, requires_grad=True), tg.tensor(wide, requires_grad=True)
    out = tg.layer_norm(x, 5, wide, tg.tensor(bias))
    assert out.dtype == np.float64
    out.sum().backward()
    assert x.grad.dtype == np.float32
    assert wide.grad.dtype == np.float64


def test_large_arrays_keep_their_results():
    """Results of a megabyte and more lie in memory that is used again, but not while in use."""
    g, x, weight, bias = drawn((1024, 300), np.float32)
    first, mean, rate = fast.forward(x, weight, bias, 1e-5)
    kept = first.copy()
    dx, _, _ = fast.backward(g, x, weight, mean, rate, (True, True, True))
    kept_dx = dx.copy()
    for _ in range(3):
        second, mean, rate = fast.forward(-x, weight, bias, 1e-5)
        fast.backward(g, -x, weight, mean, rate, (True, True, True))
    np.testing.assert_array_equal(first, kept)
    np.testing.assert_array_equal(dx, kept_dx)
    assert np.abs(second - first).max() > 1


@pytest.mark.parametrize("shape", [(4,), (3, 4)])
def test_the_composition_gives_higher_derivatives(shape, device):
    x, w, b = (tg.randn(*s, dtype=np.float64).to(device).requires_grad_()
               for s in ((2, 3, 4), shape, shape))  # fmt: skip
    assert tg.gradgradcheck(lambda x, w, b: tg.layer_norm(x, shape, w, b), [x, w, b])
