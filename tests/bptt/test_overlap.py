"""Windows that overlap, k1 < k2: the exact gradient of every window, at the weights of its time."""

from functools import cache

import numpy as np
import pytest

import tinygrad_seq as tg
from tinygrad_seq import nn
from tinygrad_seq.autograd.modes import modes
from tinygrad_seq.bptt import TruncatedBPTT, detach_state, rtrl
from tinygrad_seq.errors import ArgumentError, GraphError

LONGEST, B, I, H = 12, 2, 2, 2


class Stack(nn.Module):
    """An LSTM on an RNN, with states nested as the layers are, and a loss of every step."""

    def __init__(self):
        super().__init__()
        self.lower = nn.RNN(I, H, dtype=np.float64)
        self.upper = nn.LSTM(H, H, dtype=np.float64)

    def forward(self, x, state):
        lower, upper = (None, None) if state is None else state
        x, lower = self.lower(x, lower)
        x, upper = self.upper(x, upper)
        return x, (lower, upper)

    def step(self, x, y, state):
        output, state = self(x, state)
        return (output - y).square().sum(), state

    def mean_step(self, x, y, state):
        output, state = self(x, state)
        return (output - y).square().mean(), state

    def take_grads(self):
        """All gradients as one vector; they are cleared."""
        grads = np.concatenate([p.grad.numpy().ravel() for p in self.parameters()])
        self.zero_grad()
        return grads

    def move(self, change):
        """Add a vector to the parameters."""
        start = 0
        with tg.no_grad():
            for p in self.parameters():
                p.add_(change[start : start + p.size].reshape(p.shape))
                start += p.size


def task(steps=LONGEST):
    """A net and a sequence; a shorter one is the beginning of a longer one."""
    tg.manual_seed(0)
    net = Stack()
    x = tg.randn(LONGEST, B, I, dtype=np.float64)
    y = tg.randn(LONGEST, B, H, dtype=np.float64)
    return net, x[:steps], y[:steps]


@cache
def gradient_of_one_loss(since, t):
    """dL_t/dθ with the state before step ``since`` held constant, by hand."""
    net, x, y = task()
    state = None
    if since:
        _, state = net(x[:since], None)
        state = detach_state(state)
    if t > since:
        _, state = net(x[since:t], state)
    loss, _ = net.step(x[t : t + 1], y[t : t + 1], state)
    loss.backward()
    return net.take_grads()


@pytest.mark.parametrize("steps", range(1, LONGEST + 1))
def test_gradients_are_windowed_sums_for_all_windows(steps):
    """Each loss of a … a + k1 − 1 goes back to a + k1 − k2, whichever k1 ≤ k2 ≤ T."""
    net, x, y = task(steps)
    for k2 in range(1, steps + 1):
        for k1 in range(1, k2 + 1):
            covered = []
            for window in TruncatedBPTT(k1, k2).run(net.step, x, y, reduction="sum"):
                since = max(0, window.start + k1 - k2)
                part = range(window.start, window.stop)
                expected = sum(gradient_of_one_loss(since, t) for t in part)
                np.testing.assert_allclose(net.take_grads(), expected, rtol=1e-10, atol=1e-12)
                assert window.since == since
                covered += part
            assert covered == list(range(steps))


def test_what_truncation_leaves_out_matters():
    """The gradients of the test above differ by what it compares them to."""
    for t in range(1, LONGEST):
        for since in range(max(0, t - 2), t):
            near, far = gradient_of_one_loss(since, t), gradient_of_one_loss(since + 1, t)
            assert np.abs(near - far).max() > 1e-4


@pytest.mark.parametrize(("k1", "k2"), [(1, 1), (1, 4), (2, 5), (3, 3), (3, 7), (5, 8), (4, 20)])
def test_each_window_is_at_the_current_weights(k1, k2):
    """Run again, step by step, from the state that the window before left there."""
    net, x, y = task()
    other, _, _ = task()
    boundary = {0: None}
    for window in TruncatedBPTT(k1, k2).run(net.step, x, y, reduction="sum"):
        state, total = boundary[window.since], 0
        for t in range(window.since, window.stop):
            boundary[t] = state if t == 0 else detach_state(state)
            loss, state = other.step(x[t : t + 1], y[t : t + 1], state)
            total = total + loss if t >= window.start else total
        boundary[window.stop] = detach_state(state)
        total.backward()
        assert window.loss.item() == pytest.approx(total.item(), rel=1e-12)
        grads = other.take_grads()
        np.testing.assert_allclose(net.take_grads(), grads, rtol=1e-10, atol=1e-12)
        net.move(-0.05 * grads)
        other.move(-0.05 * grads)


@pytest.mark.parametrize(("k1", "k2"), [(1, 1), (1, 5), (2, 3), (5, 7), (3, 100), (100, 100)])
def test_values_are_those_of_the_whole(k1, k2):
    net, x, y = task()
    with tg.no_grad():
        loss, state = net.step(x, y, None)
    windows = list(TruncatedBPTT(k1, k2).run(net.step, x, y, reduction="sum"))
    assert sum(w.loss.item() for w in windows) == pytest.approx(loss.item(), rel=1e-12)
    (h, (h2, c2)), (end_h, (end_h2, end_c2)) = state, windows[-1].state
    for got, expected in ((end_h, h), (end_h2, h2), (end_c2, c2)):
        np.testing.assert_allclose(got.numpy(), expected.numpy(), rtol=1e-12)


@pytest.mark.parametrize(("k1", "k2"), [(2, 3), (5, 7), (3, 12), (5, 12)])
def test_losses_are_means_or_sums(k1, k2):
    """Whether step gives the mean of its steps or their sum, a window gives the same."""
    net, x, y = task()
    for window in TruncatedBPTT(k1, k2).run(net.mean_step, x, y):
        mean = net.take_grads()
        with tg.no_grad():
            _, before = net(x[: window.start], None) if window.start else (None, None)
            part = slice(window.start, window.stop)
            expected, _ = net.mean_step(x[part], y[part], before)
        assert window.loss.item() == pytest.approx(expected.item(), rel=1e-12)
        times = range(window.start, window.stop)
        summed = sum(gradient_of_one_loss(window.since, t) for t in times)
        numbers = (window.stop - window.start) * B * H
        np.testing.assert_allclose(mean * numbers, summed, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("k1", "k2"), [(1, 3), (2, 5)])
def test_gradcheck_with_replay_passes_on_truncated_losses(k1, k2):
    """A function that sums the losses of all windows, each from its detached state."""
    steps = 5

    class Truncated(Stack):
        def forward(self, x):
            total, states = 0, {0: None}
            for start in range(0, steps, k1):
                since, stop = max(0, start + k1 - k2), min(start + k1, steps)
                state = states[since]
                for t in range(since, stop):
                    if t not in states:
                        states[t] = detach_state(state)
                    output, state = super().forward(x[t : t + 1], state)
                    if t >= start:
                        total = total + (output - y[t : t + 1]).square().sum()
                states[stop] = detach_state(state)
            return total

    net, x, y = task(steps)
    truncated = Truncated()
    truncated.load_state_dict(net.state_dict())
    assert tg.gradcheck(truncated, x)
    truncated(x).backward()
    for _ in TruncatedBPTT(k1, k2).run(net.step, x, y, reduction="sum"):
        pass
    np.testing.assert_allclose(truncated.take_grads(), net.take_grads(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("k2", "expected"),
    [
        (1, 0.036),  # x_3 = w·x_2, x_2 held: x_2 = w² x_0
        (2, 0.072),  # x_3 = w²·x_1, x_1 held: 2 w x_1
        (3, 0.108),  # x_3 = w³·x_0: 3 w² x_0
        (4, 0.108),
        (9, 0.108),
    ],
)
@pytest.mark.parametrize("k1", [1, 2, 3])
def test_a_chain_by_hand(k1, k2, expected, device):
    """x_{t+1} = w·x_t with w = 0.2 and x_0 = 0.9: how x_3 depends on w."""
    if k1 > k2:
        return
    w = tg.tensor(np.array([0.2]), requires_grad=True, device=device)
    x0 = tg.tensor(np.array([0.9]), device=device)
    last = tg.tensor(np.array([0.0, 0.0, 1.0]), device=device)

    def step(_, counts, x):
        total = 0
        for t in range(len(counts)):
            x = w * x
            total = total + (counts[t] * x).sum()
        return total, x

    for _ in TruncatedBPTT(k1, k2).run(step, last, last, x0, reduction="sum"):
        pass
    # with k1 = 2 the loss of the third step is alone in its window, which begins where a full one
    # would: one step later
    reach = {(2, 2): 0.036, (2, 3): 0.072}.get((k1, k2), expected)
    assert w.grad.item() == pytest.approx(reach, rel=1e-12)


def test_windows_that_begin_at_the_first_step_reach_the_given_state():
    """Its gradient is the sum over those windows, also where it was computed from something."""
    net, x, y = task()
    tg.manual_seed(1)
    seed = tg.randn(3, 1, B, H, dtype=np.float64, requires_grad=True)

    def state_of(seed):
        return seed[0] * 2, (seed[1] * 2, seed[2] * 2)

    for _ in TruncatedBPTT(2, 7).run(net.step, x, y, state_of(seed), reduction="sum"):
        pass
    got, seed.grad = seed.grad.numpy().copy(), None
    loss, _ = net.step(x[:6], y[:6], state_of(seed))  # the windows of 0 … 6 begin at 0
    loss.backward()
    np.testing.assert_allclose(got, seed.grad.numpy(), rtol=1e-10)


def test_a_state_made_from_weights_follows_them():
    """As a function it is made anew; as a value it is refused once its weights have moved."""
    net, x, y = task()
    w = tg.tensor(np.zeros((1, B, H)) + 0.3, requires_grad=True)

    def state():
        h = tg.exp(w)  # whose derivative needs what was computed
        return h, (h, h)

    def moving(given):
        for window in TruncatedBPTT(1, 3).run(net.step, x, y, given, reduction="sum"):
            if window.since == 0:
                assert w.grad is not None
                yield w.numpy().copy()
                with tg.no_grad():
                    w.add_(-0.1)
            w.grad = None

    seen = [h[0, 0, 0] for h in moving(state)]
    np.testing.assert_allclose(seen, [0.3, 0.2, 0.1], rtol=1e-12)
    h = tg.exp(w) * w
    with pytest.raises(GraphError, match="mul: .* changed in place"):
        list(moving((h, (h, h))))


def test_a_window_says_where_it_is_while_it_runs():
    net, x, y = task(7)
    seen = []

    def step(x, y, state):
        seen.append(modes.window)
        return net.step(x, y, state)

    for _ in TruncatedBPTT(3, 5).run(step, x, y):
        assert modes.window is None
    # cut where the next window begins and where the losses that count begin
    pieces = [(0, 1), (1, 3), (1, 3), (3, 4), (4, 6), (4, 6), (6, 7)]
    assert seen == [(*piece, 7) for piece in pieces]
    seen.clear()
    list(TruncatedBPTT(7, 9).run(step, x, y))
    assert seen == [None]  # the whole sequence in one piece


def test_where_a_window_is_is_forgotten_after_an_error():
    def step(x, y, state):
        raise KeyError

    with pytest.raises(KeyError):
        list(TruncatedBPTT(1, 2).run(step, tg.ones(3, 1), tg.ones(3, 1)))
    assert modes.window is None


def test_another_reduction_is_refused():
    x = tg.ones(3, 1)
    with pytest.raises(ArgumentError, match="expected reduction mean or sum, got 'none'"):
        TruncatedBPTT(1, 2).run(lambda *a: a, x, x, reduction="none")


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
@pytest.mark.parametrize(("k1", "k2"), [(1, 4), (3, 5)])
def test_a_stack_is_truncated_as_its_layers_are(kind, k1, k2):
    """Layers of one module against the same layers one by one."""
    tg.manual_seed(0)
    stack = kind(I, H, num_layers=2, dtype=np.float64)
    layers = [kind(n, H, dtype=np.float64) for n in (I, H)]
    for i, layer in enumerate(layers):
        named = {f"{n[:-1]}0": p for n, p in stack.state_dict().items() if n.endswith(f"l{i}")}
        layer.load_state_dict(named)
    x = tg.randn(7, B, I, dtype=np.float64)

    def whole(x, y, state):
        output, state = stack(x, state)
        return output.square().mean(), state

    def one_by_one(x, y, states):
        after = []
        for layer, state in zip(layers, states or (None, None), strict=True):
            x, state = layer(x, state)
            after.append(state)
        return x.square().mean(), after

    bptt = TruncatedBPTT(k1, k2)
    for a, b in zip(bptt.run(whole, x, x), bptt.run(one_by_one, x, x), strict=True):
        assert a.loss.item() == pytest.approx(b.loss.item(), rel=1e-12)
    for i, layer in enumerate(layers):
        for name, p in layer.named_parameters():
            mine = dict(stack.named_parameters())[f"{name[:-1]}{i}"].grad.numpy()
            np.testing.assert_allclose(mine, p.grad.numpy(), rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
def test_a_bidirectional_layer_raises_unless_it_gets_the_whole(kind):
    layer = kind(I, H, bidirectional=True)
    x, seen = tg.randn(6, B, I), []

    def step(x, y, state):
        seen.append(len(x))
        output, state = layer(x, state)
        return output.sum(), state

    list(TruncatedBPTT(6, 6).run(step, x, x))
    list(TruncatedBPTT(7, 9).run(step, x, x))
    for k1, k2 in [(3, 3), (5, 6), (1, 6)]:
        with pytest.raises(ArgumentError, match="bidirectional"):
            list(TruncatedBPTT(k1, k2).run(step, x, x))
    with pytest.raises(ArgumentError, match="bidirectional"):
        list(rtrl(step, x, x, layer.parameters()))
    assert seen == [6, 6, 3, 4, 1, 1]
