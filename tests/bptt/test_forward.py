"""RTRL gives the gradient of BPTT without going back; UORO gives it on average."""

import itertools

import numpy as np
import pytest

import tinygrad_seq as tg
from tinygrad_seq import nn
from tinygrad_seq.backend import Generator
from tinygrad_seq.bptt import TruncatedBPTT, rtrl, uoro
from tinygrad_seq.errors import ArgumentError, ShapeError

T, B, I, H = 6, 2, 2, 3


class Own(nn.Module):
    """A cell of one's own with a state of two parts, one of which counts."""

    def __init__(self, input_size, hidden_size, dtype=None, device=None):
        super().__init__()
        self.inside = nn.Linear(input_size + hidden_size, hidden_size, dtype=dtype, device=device)

    def forward(self, x, state=None):
        h, total = state or (zeros_of(x, self.inside), zeros_of(x, self.inside))
        outputs = []
        for row in x:
            h = tg.tanh(self.inside(tg.concatenate([row, h], axis=-1)) - 0.1 * total)
            total = total * 0.9 + h
            outputs.append(h)
        return tg.stack(outputs), (h, total)


def zeros_of(x, linear):
    return tg.full_like(x, 0, shape=(x.shape[1], linear.out_features))


class Mixed(nn.Module):
    """Two layers of different kinds."""

    def __init__(self, input_size, hidden_size, **made):
        super().__init__()
        self.lower = nn.LSTM(input_size, 2, **made)
        self.upper = nn.RNN(2, hidden_size, **made)

    def forward(self, x, state=None):
        lower, upper = state or (None, None)
        x, lower = self.lower(x, lower)
        x, upper = self.upper(x, upper)
        return x, [lower, upper]


def stacked(kind):
    def make(input_size, hidden_size, **made):
        return kind(input_size, hidden_size, num_layers=2, **made)

    return pytest.param(make, id=f"stacked {kind.__name__}")


KINDS = [nn.RNN, nn.LSTM, nn.GRU, *map(stacked, [nn.RNN, nn.LSTM, nn.GRU]), Own, Mixed]


class Task:
    def __init__(self, kind, device="cpu", steps=T, batch=B, hidden=H, dtype=np.float64):
        tg.manual_seed(0)
        made = {"dtype": dtype, "device": device}
        self.net = kind(I, hidden, **made)
        self.read_out = nn.Linear(hidden, 1, **made)
        self.parameters = [*self.net.parameters(), *self.read_out.parameters()]
        self.x, self.y = tg.randn(steps, batch, I, **made), tg.randn(steps, batch, 1, **made)
        with tg.no_grad():  # a state that is not zero
            _, self.state = self.net(tg.randn(2, batch, I, **made))
        self.given = (self.step, self.x, self.y, self.parameters, self.state)

    def step(self, x, y, state):
        output, state = self.net(x, state)
        return (self.read_out(output) - y).square().sum(), state

    def take_grads(self):
        held = np.concatenate([p.grad.numpy().ravel() for p in self.parameters])
        for p in self.parameters:
            p.grad = None
        return held

    def bptt(self):
        loss, _ = self.step(self.x, self.y, self.state)
        loss.backward()
        return self.take_grads()


@pytest.mark.parametrize("kind", KINDS)
def test_rtrl_is_bptt(kind, device):
    task = Task(kind, device)
    expected = task.bptt()
    windows = list(rtrl(*task.given))
    assert [(w.since, w.start, w.stop) for w in windows] == [(t, t, t + 1) for t in range(T)]
    np.testing.assert_allclose(task.take_grads(), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
def test_rtrl_from_no_state(kind):
    task = Task(kind)
    loss, _ = task.step(task.x, task.y, None)
    loss.backward()
    expected = task.take_grads()
    windows = list(rtrl(*task.given[:-1]))
    np.testing.assert_allclose(task.take_grads(), expected, rtol=1e-10, atol=1e-10)
    assert sum(w.loss.item() for w in windows) == pytest.approx(loss.item(), rel=1e-12)


def test_every_step_gives_the_gradient_of_its_own_loss():
    """That of a window that slides and reaches back to the beginning."""
    task, other = Task(nn.LSTM), Task(nn.LSTM)
    sliding = TruncatedBPTT(1, T).run(other.step, other.x, other.y, other.state)
    for window, slid in zip(rtrl(*task.given), sliding, strict=True):
        np.testing.assert_allclose(task.take_grads(), other.take_grads(), rtol=1e-10, atol=1e-12)
        assert window.loss.item() == pytest.approx(slid.loss.item(), rel=1e-12)
        assert not window.loss.requires_grad


def test_the_influence_is_the_jacobian_of_the_state():
    task = Task(nn.RNN)
    *_, last = rtrl(*task.given)
    _, h = task.net(task.x, task.state)
    rows = []
    for i in range(h.size):
        one_hot = np.eye(h.size)[i].reshape(h.shape)
        grads = tg.grad(h, task.parameters, one_hot, retain_graph=True, allow_unused=True)
        rows.append(np.concatenate([
            np.zeros(p.size) if g is None else g.numpy().ravel()
            for g, p in zip(grads, task.parameters, strict=True)
        ]))  # fmt: skip
    np.testing.assert_allclose(last.influence, np.stack(rows), rtol=1e-10, atol=1e-12)


def test_the_influence_is_kept_while_weights_move():
    """s_t = w s_{t−1} + x_t by hand: J_t = s_{t−1} + w_t J_{t−1}, and dL_t/dw = J_t."""
    w = tg.tensor(np.array([0.5]), requires_grad=True)
    x = tg.tensor(np.array([[1.0], [2.0], [3.0], [4.0]]))

    def step(x, y, s):
        s = w * s + x[0]
        return s.sum(), s

    s, influence = np.zeros(1), np.zeros(1)
    for t, window in enumerate(rtrl(step, x, x, [w], tg.zeros(1, dtype=np.float64))):
        influence = s + w.numpy() * influence
        s = w.numpy() * s + t + 1
        np.testing.assert_allclose(w.grad.numpy(), influence, rtol=1e-12)
        np.testing.assert_allclose(window.influence, [influence], rtol=1e-12)
        np.testing.assert_allclose(window.state.numpy(), s, rtol=1e-12)
        with tg.no_grad():
            w.add_(0.25)
        w.grad = None


def test_a_learned_initial_state_is_part_of_the_first_step():
    task = Task(lambda *sizes, **made: nn.LSTM(*sizes, learned_state=True, **made))
    with tg.no_grad():
        task.net.initial_h.add_(0.5)
    loss, _ = task.step(task.x, task.y, None)
    loss.backward()
    expected = task.take_grads()
    list(rtrl(*task.given[:-1]))
    np.testing.assert_allclose(task.take_grads(), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("method", [rtrl, uoro])
def test_a_stream_is_taken_up_again(method):
    """Where it was left, with the state and the influence that were handed out."""
    task = Task(nn.GRU)
    step, x, y, parameters, state = task.given
    tg.manual_seed(1)
    *_, whole = method(*task.given)
    expected = task.take_grads()
    tg.manual_seed(1)
    *_, part = method(step, x[:4], y[:4], parameters, state)
    *_, last = method(step, x[4:], y[4:], parameters, part.state, influence=part.influence)
    np.testing.assert_array_equal(task.take_grads(), expected)
    for a, b in zip(last.influence, whole.influence, strict=True):
        np.testing.assert_array_equal(a, b)


class Scripted(Generator):
    """Gives the signs it is told to, as 0 and 1."""

    def __init__(self, rows):
        super().__init__(0)
        self.rows = iter(rows)

    def integers(self, low, high, shape=()):
        assert (low, high) == (0, 2)
        return np.array(next(self.rows)).reshape(shape)


@pytest.mark.parametrize(("kind", "batch", "hidden", "steps"), [
    (nn.RNN, 1, 2, 4), (nn.RNN, 3, 1, 3), (nn.LSTM, 1, 1, 4), (nn.GRU, 1, 2, 4),
    (Own, 1, 1, 4),
])  # fmt: skip
def test_the_mean_of_uoro_over_all_signs_is_rtrl(kind, batch, hidden, steps):
    """All the 2^{N (T − 1)} ways the signs can fall; those of the last step reach no loss."""
    task = Task(kind, batch=batch, hidden=hidden, steps=steps)
    *_, exact = rtrl(*task.given)
    expected = task.take_grads()
    units = exact.influence.shape[0]
    total, spread = 0, 0
    ways = list(itertools.product([0, 1], repeat=units * (steps - 1)))
    for way in ways:
        rows = [*np.reshape(way, (steps - 1, units)), np.ones(units, int)]
        list(uoro(*task.given, generator=Scripted(rows)))
        got = task.take_grads()
        total, spread = total + got, max(spread, np.abs(got - expected).max())
    assert len(ways) in (64, 512)
    np.testing.assert_allclose(total / len(ways), expected, rtol=1e-10, atol=1e-10)
    assert spread > 1e-2  # no single one of them is


def test_uoro_estimates_the_influence_too():
    task = Task(nn.RNN, batch=1, hidden=2, steps=2)
    *_, exact = rtrl(*task.given)
    ways = itertools.product([0, 1], repeat=4)
    outer = []
    for way in ways:
        *_, last = uoro(*task.given, generator=Scripted(np.reshape(way, (2, 2))))
        outer.append(np.outer(*last.influence))
    np.testing.assert_allclose(np.mean(outer, axis=0), exact.influence, rtol=1e-10, atol=1e-10)


def test_uoro_draws_from_the_default_stream(device):
    def gradient(seed, **options):
        task = Task(nn.RNN, device)
        tg.manual_seed(seed)
        list(uoro(*task.given, **options))
        return task.take_grads()

    assert (gradient(1) == gradient(1)).all()
    assert (gradient(1) != gradient(2)).any()
    assert (gradient(2, generator=Generator(1)) == gradient(1)).all()


@pytest.mark.parametrize("method", [rtrl, uoro])
def test_float32_stays_float32(method):
    task = Task(nn.LSTM, dtype=np.float32)
    for window in method(*task.given):
        parts = window.influence if method is uoro else [window.influence]
        assert all(part.dtype == np.float32 for part in parts)
        assert all(p.grad.dtype == np.float32 for p in task.parameters)


@pytest.mark.parametrize(("method", "rate"), [(rtrl, 0.1), (uoro, 0.02)])
def test_a_net_learns_online(method, rate):
    """To give back the input of the step before, weights moving at every step."""
    tg.manual_seed(0)
    net, read_out = nn.RNN(1, 4, dtype=np.float64), nn.Linear(4, 1, dtype=np.float64)
    signs = tg.tensor(np.sign(tg.randn(601, 1, 1, dtype=np.float64).numpy()))
    parameters = [*net.parameters(), *read_out.parameters()]

    def step(x, y, state):
        output, state = net(x, state)
        return (read_out(output) - y).square().mean(), state

    losses = []
    for window in method(step, signs[1:], signs[:-1], parameters):
        losses.append(window.loss.item())
        with tg.no_grad():
            for p in parameters:
                p.add_(p.grad, alpha=-rate)
                p.grad = None
    assert np.mean(losses[:20]) > 0.8
    assert np.mean(losses[-100:]) < 0.05


@pytest.mark.parametrize("method", [rtrl, uoro])
def test_what_is_refused(method):
    task = Task(nn.RNN)
    step, x, y, parameters, _ = task.given

    def refuses(error, match, *args, **options):
        with pytest.raises(error, match=f"{method.__name__}: expected {match}"):
            list(method(*args, **options))

    of = "parameters that require grad, one or more, got"
    refuses(ArgumentError, f"{of} none", step, x, y, [])
    refuses(ArgumentError, f"{of} requires_grad=False", step, x, y, [x])
    refuses(ArgumentError, f"{of} ndarray", step, x, y, [x.numpy()])
    refuses(ShapeError, "targets of 6 steps, as inputs, got 5", step, x, y[1:], parameters)
    refuses(ArgumentError, "step to return a pair", lambda *a: 1, x, y, parameters)
    wrong = np.zeros((5, 24)) if method is rtrl else (np.zeros(5), np.zeros(24))
    refuses(ShapeError, r"influence of .*\(6, 25\), got \(5, 24\)", *task.given, influence=wrong)
    with pytest.raises(ArgumentError, match="uoro: expected eps > 0, got 0"):
        uoro(*task.given, eps=0)
