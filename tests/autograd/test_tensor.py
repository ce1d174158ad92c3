"""Making tensors, asking about them, changing them."""

import copy

import numpy as np
import pytest

import tinygrad_seq as tg
from tinygrad_seq.errors import (
    ArgumentError,
    DeviceError,
    DTypeError,
    GraphError,
    OutOfRangeError,
    ShapeError,
)


def test_arrays_keep_their_dtype_and_python_floats_take_the_default():
    assert tg.tensor(np.ones(3, np.float64)).dtype == np.float64
    assert tg.tensor([1.0, 2.0]).dtype == np.float32
    assert tg.tensor(1.5).dtype == np.float32
    assert tg.tensor([1, 2]).dtype == np.int64
    assert tg.tensor([True]).dtype == np.bool_
    assert tg.tensor([1, 2], dtype=np.float64).dtype == np.float64


def test_default_dtype_can_be_set():
    tg.set_default_dtype(np.float64)
    try:
        assert tg.tensor([1.0]).dtype == tg.zeros(2).dtype == tg.randn(2).dtype == np.float64
    finally:
        tg.set_default_dtype(np.float32)
    with pytest.raises(DTypeError, match="floating"):
        tg.set_default_dtype(np.int32)


def test_tensor_shares_the_memory_of_an_array():
    array = np.ones(3)
    t = tg.tensor(array)
    array[0] = 5
    assert t[0].item() == 5


def test_what_is_no_number_is_refused():
    with pytest.raises(DTypeError, match="expected numbers"):
        tg.tensor(["a"])


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda d: tg.zeros(2, 3, device=d), np.zeros((2, 3))),
        (lambda d: tg.ones((2, 3), device=d), np.ones((2, 3))),
        (lambda d: tg.full((2,), 7, device=d), np.full(2, 7)),
        (lambda d: tg.arange(2, 8, 2, device=d), np.arange(2, 8, 2)),
    ],
)
def test_creation(make, expected, device):
    t = make(device)
    assert str(t.device).startswith(device)
    np.testing.assert_array_equal(t.numpy(), expected)


def test_random_numbers_are_the_same_on_every_device_and_in_every_dtype(device):
    tg.manual_seed(3)
    here = tg.randn(4, device=device)
    tg.manual_seed(3)
    np.testing.assert_array_equal(here.numpy(), tg.randn(4).numpy())
    tg.manual_seed(3)
    np.testing.assert_allclose(here.numpy(), tg.randn(4, dtype=np.float64).numpy(), rtol=1e-6)


def test_integers_cannot_require_grad():
    with pytest.raises(DTypeError, match="floating"):
        tg.tensor([1, 2], requires_grad=True)


def test_only_leaves_can_stop_requiring_grad():
    x = tg.ones(2, requires_grad=True)
    with pytest.raises(GraphError, match="detach"):
        (x * 2).requires_grad = False
    assert not x.requires_grad_(False).requires_grad


def test_detach_shares_memory_and_nothing_else():
    x = tg.ones(2, requires_grad=True)
    y = (x * 2).detach()
    assert not y.requires_grad
    assert y.is_leaf
    assert x.detach().data is x.data


def test_no_grad_and_enable_grad():
    x = tg.ones(2, requires_grad=True)
    with tg.no_grad():
        assert not tg.is_grad_enabled()
        assert not (x * 2).requires_grad
        with tg.enable_grad():
            assert (x * 2).requires_grad
    assert (x * 2).requires_grad

    @tg.no_grad()
    def quiet():
        return x * 2

    assert not quiet().requires_grad


def test_no_grad_ends_with_its_block_even_on_an_error():
    with pytest.raises(KeyError), tg.no_grad():
        raise KeyError
    assert tg.is_grad_enabled()


def test_modes_belong_to_their_thread():
    import threading

    seen = []
    with tg.no_grad():
        thread = threading.Thread(target=lambda: seen.append(tg.is_grad_enabled()))
        thread.start()
        thread.join()
    assert seen == [True]


def test_python_numbers_out_of_tensors(device):
    t = tg.tensor(np.array([2.5]), device=device)
    assert t.item() == float(t) == 2.5
    assert int(t) == 2
    assert bool(t)
    assert t.tolist() == [2.5]
    assert [10, 20, 30][tg.tensor(1)] == 20
    with pytest.raises(ShapeError, match=r"one element, got shape \(2,\)"):
        tg.ones(2).item()
    with pytest.raises(DTypeError, match="integer"):
        [1][tg.tensor(0.0)]


def test_iteration_and_len(device):
    t = tg.tensor(np.arange(6.0).reshape(3, 2), device=device)
    assert len(t) == 3
    np.testing.assert_array_equal([row.numpy() for row in t], t.numpy())
    with pytest.raises(ShapeError, match="at least one axis"):
        len(tg.tensor(1.0))


def test_repr_says_what_matters():
    x = tg.tensor(np.array([1.0, 2.0]), requires_grad=True)
    assert repr(x) == "tensor([1., 2.], dtype=float64, requires_grad=True)"
    assert repr(tg.tanh(tg.zeros(1, requires_grad=True))) == "tensor([0.], op=tanh)"
    assert repr(tg.zeros(1, device="strict")) == "tensor([0.], device='strict:0')"


def test_comparisons_give_masks_without_history(device):
    x = tg.tensor(np.array([1.0, 3.0]), device=device, requires_grad=True)
    mask = (x > 2) | (x == 1)
    assert not mask.requires_grad
    np.testing.assert_array_equal(mask.numpy(), [True, True])
    np.testing.assert_array_equal((~(x < 2)).numpy(), [False, True])
    assert len({x, x}) == 1  # hashed by identity


def test_scalar_arithmetic_stays_in_float32(device):
    t = tg.ones(2, device=device)
    for value in (t + 1, 2.5 * t, t / 3, t**2, 1 - t, -t, abs(t), t.mean(), t.sum() * 0.5):
        assert value.dtype == np.float32


def test_to_moves_and_casts_with_gradients():
    x = tg.tensor(np.ones(3), requires_grad=True)
    y = x.to("strict", dtype=np.float32)
    assert str(y.device) == "strict:0"
    assert y.dtype == np.float32
    (y * 2).sum().backward()
    assert x.grad.dtype == np.float64
    assert str(x.grad.device) == "cpu"
    np.testing.assert_array_equal(x.grad.numpy(), [2, 2, 2])
    assert x.to("cpu", dtype=np.float64) is x


@pytest.mark.parametrize("other", ["cpu", "strict:1"])
def test_devices_do_not_mix(other):
    a, b = tg.ones(3, device="strict"), tg.ones(3, device=other)
    for call in (lambda: a + b, lambda: b * a, lambda: tg.concatenate([a, b])):
        with pytest.raises(DeviceError, match=f"all arrays on one device, got .*{other}"):
            call()


def test_a_device_that_is_not_the_current_one():
    """Ops on a second device compute there, forward and backward, whichever is current."""
    x = tg.randn(3, 4, device="strict:1", requires_grad=True)
    y = (tg.tanh(x) * x.sum(axis=0)).sum() + x[1:].sum()
    y.backward(retain_graph=True)
    y.backward()
    assert str(x.grad.device) == str(y.device) == "strict:1"


def test_in_place_changes(device):
    t = tg.zeros(3, device=device)
    assert t.fill_(2) is t
    t.add_(1.0).add_(tg.ones(3, device=device), alpha=0.5).mul_(2)
    t[0] = 0.0
    np.testing.assert_array_equal(t.numpy(), [0, 7, 7])
    np.testing.assert_array_equal(t.copy_(tg.ones(3, device=device)).numpy(), [1, 1, 1])
    assert not t.zero_().numpy().any()


def test_in_place_changes_that_do_not_fit_change_nothing(device):
    t = tg.zeros(3, device=device)
    for change in (
        lambda: t.copy_(tg.ones(4, device=device)),
        lambda: t.add_(tg.ones(2, 3, device=device)),
        lambda: t.__setitem__(slice(0, 2), tg.ones(3, device=device)),
    ):
        with pytest.raises(ShapeError, match=r"cannot take float32\[3\]"):
            change()
    assert not t.numpy().any()
    with pytest.raises(DeviceError, match="all arrays on one device"):
        t.add_(tg.ones(3, device="strict:1"))


def test_grad_can_be_set_only_to_what_fits():
    x = tg.ones(3, requires_grad=True)
    with pytest.raises(ShapeError, match=r"shape \(3,\), got \(2,\)"):
        x.grad = tg.ones(2)
    with pytest.raises(DTypeError, match="float32"):
        x.grad = tg.ones(3, dtype=np.float64)
    with pytest.raises(GraphError, match="leaf"):
        tg.ones(3).grad = tg.ones(3)
    x.grad = tg.ones(3)
    (x * 2).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [3, 3, 3])
    x.grad = None
    assert x.grad is None


def test_deepcopy_copies_leaves_and_refuses_the_rest():
    x = tg.ones(3, requires_grad=True)
    y = copy.deepcopy(x)
    assert y.requires_grad
    assert y.data is not x.data
    with pytest.raises(GraphError, match="detach"):
        copy.deepcopy(x * 2)


def test_methods_are_the_ops():
    x = tg.randn(2, 3)
    np.testing.assert_array_equal(x.sum(axis=1).numpy(), tg.sum(x, axis=1).numpy())
    np.testing.assert_array_equal(x.reshape(3, 2).numpy(), x.reshape((3, 2)).numpy())
    assert x.T.shape == x.transpose(1, 0).shape == x.transpose((1, 0)).shape == (3, 2)
    assert x.flatten().shape == (6,)
    assert tg.tanh.__doc__ is not None
    assert "tanh" in tg.tanh.__doc__


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: tg.sum([1.0, 2.0]), DTypeError, "sum: expected tensors or arrays, got list"),
        (lambda: tg.concatenate([]), ShapeError, "concatenate: expected at least one array"),
        (lambda: tg.tanh(tg.ones(2), 3), ArgumentError, "tanh: expected 1 arguments, got 2"),
        (lambda: tg.tanh(y=tg.ones(2)), ArgumentError, "tanh: no parameter 'y'; there are x"),
        (lambda: tg.sum(tg.ones(2), x=1), ArgumentError, "sum: 'x' was given twice"),
        (lambda: tg.tanh(), ArgumentError, "tanh: missing argument 'x'"),
        (lambda: tg.ones(3) + "a", DTypeError, r"add: cannot take float32\[3\]"),
        (
            lambda: tg.ones(3) @ tg.ones(4),
            ShapeError,
            r"matmul: cannot take float32\[3\], float32\[4\]",
        ),
        (lambda: tg.ones(3)[5], OutOfRangeError, "index 5 is out of bounds"),
        (lambda: tg.ones(3, device="tpu"), ArgumentError, "one of cpu, cuda, strict, got 'tpu'"),
    ],
)
def test_mistakes_get_one_clear_error(call, error, words):
    with pytest.raises(error, match=words):
        call()
