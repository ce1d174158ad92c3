"""Rows set back within a sequence: each stretch of a row is a sequence of its own."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_seq as tg
from tinygrad_seq import nn
from tinygrad_seq.bptt import TruncatedBPTT
from tinygrad_seq.errors import ArgumentError, DTypeError, ShapeError

T, B, I, H = 9, 3, 2, 3


class Task:
    """A layer and a sequence; ``step`` sums its loss over steps and rows."""

    def __init__(self, kind=nn.LSTM, device="cpu"):
        tg.manual_seed(0)
        made = {"dtype": np.float64, "device": device}
        self.layer = kind(I, H, **made)
        self.x, self.y = tg.randn(T, B, I, **made), tg.randn(T, B, H, **made)
        h, c = tg.randn(1, B, H, **made), tg.randn(1, B, H, **made)
        self.state = (h, c) if kind is nn.LSTM else h
        self.outputs = []

    def step(self, x, y, state):
        output, state = self.layer(x, state)
        self.outputs.append(output.detach().numpy())
        return (output - y).square().sum(), state

    def run(self, k1, k2, state, **options):
        """→ the summed loss, the outputs of the last run of each step, the gradients."""
        self.layer.zero_grad()
        windows = TruncatedBPTT(k1, k2).run(
            self.step, self.x, self.y, state, reduction="sum", **options
        )
        total = sum(window.loss.item() for window in windows)
        return total, [p.grad.numpy().copy() for p in self.layer.parameters()]


def stretches(resets, row):
    """(start, stop) of what a row runs through between its resets."""
    edges = [0, *(t for t in range(1, T) if resets[t, row]), T]
    return pairwise(edges)


def row_of(state, row):
    if isinstance(state, tuple):
        return tuple(row_of(s, row) for s in state)
    return None if state is None else state[:, row : row + 1]


def by_hand(task, resets, state, initial):
    """Full backpropagation through every stretch, each row by itself."""
    task.layer.zero_grad()
    total = 0
    for row in range(B):
        for start, stop in stretches(resets, row):
            fresh = start > 0 or resets[0, row]
            first = row_of(initial if fresh else state, row)
            part = (slice(start, stop), slice(row, row + 1))
            loss, _ = task.step(task.x[part], task.y[part], first)
            loss.backward()
            total += loss.item()
    return total, [p.grad.numpy().copy() for p in task.layer.parameters()]


def close(got, expected):
    assert got[0] == pytest.approx(expected[0], rel=1e-12)
    for a, b in zip(got[1], expected[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM])
@pytest.mark.parametrize("k1", [1, 4, T])
def test_each_stretch_is_a_sequence_of_its_own(kind, k1, device):
    task = Task(kind, device)
    resets = np.zeros((T, B), bool)
    resets[[2, 5, 5, 8, 0], [0, 0, 1, 2, 2]] = True
    close(task.run(k1, T + k1, task.state, resets=resets),
          by_hand(task, resets, task.state, None))  # fmt: skip


@settings(max_examples=25)
@given(resets=st.lists(st.booleans(), min_size=T * B, max_size=T * B), k1=st.integers(1, T))
def test_any_resets(resets, k1):
    task = Task()
    resets = np.array(resets).reshape(T, B)
    close(task.run(k1, T + k1, task.state, resets=resets),
          by_hand(task, resets, task.state, None))  # fmt: skip


@pytest.mark.parametrize("as_function", [False, True])
def test_rows_go_back_to_the_initial_state(as_function, device):
    """Which is also where the sequence begins if no state is given."""
    task = Task(device=device)
    resets = np.zeros((T, B), bool)
    resets[[3, 4], [1, 2]] = True
    initial = (lambda: task.state) if as_function else task.state
    expected = by_hand(task, resets, task.state, task.state)
    close(task.run(2, T + 2, None, resets=resets, initial=initial), expected)
    close(task.run(2, T + 2, task.state, resets=tg.tensor(resets, device=device), initial=initial),
          expected)  # fmt: skip


def test_truncated_windows_stop_at_resets_too():
    """The gradient of (k1, k2) is the same as with the sequence cut at a reset of all rows."""
    task = Task()
    resets = np.zeros((T, B), bool)
    resets[6] = True
    loss, grads = task.run(2, 4, task.state, resets=resets)
    x, y = task.x, task.y
    task.x, task.y = x[:6], y[:6]
    first = task.run(2, 4, task.state)
    task.x, task.y = x[6:], y[6:]
    second = task.run(2, 4, None)
    close((loss, grads), (first[0] + second[0], [a + b for a, b in zip(first[1], second[1],
                                                                       strict=True)]))  # fmt: skip


def test_no_gradient_passes_a_reset():
    """What happened before reaches nothing after, and what is after reaches the initial state."""
    task = Task(nn.RNN)
    resets = np.zeros((T, B), bool)
    resets[4, 1] = True
    x, state = task.x.requires_grad_(), task.state.requires_grad_()
    initial = tg.zeros(1, B, H, dtype=np.float64, requires_grad=True)

    def last_only(x, y, state):
        output, state = task.layer(x, state)
        return (output[-1] * y[-1, :, :1]).sum(), state

    task.y = tg.tensor(np.eye(T)[-1][:, None, None] * np.ones((T, B, 1)))
    run = TruncatedBPTT(T, T).run(last_only, x, task.y, state, resets=resets, initial=initial,
                                  reduction="sum")  # fmt: skip
    list(run)
    g = np.abs(x.grad.numpy()).sum(axis=2)
    assert (g[:4, 1] == 0).all()
    assert (g[4:, 1] > 0).all()
    assert (g[:, [0, 2]] > 0).all()
    reached = [np.abs(s.grad.numpy()).sum(axis=(0, 2)) > 0 for s in (state, initial)]
    np.testing.assert_array_equal(reached, [[True, False, True], [False, True, False]])


def test_states_whose_batch_is_another_axis():
    """A state (H, B), and a net without any state at all."""
    w = tg.tensor(np.full((2, 1), 0.5), requires_grad=True)
    x = tg.ones(4, 2, dtype=np.float64)
    resets = np.array([[0, 0], [0, 0], [0, 1], [0, 0]], bool)

    def step(x, y, state):
        for row in x:
            state = state * w + row
        return state.sum(), state

    start = tg.zeros(2, 2, dtype=np.float64)
    *_, last = TruncatedBPTT(2, 4).run(step, x, x, start, resets=resets, batch_axis=1)
    np.testing.assert_allclose(last.state.numpy(), [[1.875, 1.5]] * 2)
    windows = TruncatedBPTT(2, 4).run(lambda x, y, state: ((w[0] * x).sum(), None), x, x,
                                      resets=np.roll(resets, 1, axis=0))  # fmt: skip
    assert [window.loss.item() for window in windows] == [2, 1]  # two steps, the mean of two


def test_wrong_resets_are_refused():
    task = Task()
    ok = np.zeros((T, B), bool)
    ok[3, 1] = True

    def refuses(error, match, **options):
        with pytest.raises(error, match=f"TruncatedBPTT: expected {match}"):
            task.run(4, 4, task.state, **options)
        assert len(task.outputs) <= 1

    refuses(ShapeError, r"resets of shape \(9, B\), got \(8, 3\)", resets=ok[1:])
    refuses(ShapeError, r"resets of shape \(9, B\), got \(9,\)", resets=ok[:, 0])
    refuses(ShapeError, r"resets of shape \(9, B\), got list", resets=ok.tolist())
    refuses(DTypeError, "boolean resets, got int64", resets=ok.astype(np.int64))
    task.outputs.clear()
    refuses(ShapeError, r"states with 2 rows, as resets, along axis -2 \(batch_axis\), got shape "
            r"\(1, 3, 3\)", resets=ok[:, :2])  # fmt: skip
    task.outputs.clear()
    refuses(ArgumentError, "initial to have as many tensors as the state, got 1 and 2",
            resets=ok, initial=task.state[0])  # fmt: skip
    task.outputs.clear()
    refuses(ShapeError, "states with 3 rows", resets=ok, batch_axis=5)
