"""TruncatedBPTT: the values of the whole, the gradients of its windows, the memory of one."""

import tracemalloc
import weakref
from collections import namedtuple
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_seq as tg
from tinygrad_seq import nn
from tinygrad_seq.bptt import TruncatedBPTT, detach_state
from tinygrad_seq.errors import ArgumentError, ShapeError

T, B, I, H = 23, 2, 3, 4
LAYERS = [nn.RNN, nn.LSTM, nn.GRU]


class Task:
    """A recurrent layer, a sequence, and a loss that sums over steps: Σ (h_t − y_t)²."""

    def __init__(self, kind, device="cpu", steps=T, hidden=H):
        tg.manual_seed(0)
        self.layer = kind(I, hidden, dtype=np.float64, device=device)
        self.x = tg.randn(steps, B, I, dtype=np.float64, device=device)
        self.y = tg.randn(steps, B, hidden, dtype=np.float64, device=device)
        state = [tg.randn(1, B, hidden, dtype=np.float64, device=device) for _ in range(2)]
        self.state = tuple(state) if kind is nn.LSTM else state[0]

    def step(self, x, y, state):
        output, state = self.layer(x, state)
        return (output - y).square().sum(), state

    def run(self, k):
        return list(TruncatedBPTT(k, k).run(self.step, self.x, self.y, self.state))

    def grads(self):
        """The parameters' gradients, which are then cleared."""
        held = [p.grad.numpy().copy() for p in self.layer.parameters()]
        self.layer.zero_grad()
        return held

    def full(self):
        """Loss, state and gradients of the sequence in one piece."""
        loss, state = self.step(self.x, self.y, self.state)
        loss.backward()
        return loss.item(), state, self.grads()


def close(got, expected):
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12)


def arrays(state):
    return [s.detach().numpy() for s in (state if isinstance(state, tuple) else [state])]


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("k", [T, T + 1, 100])
def test_one_long_window_is_full_bptt(kind, k, device):
    task = Task(kind, device)
    loss, state, grads = task.full()
    (window,) = task.run(k)
    assert (window.start, window.stop) == (0, T)
    assert window.loss.item() == pytest.approx(loss, rel=1e-12)
    close(arrays(window.state), arrays(state))
    close(task.grads(), grads)


@pytest.mark.parametrize("kind", LAYERS)
@given(k=st.integers(1, T + 2))
def test_windows_cover_the_sequence_and_leave_its_values_alone(kind, k):
    task = Task(kind)
    loss, state, _ = task.full()
    windows = task.run(k)
    edges = [0, *range(k, T, k), T]
    assert [(w.start, w.stop) for w in windows] == list(pairwise(edges))
    assert sum(w.loss.item() for w in windows) == pytest.approx(loss, rel=1e-12)
    close(arrays(windows[-1].state), arrays(state))


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("k", [1, 7, 10])
def test_gradient_is_the_sum_over_windows(kind, k, device):
    """Each window's is taken by itself, from the state that an ordinary forward pass had there."""
    task = Task(kind, device)
    task.run(k)
    chunked = task.grads()
    total = [np.zeros_like(g) for g in chunked]
    state = task.state
    for start in range(0, T, k):
        loss, after = task.step(task.x[start : start + k], task.y[start : start + k], state)
        loss.backward()
        for sum_, g in zip(total, task.grads(), strict=True):
            sum_ += g
        constants = [tg.tensor(a.copy(), device=device) for a in arrays(after)]
        state = tuple(constants) if isinstance(after, tuple) else constants[0]
    close(chunked, total)
    _, _, full = task.full()
    gap = max(np.abs(a - b).max() for a, b in zip(chunked, full, strict=True))
    assert gap > 1e-3  # what truncation throws away; without it this test could not fail


def test_each_window_leaves_its_own_gradient_to_be_used():
    """Weights may move between windows; the next one is run with the new weights."""
    task, again = Task(nn.RNN), Task(nn.RNN)
    for window in TruncatedBPTT(7, 7).run(task.step, task.x, task.y, task.state):
        start, stop = window.start, window.stop
        loss, again.state = again.step(again.x[start:stop], again.y[start:stop], again.state)
        loss.backward()
        again.state = again.state.detach()
        assert window.loss.item() == loss.item()
        mine, theirs = task.layer.parameters(), again.layer.parameters()
        for p, q in zip(mine, theirs, strict=True):
            np.testing.assert_array_equal(p.grad.numpy(), q.grad.numpy())
            with tg.no_grad():
                p.add_(p.grad, alpha=-0.1)
                q.add_(q.grad, alpha=-0.1)
        task.layer.zero_grad()
        again.layer.zero_grad()


@pytest.mark.parametrize("kind", LAYERS)
def test_truncated_gradient_passes_the_gradient_check(kind):
    """Finite differences that hold detached states constant agree with the chunked gradient."""
    task = Task(kind, steps=6)

    def loss(x):
        total, state = 0, task.state
        for start in range(0, 6, 2):
            part, state = task.step(x[start : start + 2], task.y[start : start + 2], state)
            total, state = total + part, detach_state(state)
        return total

    x = tg.tensor(task.x.numpy().copy(), requires_grad=True)
    assert tg.gradcheck(loss, [x])
    loss(x).backward()
    checked = task.grads()
    task.run(2)
    close(checked, task.grads())


@pytest.mark.parametrize("kind", LAYERS)
def test_the_first_state_gets_a_gradient_later_ones_do_not(kind):
    task = Task(kind)
    state = task.state if isinstance(task.state, tuple) else (task.state,)
    for s in state:
        s.requires_grad_()
    first, *rest = task.run(5)
    assert all(s.grad is not None for s in state)
    for window in (first, *rest):
        held = window.state if isinstance(window.state, tuple) else (window.state,)
        assert not any(s.requires_grad for s in (*held, window.loss))


def peak_bytes(steps):
    """The most memory that chunked training of ``steps`` steps held, beyond what was there."""
    task = Task(nn.LSTM, steps=steps, hidden=64)
    windows = TruncatedBPTT(10, 10).run(task.step, task.x, task.y, task.state)
    next(windows)
    tracemalloc.start()
    for _ in windows:
        pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


def test_memory_is_flat_in_the_length():
    peak_bytes(30)  # whatever is made once
    assert peak_bytes(500) < 1.2 * peak_bytes(50)


def test_a_window_is_forgotten_before_the_next():
    task, seen = Task(nn.RNN), []

    def step(x, y, state):
        assert not any(ref() is not None for ref in seen)
        loss, state = task.step(x, y, state)
        inner = loss * 1
        seen.append(weakref.ref(inner))
        return inner, state

    for _ in TruncatedBPTT(5, 5).run(step, task.x, task.y, task.state):
        assert seen[-1]() is None
    assert len(seen) == 5


def test_states_of_any_nesting_and_none():
    Pair = namedtuple("Pair", "h c")
    t = tg.ones(2, requires_grad=True) * 2
    state = detach_state((t, [t, None], Pair(t, (t,))))
    assert isinstance(state[1], list)
    assert isinstance(state[2], Pair)
    tensors = [state[0], state[1][0], state[2].h, state[2].c[0]]
    assert not any(s.requires_grad for s in tensors)
    assert all(s.data is t.data for s in tensors)
    assert detach_state(None) is None
    with pytest.raises(ArgumentError, match="detach_state: expected a state made of .*, got dict"):
        detach_state({"h": t})


def test_a_model_without_a_state():
    w = tg.ones(1, requires_grad=True)
    x = tg.arange(5.0)
    windows = TruncatedBPTT(2, 2).run(lambda x, y, state: ((w * x).sum(), state), x, x)
    assert [w.loss.item() for w in windows] == [1, 5, 4]
    assert w.grad.item() == 10


@pytest.mark.parametrize(
    ("k1", "k2", "match"),
    [
        (0, 5, "k1 to be an integer ≥ 1, got 0"),
        (5, -1, "k2 to be an integer ≥ 1, got -1"),
        (2.0, 2, "k1 to be an integer ≥ 1, got 2.0"),
        (True, 1, "k1 to be an integer ≥ 1, got True"),
        (2, "2", "k2 to be an integer ≥ 1, got '2'"),
        (5, 4, "k1 ≤ k2, got k1 = 5, k2 = 4"),
    ],
)
def test_wrong_windows_are_refused(k1, k2, match):
    with pytest.raises(ArgumentError, match=f"TruncatedBPTT: expected {match}"):
        TruncatedBPTT(k1, k2)


def test_wrong_sequences_and_steps_are_refused():
    bptt, x = TruncatedBPTT(2, 2), tg.ones(4, 1)
    assert repr(bptt) == "TruncatedBPTT(k1=2, k2=2)"

    def refuses(error, match, step, *args):
        with pytest.raises(error, match=f"TruncatedBPTT: expected {match}"):
            list(bptt.run(step, *args))

    def never(*args):
        raise AssertionError("the step was run")

    refuses(ShapeError, r"at least one step in inputs, got shape \(0, 1\)", never, x[:0], x[:0])
    refuses(ShapeError, "targets of 4 steps, as inputs, got 3", never, x, x[:3])
    refuses(ShapeError, r"inputs with time as its first axis, got shape \(\)", never, x.sum(), x)
    refuses(ShapeError, "targets with time as its first axis, got list", never, x, [1, 2, 3, 4])
    refuses(ArgumentError, r"step to return a pair \(loss, state\), got Tensor", lambda *a: x, x, x)
    refuses(ArgumentError, "step to return a scalar loss, got shape", lambda *a: (x, None), x, x)
    refuses(ArgumentError, "step to return a scalar loss, got float", lambda *a: (1.0, None), x, x)


def test_bad_input_is_refused_before_the_first_window():
    with pytest.raises(ShapeError):
        TruncatedBPTT(2, 2).run(lambda *a: a, tg.ones(0, 1), tg.ones(0, 1))
