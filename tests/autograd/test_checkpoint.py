"""Computing again instead of keeping: same numbers, less memory."""

import weakref

import numpy as np
import pytest

import tinygrad_seq as tg
from tinygrad_seq.errors import GraphError


def steps(x, w, n=4):
    for _ in range(n):
        x = tg.tanh(x @ w)
    return x


@pytest.fixture
def xw(device):
    return tuple(
        tg.randn(*shape, dtype=np.float64, device=device, requires_grad=True)
        for shape in ((3, 4), (4, 4))
    )


def test_gradients_of_arguments_and_of_what_the_function_closes_over(xw):
    x, w = xw
    expected = tg.grad((steps(x, w) ** 2).sum(), [x, w])
    y = tg.checkpoint(lambda x: steps(x, w), x)
    (y * y).sum().backward()
    for t, g in zip((x, w), expected, strict=True):
        np.testing.assert_array_equal(t.grad.numpy(), g.numpy())


def test_arrays_inside_are_not_kept(xw):
    x, w = xw
    inside = []

    def fn(x):
        y = tg.exp(x @ w)  # exp saves its output
        inside.append(weakref.ref(y.data))
        return tg.tanh(y) * 2

    kept = fn(x)
    assert inside[0]() is not None
    del kept
    y = tg.checkpoint(fn, x)
    assert inside[1]() is None
    y.sum().backward()
    assert len(inside) == 3  # it ran once more


def test_higher_derivatives_and_nesting(xw):
    x, w = xw

    def nested(v):
        return tg.checkpoint(lambda u: steps(tg.checkpoint(lambda t: steps(t, w, 2), u), w, 2), v)

    ours = tg.hvp(lambda v: (nested(v) ** 2).sum(), x, x)[1]
    plain = tg.hvp(lambda v: (steps(v, w) ** 2).sum(), x, x)[1]
    np.testing.assert_allclose(ours.numpy(), plain.numpy(), rtol=1e-12)


def test_the_random_stream_is_replayed_and_then_goes_on():
    x = tg.ones(100, requires_grad=True)
    tg.manual_seed(5)
    y = tg.checkpoint(lambda x: x * tg.rand(100), x)
    tg.rand(7)  # the stream has moved on when the piece is run again
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), y.numpy())
    following = tg.rand(1).item()
    tg.manual_seed(5)
    tg.rand(107)
    assert tg.rand(1).item() == following


def test_retained_graphs_compute_again_once():
    x = tg.ones(3, requires_grad=True)
    runs = []

    def fn(x):
        runs.append(1)
        return tg.tanh(tg.exp(x))

    y = tg.checkpoint(fn, x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert len(runs) == 2


def test_a_function_that_does_something_else_the_second_time_is_refused():
    x = tg.ones(3, requires_grad=True)
    runs = []

    def fn(x):
        runs.append(1)
        return tg.exp(x) if len(runs) == 1 else tg.exp(tg.exp(x))

    y = tg.checkpoint(fn, x)
    with pytest.raises(GraphError, match="1 ops at first, 2 now"):
        y.sum().backward()


def test_inputs_changed_since_are_refused(xw):
    x, w = xw
    y = tg.checkpoint(lambda x: steps(x, w), x)
    with tg.no_grad():
        w.mul_(2)
    with pytest.raises(GraphError, match="b of matmul was changed in place"):
        y.sum().backward()


def test_without_grad_it_is_just_a_call(xw):
    x, w = xw
    with tg.no_grad():
        y = tg.checkpoint(lambda x: steps(x, w), x)
    assert not y.requires_grad
