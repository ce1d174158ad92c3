"""Where ops could go wrong quietly: zeros, infinities, empty arrays, ignored labels, indices."""

import warnings

import numpy as np
import pytest

import tinygrad_seq as tg
from tinygrad_seq import ops
from tinygrad_seq.backend import to_host
from tinygrad_seq.backend.strict import count_syncs
from tinygrad_seq.errors import (
    ArgumentError,
    DeviceError,
    DTypeError,
    OutOfRangeError,
    ShapeError,
)

INF = np.inf


def gradient(fn, x, device="cpu"):
    t = tg.tensor(np.asarray(x, float), device=device, requires_grad=True)
    fn(t).sum().backward()
    return t.grad.numpy()


# ------------------------------------------------------------------ zeros and infinities


@pytest.mark.parametrize("ord", [None, 1, 2, INF])
def test_the_norm_of_zero_has_gradient_zero(ord, device):
    np.testing.assert_array_equal(
        gradient(lambda t: t.norm(ord, axis=1), np.zeros((2, 3)), device), 0
    )


def test_a_constant_has_standard_deviation_zero_and_gradient_zero(device):
    np.testing.assert_array_equal(gradient(lambda t: t.std(axis=1), np.ones((2, 3)), device), 0)


def test_powers_at_zero():
    zero = tg.tensor(np.zeros(3), requires_grad=True)
    exponents = tg.tensor(np.array([0.0, 1.0, 2.0]), requires_grad=True)
    (zero**exponents).sum().backward()
    np.testing.assert_array_equal(zero.grad.numpy(), [0, 1, 0])
    np.testing.assert_array_equal(exponents.grad.numpy(), [0, 0, 0])


def test_products_with_zeros_to_second_order():
    """∂²(abc)/∂a∂b = c, whatever is zero: the quotient out/a would be NaN."""
    h = tg.hessian(lambda t: t.prod(), tg.tensor(np.array([0.0, 0.0, 5.0])))
    np.testing.assert_array_equal(h.numpy(), [[0, 5, 0], [5, 0, 0], [0, 0, 0]])


MASKED = np.array([[0.0, -INF, np.log(3.0)], [-INF, -INF, -INF]])


@pytest.mark.parametrize(
    ("op", "expected"),
    [
        (ops.softmax, [[0.25, 0, 0.75], [0, 0, 0]]),
        (ops.log_softmax, [[np.log(0.25), -INF, np.log(0.75)], [-INF] * 3]),
        (lambda x: ops.logsumexp(x, -1), [np.log(4), -INF]),
    ],
)
def test_what_is_masked_everywhere_gives_no_nan(op, expected, device):
    t = tg.tensor(MASKED, device=device, requires_grad=True)
    out = op(t)
    np.testing.assert_allclose(out.detach().numpy(), expected, rtol=1e-14)
    out.sum().backward()
    assert np.isfinite(t.grad.numpy()).all()
    if op is not ops.log_softmax:
        np.testing.assert_array_equal(t.grad.numpy()[1], 0)


@pytest.mark.parametrize(
    "op", [ops.sigmoid, ops.softplus, ops.silu, ops.elu, ops.gelu, ops.softsign, ops.tanh, ops.erf]
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_activations_overflow_nowhere(op, dtype):
    x = tg.tensor(np.array([-1e4, -100, 0, 100, 1e4], dtype), requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        out = op(x)
        out.sum().backward()
    assert np.isfinite(out.detach().numpy()).all()
    assert np.isfinite(x.grad.numpy()).all()


def test_logits_of_minus_infinity_are_classes_that_cannot_be():
    logits = tg.tensor(np.array([[0.0, -INF, 0.0]]), requires_grad=True)
    loss = ops.cross_entropy(logits, np.array([0]))
    loss.backward()
    assert np.isclose(loss.item(), np.log(2))
    np.testing.assert_allclose(logits.grad.numpy(), [[-0.5, 0, 0.5]])


# ------------------------------------------------------------------ labels and indices


def test_ignored_labels_count_for_nothing(device):
    rng = np.random.default_rng(0)
    x, labels = rng.standard_normal((4, 5)), np.array([1, -100, 3, -100])
    t = tg.tensor(x, device=device, requires_grad=True)
    loss = ops.cross_entropy(t, tg.tensor(labels, device=device))
    loss.backward()
    assert np.isclose(loss.item(), ops.cross_entropy(x[::2], labels[::2]))
    np.testing.assert_array_equal(t.grad.numpy()[1::2], 0)


def test_unsigned_and_small_labels_will_do():
    x = np.random.default_rng(0).standard_normal((2, 5))
    expected = ops.cross_entropy(x, np.array([1, 4]))
    for dtype in (np.uint8, np.int8, np.int32):
        assert ops.cross_entropy(x, np.array([1, 4], dtype)) == expected


def test_a_mean_over_no_labels_raises_but_a_sum_is_zero(device):
    x = tg.tensor(np.ones((2, 3)), device=device)
    none = tg.tensor(np.array([-100, -100]), device=device)
    with pytest.raises(ArgumentError, match="cross_entropy: .*not ignored"):
        ops.cross_entropy(x, none)
    assert ops.cross_entropy(x, none, reduction="sum").item() == 0
    empty = tg.tensor(np.ones((0, 3)), device=device)
    with pytest.raises(ArgumentError, match="not ignored"):
        ops.cross_entropy(empty, tg.tensor(np.ones(0, int), device=device))


def test_the_padding_row_gets_no_gradient(device):
    table = tg.tensor(np.ones((4, 2)), device=device, requires_grad=True)
    index = tg.tensor(np.array([[1, 1, 2], [0, 2, 1]]), device=device)
    ops.embedding(index, table, padding_idx=1).sum().backward()
    np.testing.assert_array_equal(table.grad.numpy(), [[1, 1], [0, 0], [2, 2], [0, 0]])


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda i, x: ops.embedding(i, x), "embedding: expected indices in [0, 4), got 7"),
        (lambda i, x: ops.cross_entropy(x, i), "cross_entropy: expected labels in [0, 3), got 7"),
        (lambda i, x: ops.nll_loss(x, i), "nll_loss: expected labels in [0, 3), got 7"),
        (lambda i, x: x[i], "array_getitem: "),
        (lambda i, x: ops.index_add(x, i, 1.0), "index_add: "),
        (
            lambda i, x: ops.take_along_axis(x, i[:, None], 1),
            "take_along_axis: expected indices in",
        ),
    ],
)
def test_an_index_out_of_range_raises_on_every_device(call, named, device):
    x = tg.tensor(np.ones((4, 3)), device=device)
    for wrong in (7, -9):
        index = tg.tensor(np.array([0, 1, wrong, 2]), device=device)
        with pytest.raises(OutOfRangeError) as caught:
            call(index, x)
        assert str(caught.value).startswith(named.replace("7", str(wrong)))


@pytest.mark.parametrize(
    "call",
    [
        lambda i, x: ops.embedding(i, x),
        lambda i, x: ops.cross_entropy(x, i),
        lambda i, x: ops.array_getitem(x, i),
        lambda i, x: ops.take_along_axis(x, i[:, None], 1),
    ],
)
def test_the_check_costs_one_wait_for_the_device(call):
    x = tg.tensor(np.ones((4, 3)), device="strict").data
    index = tg.tensor(np.array([0, 1, 2, 2]), device="strict").data
    with count_syncs() as waits:
        call(index, x)
    assert waits.count == 1, waits


def test_most_ops_never_wait_for_the_device():
    x = tg.tensor(np.ones((4, 3)), device="strict", requires_grad=True)
    with count_syncs() as waits:
        y = (
            ops.layer_norm(ops.gelu(x @ x.mT @ x), 3).softmax().prod(1).norm()
            + x.std()
            + x[1:].max()
        )
        y.backward()
    assert waits.count == 0, waits


def test_an_element_is_a_view_like_any_other():
    x = tg.tensor(np.arange(6.0))
    x[2].fill_(9)
    assert x[2].item() == 9
    x[np.array([0, 1])].fill_(7)  # a copy
    assert x[0].item() == 0


def test_numpy_integers_are_basic_indices():
    x = np.arange(12.0).reshape(3, 4)
    assert np.shares_memory(ops.getitem(x, (np.int64(1), slice(None))), x)
    assert ops.getitem(x, True).shape == (1, 3, 4)


# ------------------------------------------------------------------ arguments, devices, dtypes


@pytest.mark.parametrize(
    "call",
    [
        lambda a, b: a + b,
        lambda a, b: a @ b,
        lambda a, b: ops.concatenate([a, b]),
        lambda a, b: ops.where(a > 0, a, b),
        lambda a, b: ops.einsum("ij,ij", a, b),
        lambda a, b: ops.mse_loss(a, b),
    ],
)
def test_two_devices_in_one_op_raise(call):
    here, there = tg.tensor(np.ones((2, 2))), tg.tensor(np.ones((2, 2)), device="strict")
    with pytest.raises(DeviceError, match=r"cpu.*strict"):
        call(here, there)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda x: ops.einsum(x, [0, 1]), ArgumentError, "einsum: expected subscripts as text"),
        (lambda x: ops.split(x, 3), ShapeError, "split: .*divides 4"),
        (lambda x: ops.split(x, 2, 2), OutOfRangeError, "split: .*axis"),
        (lambda x: ops.dropout(x, 1.0), ArgumentError, "dropout: expected p in"),
        (lambda x: ops.cross_entropy(x, np.ones(4)), ShapeError, "cross_entropy: .*target"),
        (lambda x: ops.embedding(x, x), DTypeError, "embedding: .*integer"),
        (lambda x: ops.tanh(x, 1), ArgumentError, "tanh: expected 1 arguments"),
        (lambda x: ops.sum(x, axes=1), ArgumentError, "sum: no parameter 'axes'"),
        (lambda x: x.mT.mT[0].mT, ShapeError, "mT: .*two axes"),
        (lambda x: x.reshape(5), ShapeError, "reshape"),
        (lambda x: np.floor(x), tg.errors.DetachError, "np.floor: no op mirrors"),
        (lambda x: np.linalg.norm(x, 2), ArgumentError, "norm: "),
        (lambda x: np.linalg.norm(x, "nuc"), ArgumentError, "norm: "),
        (lambda x: np.pad(x, 1, "wrap"), ArgumentError, "pad: expected mode 'constant'"),
    ],
)
def test_bad_arguments_get_one_clear_error(call, error, match):
    with pytest.raises(error, match=match):
        call(tg.tensor(np.ones((4, 3)), requires_grad=True))


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0)])
@pytest.mark.parametrize(
    "op", [ops.sum, ops.prod, ops.cumsum, ops.relu, ops.gelu, ops.norm, ops.flip]
)
def test_empty_arrays_pass_through(op, shape):
    g = gradient(op, np.ones(shape))
    assert g.shape == shape


def test_linear_takes_no_rows():
    w = tg.tensor(np.ones((5, 3)), requires_grad=True)
    ops.linear(tg.tensor(np.ones((2, 0, 3))), w).sum().backward()
    np.testing.assert_array_equal(w.grad.numpy(), np.zeros((5, 3)))


@pytest.mark.parametrize("op", [ops.add, ops.mul, ops.linear, ops.layer_norm, ops.cross_entropy])
def test_raw_arrays_give_raw_arrays(op):
    args, params = op.samples[0].draw()
    assert isinstance(op(*args, **params), (np.ndarray, np.generic))


def test_a_copy_has_memory_of_its_own_and_its_history():
    x = tg.tensor(np.ones(3), requires_grad=True)
    y = np.copy(x)
    assert not np.shares_memory(x.data, y.data)
    np.testing.assert_array_equal(gradient(lambda t: t.copy() * 2, np.ones(3)), 2)
    assert y.requires_grad


def test_methods_are_the_ops(device):
    """What NumPy's arrays can do, tensors can."""
    host = np.random.default_rng(0).standard_normal((2, 3, 4))
    t = tg.tensor(host, device=device)
    calls = {
        "clip": (-0.5, 0.5), "copy": (), "cumsum": (1,), "max": (0,), "mean": ((0, 1),),
        "min": (2,),
        "prod": (1,), "repeat": (2, 1), "reshape": (6, 4), "squeeze": (), "std": (1,), "sum": (-1,),
        "swapaxes": (0, 2), "transpose": (2, 0, 1), "var": (0,), "argmax": (1,), "argmin": (1,),
        "flatten": (), "astype": (np.float32,),
    }  # fmt: skip
    for name, args in calls.items():
        got, expected = getattr(t, name)(*args), getattr(host, name)(*args)
        np.testing.assert_allclose(to_host(got.data), expected, rtol=1e-12, err_msg=name)
    np.testing.assert_array_equal(t.mT.numpy(), host.mT)
    np.testing.assert_array_equal(t.T.numpy(), host.T)
    np.testing.assert_array_equal(t.split(2, axis=2)[1].numpy(), host[:, :, 2:])
