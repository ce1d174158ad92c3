"""Cutting history off in place."""

import gc
import weakref

import numpy as np
import pytest

import tinygrad_seq as tg
from tinygrad_seq import nn
from tinygrad_seq.bptt import TruncatedBPTT, unchain, unchain_backward
from tinygrad_seq.errors import ArgumentError


@pytest.fixture
def w():
    return tg.tensor(np.array([2.0, 3.0]), requires_grad=True)


def test_a_tensor_becomes_a_constant_for_what_was_computed_from_it(w):
    a = w * w
    b = a * w  # d/dw = 3 w², or a where a is held
    unchain(a)
    assert not a.requires_grad
    assert a.is_leaf
    b.sum().backward()
    np.testing.assert_array_equal(w.grad.numpy(), [4, 9])


def test_only_that_tensor_is_cut(w):
    a = w * w
    b, c = a * w, tg.exp(a)
    unchain(b)
    (b + c).sum().backward()
    np.testing.assert_allclose(w.grad.numpy(), 2 * w.numpy() * np.exp(w.numpy() ** 2))


def test_one_output_of_several_is_cut():
    x, h0, w_ih, w_hh = (tg.randn(*shape, dtype=np.float64) for shape in
                         [(4, 1, 2), (1, 3), (3, 2), (3, 3)])  # fmt: skip
    x.requires_grad = True

    def gradient(cut):
        output, h = tg.rnn(x, h0, w_ih, w_hh)
        total = output.sum() + (h.detach() if cut == "before" else h).sum()
        if cut == "after":
            unchain(h)
        total.backward()
        g, x.grad = x.grad.numpy(), None
        return g

    np.testing.assert_array_equal(gradient("after"), gradient("before"))
    assert np.abs(gradient("after") - gradient("no")).max() > 1e-3


def test_states_and_leaves(w):
    parts = (w * 1, [w * 2, None], w)
    unchain(parts)
    assert [t.requires_grad for t in (parts[0], parts[1][0], w)] == [False, False, True]
    unchain(None)
    unchain_backward(w)
    assert w.requires_grad
    with pytest.raises(ArgumentError, match="unchain: expected a state made of .*, got dict"):
        unchain({"h": w})


def test_all_history_behind_is_cut_and_freed(w):
    a = w * w
    b = a * w
    side = tg.exp(a)
    inner = weakref.ref(a.data)
    unchain_backward(b)
    assert not b.requires_grad
    side.sum().backward()  # may be differentiated again and again, to where it was cut
    side = tg.exp(a) * w
    side.sum().backward(retain_graph=True)
    side.sum().backward()
    assert w.grad is not None
    np.testing.assert_allclose(w.grad.numpy(), 2 * np.exp(w.numpy() ** 2))
    del a, side
    gc.collect()
    assert inner() is None  # b's history does not hold it any more


def test_a_long_history_is_cut_without_recursion(w):
    h = w
    for _ in range(20_000):
        h = h * 1.0
    unchain_backward(h)
    assert h.is_leaf


def test_truncation_by_hand_is_truncated_bptt():
    tg.manual_seed(0)
    lstm = nn.LSTM(2, 3, dtype=np.float64)
    x = tg.randn(10, 2, 2, dtype=np.float64)

    def step(x, y, state):
        output, state = lstm(x, state)
        return output.square().sum(), state

    for _ in TruncatedBPTT(4, 4).run(step, x, x):
        pass
    expected = [p.grad.numpy().copy() for p in lstm.parameters()]
    lstm.zero_grad()
    loss, state = 0, None
    for t in range(10):
        one, state = step(x[t : t + 1], None, state)
        loss = loss + one
        if t % 4 == 3 or t == 9:
            loss.backward()
            unchain_backward((loss, state))
    for p, g in zip(lstm.parameters(), expected, strict=True):
        np.testing.assert_allclose(p.grad.numpy(), g, rtol=1e-11, atol=1e-13)


def test_higher_derivatives_stop_there_too(w):
    a = w * w
    b = tg.exp(a * w)
    unchain(a)
    (g,) = tg.grad(b.sum(), [w], create_graph=True)  # a e^{aw}
    (gg,) = tg.grad(g.sum(), [w])  # a² e^{aw}
    np.testing.assert_allclose(gg.numpy(), np.array([16, 81]) * np.exp([8, 27]))


def test_gradcheck_holds_it_constant():
    def f(x):
        h = tg.tanh(x)
        unchain(h)
        return (h * x).sum()

    assert tg.gradcheck(f, tg.randn(3, dtype=np.float64))
