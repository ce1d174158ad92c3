"""Tensors among NumPy's functions and other libraries' arrays."""

import numpy as np
import pytest

import tinygrad_seq as tg
from tinygrad_seq.errors import DetachError
from tinygrad_seq.ops.primitive import by_numpy


@pytest.fixture
def x():
    return tg.tensor(np.arange(1.0, 7.0).reshape(2, 3), requires_grad=True)


def test_ufuncs_and_functions_are_differentiable(x):
    y = np.sum(np.tanh(np.multiply(np.ones(3), x)), axis=0)
    assert isinstance(y, tg.Tensor)
    assert y.requires_grad
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 1 - np.tanh(x.numpy()) ** 2)


@pytest.mark.parametrize(
    "combine",
    [
        lambda a, t: a * t,
        lambda a, t: a - t,
        lambda a, t: a / t,
        lambda a, t: a @ t.T,
        lambda a, t: np.float64(2) * t,
        lambda a, t: 2 - t,
        lambda a, t: 2**t,
    ],
)
def test_arrays_and_numbers_on_the_left(x, combine):
    a = np.full((2, 3), 1.5)
    got = combine(a, x)
    assert isinstance(got, tg.Tensor)
    assert got.requires_grad
    np.testing.assert_allclose(got.numpy(), combine(a, x.numpy()))


def test_in_place_operators_on_arrays_do_not_swallow_tensors(x):
    a = np.ones((2, 3))
    with pytest.raises(TypeError):
        a += x


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("np.frexp", lambda t: np.frexp(t)),
        ("np.add.reduce", lambda t: np.add.reduce(t)),
        ("np.partition", lambda t: np.partition(t, 1)),
        ("np.tanh: where", lambda t: np.tanh(t, where=np.ones((2, 3), bool))),
        ("np.multiply: out", lambda t: np.multiply(t, 2, out=np.ones((2, 3)))),
    ],
)
def test_what_is_not_mirrored_raises(x, name, call):
    with pytest.raises(DetachError, match=name.replace(".", r"\.")):
        call(x)


def test_asarray_refuses_tensors_that_require_grad(x):
    with pytest.raises(DetachError, match=r"detach\(\)"):
        np.asarray(x)
    with pytest.raises(DetachError, match=r"detach\(\)"):
        np.from_dlpack(x)
    np.testing.assert_array_equal(np.asarray(x.detach()), x.numpy())
    np.testing.assert_array_equal(np.asarray(x.detach(), dtype=np.float32), x.numpy())


def test_dlpack_shares_memory(x):
    array = np.from_dlpack(x.detach())
    assert np.shares_memory(array, x.data)


@pytest.mark.oracle
def test_dlpack_to_pytorch(torch, x):
    np.testing.assert_array_equal(torch.from_dlpack(x.detach()).numpy(), x.numpy())


def test_questions_about_a_tensor_are_answered(x):
    assert np.shape(x) == (2, 3)
    assert np.ndim(x) == 2
    assert np.size(x) == 6


def test_numpy_gives_a_read_only_view(x):
    host = x.numpy()
    assert np.shares_memory(host, x.data)
    with pytest.raises(ValueError, match="read-only"):
        host[0] = 1
    assert x.data.flags.writeable


def test_the_mirror_is_worth_its_name():
    assert len(by_numpy) >= 40
