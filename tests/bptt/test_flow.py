"""The gradient's norm by lag, against one backward pass per loss."""

import numpy as np
import pytest

import tinygrad_seq as tg
from tinygrad_seq import bptt, nn, ops
from tinygrad_seq.backend import default_generator
from tinygrad_seq.errors import ArgumentError, GraphError
from tinygrad_seq.models import CharLM, FrameModel, Reader

T, B, I, H = 5, 3, 2, 4
LAYERS = {
    "rnn": lambda: nn.RNN(I, H, dtype=np.float64),
    "relu": lambda: nn.RNN(I, H, nonlinearity="relu", dtype=np.float64),
    "lstm": lambda: nn.LSTM(I, H, dtype=np.float64),
    "gru": lambda: nn.GRU(I, H, dtype=np.float64),
    "stack": lambda: nn.LSTM(I, H, num_layers=2, dtype=np.float64),
    "residual": lambda: nn.GRU(I, H, num_layers=3, residual=True, dtype=np.float64),
    "narrow": lambda: nn.LSTM(I, H, proj_size=2, dtype=np.float64),
    "learned": lambda: nn.LSTM(I, H, learned_state=True, layer_norm=True, dtype=np.float64),
}


def unrolled(layer, x, state, losses_of):
    """For every lag the norms ‖∂L_s/∂state_{s−lag}‖, each L_s differentiated by itself.

    losses_of(outputs, last): {s: a tensor (B,) of the loss at step s of each row}.
    """
    held, outputs = [], []
    for t in range(len(x)):
        many = isinstance(state, tuple)
        state = tuple(h * 1 for h in state) if many else state * 1  # what step t alone takes
        held.append(list(state) if many else [state])
        output, state = layer(x[t : t + 1], state)
        outputs.append(output[0] * 1)
    last = [h * 1 for h in (state if isinstance(state, tuple) else [state])]
    norms = [[[] for _ in range(len(x) + 1)] for _ in last]
    for s, loss in losses_of(outputs, last).items():
        for b in range(x.shape[1]):
            for t in range(s):
                grads = tg.grad(loss[b], held[t], retain_graph=True, allow_unused=True)
                for name, g in zip(norms, grads, strict=True):
                    name[s - t].append(0.0 if g is None else np.linalg.norm(g.numpy()[:, b]))
            nearest = [outputs[s - 1]] if s < len(x) else [outputs[s - 1], *last]
            out, *ends = tg.grad(loss[b], nearest, retain_graph=True, allow_unused=True)
            ends = [None if g is None else g.numpy()[:, b] for g in ends or [None] * len(last)]
            if out is not None:
                ends[0] = np.zeros(last[0].shape[::2]) if ends[0] is None else ends[0].copy()
                ends[0][-1] += out.numpy()[b]
            for name, g in zip(norms, ends, strict=True):
                name[0].append(0.0 if g is None else np.linalg.norm(g))
    return [[np.mean(k) if k else 0.0 for k in name] for name in norms]


def given_state(layer):
    h = tg.randn(layer.num_layers, B, getattr(layer, "proj_size", 0) or H, dtype=np.float64)
    if isinstance(layer, nn.LSTM):
        h = (h, tg.randn(layer.num_layers, B, H, dtype=np.float64))
    for part in h if isinstance(h, tuple) else [h]:
        part.requires_grad_()
    return h


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("where", ["every step", "the end", "both"])
def test_it_is_what_one_pass_per_loss_gives(kind, where):
    layer = LAYERS[kind]()
    x, state = tg.randn(T, B, I, dtype=np.float64), given_state(layer)
    weight = tg.randn(T + 2, B, dtype=np.float64)

    def losses_of(outputs, last):
        losses = {s: (weight[s] * (outputs[s - 1] ** 2).sum(axis=-1)) for s in range(1, T + 1)}
        ends = sum((weight[T + 1] * (h**3).sum(axis=(0, 2)) for h in last), start=0)
        if where == "the end":
            return {T: ends}
        return losses if where == "every step" else {**losses, T: losses[T] + ends}

    def loss():
        output, last = layer(x, state)
        last = last if isinstance(last, tuple) else (last,)
        return sum(losses_of(list(output), last).values()).sum()

    flow = bptt.gradient_flow(layer, loss)
    assert list(flow) == (["h", "c"] if isinstance(layer, nn.LSTM) else ["h"])
    expected = unrolled(layer, x, state, losses_of)
    for found, wanted in zip(flow.values(), expected, strict=True):
        assert found.shape == (T + 1,)
        np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-14)


def test_the_toy_chain_in_closed_form():
    """h_t = tanh(w·h_{t−1} + 2·x_t + 1) at x = −½, h = 0: each step multiplies by w."""
    layer = nn.RNN(1, 1, single_bias=True, dtype=np.float64)
    for parameter, value in zip(layer.parameters(), (2.0, 3.0, 1.0), strict=True):
        with tg.no_grad():
            parameter.fill_(value)
    x = tg.full((6, 1, 1), -0.5, dtype=np.float64)
    flow = bptt.gradient_flow(layer, lambda: layer(x)[0][-1].sum())
    np.testing.assert_allclose(flow["h"], 3.0 ** np.arange(7), rtol=1e-12)


def test_without_a_state_the_layer_starts_where_it_always_does():
    layer = LAYERS["learned"]()
    with tg.no_grad():
        layer.initial_h.fill_(0.3)
        layer.initial_c.fill_(-0.5)
    x = tg.randn(T, B, I, dtype=np.float64)
    state = tuple(tg.full((1, B, H), v, dtype=np.float64) for v in (0.3, -0.5))
    given = bptt.gradient_flow(layer, lambda: (layer(x, state)[0] ** 2).sum())
    learned = bptt.gradient_flow(layer, lambda: (layer(x)[0] ** 2).sum())
    np.testing.assert_allclose(learned["c"], given["c"], rtol=1e-12)


def test_batch_first_is_the_same():
    layer, turned = LAYERS["gru"](), nn.GRU(I, H, batch_first=True, dtype=np.float64)
    turned.load_state_dict(layer.state_dict())
    x = tg.randn(T, B, I, dtype=np.float64)
    one = bptt.gradient_flow(layer, lambda: (layer(x)[0] ** 2).sum())
    other = bptt.gradient_flow(turned, lambda: (turned(x.swapaxes(0, 1))[0] ** 2).sum())
    np.testing.assert_allclose(other["h"], one["h"], rtol=1e-12)


def test_rows_are_the_first_of_the_batch():
    layer = LAYERS["lstm"]()
    x = tg.randn(T, B, I, dtype=np.float64)
    whole = bptt.gradient_flow(layer, lambda: (layer(x)[0] ** 2).sum(), rows=2)
    part = bptt.gradient_flow(layer, lambda: (layer(x[:, :2])[0] ** 2).sum())
    np.testing.assert_allclose(whole["c"], part["c"], rtol=1e-12)


def test_padding_does_not_count():
    model = FrameModel(3, 4, kind="lstm", dtype=np.float64)
    frames = tg.tensor((np.arange(7 * 2 * 3).reshape(7, 2, 3) % 2).astype(np.float64))
    lengths = np.array([7, 4])
    flow = bptt.gradient_flow(model.rnn, lambda: model.nll(frames, lengths))

    def alone_with(b, n):
        return bptt.gradient_flow(
            model.rnn, lambda: model.nll(frames[:n, b : b + 1], lengths[b : b + 1])
        )

    alone = [alone_with(b, n) for b, n in enumerate(lengths.tolist())]
    np.testing.assert_allclose(flow["h"][5:], alone[0]["h"][5:], rtol=1e-12)
    np.testing.assert_allclose(flow["h"][0], (6 * alone[0]["h"][0] + 3 * alone[1]["h"][0]) / 9)
    np.testing.assert_allclose(flow["c"][2], (5 * alone[0]["c"][2] + 2 * alone[1]["c"][2]) / 7)


def test_a_loss_at_the_end_only_comes_from_there(device):
    model = Reader(I, 1, 4, kind="gru", device=device)
    x = tg.tensor(np.ones((T, B, I), np.float32), device=device)
    flow = bptt.gradient_flow(model.rnn, lambda: (model(x) ** 2).sum())
    assert flow["h"].shape == (T + 1,)
    assert (flow["h"] > 0).all()


def test_nothing_of_the_callers_changes():
    model = CharLM(5, 3, 4, kind="lstm").eval()
    tokens = tg.tensor(np.arange(12).reshape(4, 3) % 5)
    model.loss(tokens, tokens)[0].backward()
    before = {name: p.grad.numpy().copy() for name, p in model.named_parameters()}
    stream = default_generator().get_state()
    with tg.no_grad():  # as a look while training
        bptt.gradient_flow(model.rnn, lambda: model.loss(tokens, tokens)[0])
    assert default_generator().get_state() == stream
    assert not model.rnn._hooks
    for name, p in model.named_parameters():
        np.testing.assert_array_equal(p.grad.numpy(), before[name])


X = tg.randn(T, B, I)


def refused(layer, loss, error, words):
    with pytest.raises(error, match=words):
        bptt.gradient_flow(layer, loss)
    assert not getattr(layer, "_hooks", None)


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (nn.Linear(I, H), "nn.GRU in one direction, got Linear"),
        (nn.LSTM(I, H, bidirectional=True), "got a bidirectional LSTM"),
        (nn.RNN(I, H, num_layers=2, dropout=0.5), "drops nothing at random"),
        (nn.LSTM(I, H, zoneout=(0.0, 0.5)), "zoneout"),
    ],
)
def test_other_layers_are_refused(layer, words):
    refused(layer, lambda: layer(X)[0].sum(), ArgumentError, words)


@pytest.mark.parametrize(
    ("loss", "error", "words"),
    [
        (lambda layer: X.sum(), ArgumentError, "call the layer once, got 0 calls"),
        (lambda layer: layer(layer(X)[0][..., :I])[0].sum(), ArgumentError, "got 2 calls"),
        (lambda layer: layer(X)[0].detach().sum(), GraphError, "does not depend on the layer"),
        (lambda layer: layer(X[:, 0])[0].sum(), ArgumentError, r"\(T, B, ·\)"),
        (lambda layer: layer(X, lengths=[5, 3, 2])[1].sum(), ArgumentError, "no lengths"),
        (lambda layer: layer(nn.pack_sequence([X[:, 0]]))[1].sum(), ArgumentError, "padded batch"),
        (lambda layer: layer(X)[7], IndexError, "tuple"),
    ],
)
def test_losses_that_do_not_fit_are_refused(loss, error, words):
    layer = nn.GRU(I, H)
    refused(layer, lambda: loss(layer), error, words)


def test_some_rows_are_needed():
    layer = nn.GRU(I, H)
    with pytest.raises(ArgumentError, match="rows"):
        bptt.gradient_flow(layer, lambda: layer(X)[0].sum(), rows=0)


def test_dropout_is_allowed_in_evaluation():
    layer = nn.RNN(I, H, num_layers=2, dropout=0.5).eval()
    assert bptt.gradient_flow(layer, lambda: ops.sum(layer(X)[0]))["h"][0] > 0


@pytest.mark.parametrize("kind", ["rnn", "lstm", "stack"])
def test_it_is_the_mean_of_what_the_ledger_carries(kind):
    layer = LAYERS[kind]()
    x = tg.randn(T, B, I, dtype=np.float64)
    flow = bptt.gradient_flow(layer, lambda: (layer(x)[0] ** 2).sum())
    carried = bptt.ledger(layer, x, lambda h, t: (h**2).sum()).carried  # (T + 1, T + 1, B, S)
    parts = np.split(carried, len(flow), axis=-1) if layer.num_layers == 1 else [carried]
    norms = [np.linalg.norm(part, axis=-1) for part in parts]
    for lag in range(1, T + 1):
        means = [np.mean([part[s, s - lag] for s in range(lag, T + 1)]) for part in norms]
        if layer.num_layers == 1:
            np.testing.assert_allclose([v[lag] for v in flow.values()], means, rtol=1e-10)
        else:  # all of the state together is no less than each of its parts, and no more than both
            assert max(v[lag] for v in flow.values()) <= means[0] + 1e-12
            assert means[0] <= sum(v[lag] for v in flow.values())
