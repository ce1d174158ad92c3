"""GELU and its derivative in pieces give what the equations say."""

import numpy as np
import pytest

import tinygrad_seq as tg
from tinygrad_seq.kernels.numpy import gelu as fast
from tinygrad_seq.kernels.reference import gelu as reference


def drawn(shape, dtype):
    rng = np.random.default_rng(0)
    return (3 * rng.standard_normal((2, *shape))).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("approximate", ["none", "tanh"])
@pytest.mark.parametrize("shape", [(), (7,), (5, 8), (41,), (4, 5, 8)])
@pytest.mark.parametrize("layout", ["C", "F", "strided"])
def test_the_same_as_the_reference(layout, shape, approximate, dtype, monkeypatch):
    """With pieces of a few elements, the last one shorter."""
    monkeypatch.setattr(fast, "_PIECE", 8)
    g, x = drawn(shape, dtype)
    if layout == "F":
        g, x = np.asfortranarray(g), np.asfortranarray(x)
    elif layout == "strided":
        g, x = (np.repeat(np.atleast_1d(a), 2, axis=-1)[..., ::2] for a in (g, x))
    before = g.copy(), x.copy()
    tolerance = 1e-6 if dtype == np.float32 else 1e-13
    for got, expected in (
        (fast.forward(x, approximate), reference.forward(x, approximate)),
        (fast.backward(g, x, approximate), reference.backward(g, x, approximate)),
    ):
        assert got.dtype == dtype
        assert got.shape == expected.shape
        np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)
    np.testing.assert_array_equal(g, before[0])
    np.testing.assert_array_equal(x, before[1])


def test_far_out_the_slope_is_0_or_1():
    x = np.linspace(-50, 50, 2**15, dtype=np.float32)
    slope = fast.backward(np.ones_like(x), x, "tanh")
    np.testing.assert_array_equal(slope[x < -12], 0)
    np.testing.assert_array_equal(slope[x > 12], 1)


@pytest.mark.oracle
@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_large_arrays_equal_pytorch(approximate):
    """So large that the pieces are those of everyday use; and the second derivative."""
    torch = pytest.importorskip("torch")
    host = drawn((200, 150), np.float64)
    x, theirs = tg.tensor(host[1], requires_grad=True), torch.tensor(host[1], requires_grad=True)
    (first,) = tg.grad(tg.gelu(x, approximate), [x], tg.tensor(host[0]), create_graph=True)
    out = torch.nn.functional.gelu(theirs, approximate=approximate)
    values = tg.gelu(x.detach(), approximate).numpy()
    np.testing.assert_allclose(values, out.detach().numpy(), atol=1e-12)
    (expected,) = torch.autograd.grad(out, [theirs], torch.tensor(host[0]), create_graph=True)
    np.testing.assert_allclose(first.detach().numpy(), expected.detach().numpy(), atol=1e-12)
    (second,) = tg.grad(first.sum(), [x])
    (wanted,) = torch.autograd.grad(expected.sum(), [theirs])
    np.testing.assert_allclose(second.numpy(), wanted.numpy(), atol=1e-11)
