"""Ledgers of cells: the toy chain, the package's cells, the user's own; and what is refused."""

import numpy as np
import pytest

import tinygrad_seq as tg
from tests.support.ledgers import B, H, I, T, Task
from tinygrad_seq import bptt, nn
from tinygrad_seq.errors import ArgumentError, DTypeError, ShapeError

F64 = np.float64


def randn(*shape):
    return tg.randn(*shape, dtype=F64)


def chain(w, h1, xs):
    """h_t = tanh(w·h_{t−1} + 2·x_t + 1), the last h as its loss."""
    w = tg.tensor(np.array(w), requires_grad=True)
    xs = tg.tensor(np.array(xs, F64))
    return bptt.ledger(
        lambda x, h: tg.tanh(w * h + 2 * x + 1),
        xs,
        lambda h, t: h if t == len(xs) else None,
        initial=tg.tensor(np.array(h1)),
        params={"w": w},
    )


@pytest.mark.parametrize(
    ("w", "h1", "xs", "expected"),
    [
        (3.0, 0.0, (0, 0), 0.0211438),
        (3.0, 0.5, (-1, -1), 6.1184),
        (3.0, 0.0, (-0.5, -0.5), 9),
        (0.2, 0.0, (-0.5, -0.5), 0.04),
    ],
)
def test_the_toy_chains_four_values(w, h1, xs, expected):
    ledger = chain(w, h1, xs)
    found = ledger.jacobian_between(2, 0).item()
    assert found == pytest.approx(expected, rel=1e-5)
    h2, h3 = ledger.states["h"][1:].ravel()
    assert found == pytest.approx(w**2 * (1 - h2**2) * (1 - h3**2), rel=1e-12)
    assert ledger.credit["h"][2, 0].item() == pytest.approx(found, rel=1e-12)
    assert ledger.shares["w"].tolist() == pytest.approx(
        [0, w * (1 - h3**2) * (1 - h2**2) * h1, (1 - h3**2) * h2]
    )


def test_one_chain_explodes_and_then_vanishes():
    ledger = chain(3.0, 1e-12, [-0.5] * 50)
    product = [ledger.jacobian_between(t, 0).item() for t in range(51)]
    assert product[10] == pytest.approx(59_049, rel=1e-9)
    assert 3.5e11 < max(product) < 4.5e11
    assert product[50] == pytest.approx(4e-26, rel=0.1)
    assert ledger.states["h"][50].item() == pytest.approx(0.9949, abs=5e-5)
    assert ledger.jacobians[50].item() == pytest.approx(0.0305, abs=5e-5)


@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize("cell", [nn.RNNCell, nn.LSTMCell, nn.GRUCell])
@pytest.mark.parametrize("given", [True, False])
def test_the_packages_cells_are_their_layers(cell, batched, given):
    """With one layer's weights, every number is that of the layer."""
    kind = {nn.RNNCell: nn.RNN, nn.LSTMCell: nn.LSTM, nn.GRUCell: nn.GRU}[cell]
    task = Task((kind, 1, {}))
    one = cell(I, H, dtype=F64)
    one.load_state_dict({n[:-3]: p for n, p in task.layer.state_dict().items()})
    x, initial = (task.x, task.initial) if batched else (task.x[:, 0], None)
    if not batched:
        parts = task.initial if isinstance(task.initial, tuple) else (task.initial,)
        initial = tuple(p[:, 0] for p in parts)
        initial = initial if len(initial) > 1 else initial[0]
    if not given:
        initial = None
    layer = bptt.ledger(task.layer, x, task.loss, initial=initial)
    if given:
        initial = tuple(p[0] for p in initial) if isinstance(initial, tuple) else initial[0]
    ledger = bptt.ledger(one, x, task.loss, initial=initial)
    assert ledger.kind == layer.kind
    assert ledger.nonlinearity == layer.nonlinearity
    for name in ("carried", "jacobians", "inputs", "losses"):
        np.testing.assert_allclose(getattr(ledger, name), getattr(layer, name), atol=1e-13)
    for name in ("states", "gates", "credit"):
        found, expected = getattr(ledger, name), getattr(layer, name)
        assert list(found) == list(expected)
        for key in expected:
            np.testing.assert_allclose(found[key], expected[key], atol=1e-13)
    for name, share in ledger.shares.items():
        of_layer = layer.shares[name if name in layer.shares else name + "_l0"]
        np.testing.assert_allclose(share, of_layer, atol=1e-12)
    assert (ledger.bound is None) == (layer.bound is None)
    if ledger.bound is not None:
        np.testing.assert_array_equal(ledger.bound, layer.bound)
    if ledger.highway:
        np.testing.assert_allclose(ledger.highway["c"], layer.highway["c"])


def test_cells_with_options():
    cells = [nn.RNNCell(I, H, nonlinearity="relu", layer_norm=True, dtype=F64),
             nn.LSTMCell(I, H, peephole=True, layer_norm=True, dtype=F64),
             nn.GRUCell(I, H, reset_after=False, update="take", dtype=F64)]  # fmt: skip
    for cell in cells:
        ledger = bptt.ledger(cell, randn(T, B, I), lambda h, t: h.square().sum())
        for name, p in cell.named_parameters():
            assert ledger.shares[name].shape == (T + 1, *p.shape)


class OwnLSTM(nn.Module):
    """An LSTM as a user may write it; its state is (h, c)."""

    def __init__(self):
        super().__init__()
        self.gates = nn.Linear(I + H, 4 * H, dtype=F64)

    def forward(self, x, state):
        h, c = state
        a = self.gates(tg.concatenate([x, h], axis=1))
        i, f, g, o = (a[:, k * H : (k + 1) * H] for k in range(4))
        c = tg.sigmoid(f) * c + tg.sigmoid(i) * tg.tanh(g)
        return tg.sigmoid(o) * tg.tanh(c), c


def test_a_users_lstm_is_the_packages():
    """The same weights, so the same credit: that of c does not go through h of the same step, which
    is a state of its own."""
    tg.manual_seed(0)
    own, layer = OwnLSTM(), nn.LSTM(I, H, dtype=F64)
    with tg.no_grad():
        w = own.gates.weight
        layer.weight_ih_l0.copy_(w[:, :I])
        layer.weight_hh_l0.copy_(w[:, I:])
        layer.bias_ih_l0.copy_(own.gates.bias)
        layer.bias_hh_l0.zero_()
    x, h, c = randn(T, B, I), randn(B, H), randn(B, H)

    def loss(h, t):
        return None if t == 1 else (h * t).square().sum()

    found = bptt.ledger(own, x, loss, initial=(h, c))
    expected = bptt.ledger(layer, x, loss, initial=(h[None], c[None]))
    assert found.kind == "cell"
    assert list(found.states) == ["h", "s1"]
    assert found.highway is None
    for mine, theirs in (("h", "h"), ("s1", "c")):
        np.testing.assert_allclose(found.credit[mine], expected.credit[theirs], atol=1e-13)
        np.testing.assert_allclose(found.states[mine], expected.states[theirs], atol=1e-14)
    np.testing.assert_allclose(found.carried, expected.carried, atol=1e-13)
    np.testing.assert_allclose(found.jacobians, expected.jacobians, atol=1e-13)
    share = np.concatenate([expected.shares[f"weight_{n}_l0"] for n in ("ih", "hh")], axis=2)
    np.testing.assert_allclose(found.shares["gates.weight"], share, atol=1e-12)
    cut = found.truncated(1, 2).grad["gates.bias"]
    np.testing.assert_allclose(cut, expected.truncated(1, 2).grad["bias_ih_l0"], atol=1e-12)


def test_a_user_cell_that_starts_from_nothing():
    """None as first state, rows of tokens as inputs, a read-out found in the closure."""
    tg.manual_seed(0)
    embed, turn, read = nn.Embedding(5, H, dtype=F64), nn.Linear(H, H, dtype=F64), nn.Linear(H, 1,
                                                                             dtype=F64)  # fmt: skip

    def cell(token, h):
        return tg.tanh(embed(token) + (0 if h is None else turn(h)))

    tokens = np.array([[0, 1], [2, 2], [4, 0]])
    ledger = bptt.ledger(cell, tokens, lambda h, t: read(h).sum())
    assert not ledger.states["h"][0].any()
    assert not ledger.jacobians[1].any()
    assert not ledger.carried[:, 0].any()
    assert ledger.inputs[1:, :, 0].tolist() == tokens.tolist()
    assert set(ledger.shares) == {"embed.weight", "turn.weight", "turn.bias", "read.weight",
                                  "read.bias"}  # fmt: skip
    assert not ledger.shares["turn.weight"][:2].any()
    assert ledger.shares["turn.weight"][2].any()


def test_a_state_that_is_handed_on_as_it_is():
    """The cell returns what it got, and one tensor twice: places of their own all the same."""
    w = tg.tensor(np.array([2.0]), requires_grad=True)
    x = tg.ones(3, 1, dtype=F64)

    def cell(x, state):
        h, kept, _ = state
        h = h * w + kept * x
        return h, kept, h

    one = tg.ones(1, dtype=F64)
    ledger = bptt.ledger(cell, x, lambda h, t: h.sum(), initial=(one, one, one), params=[w])
    np.testing.assert_allclose(
        ledger.jacobians[2, 0], [[2, 1, 0], [0, 1, 0], [2, 1, 0]], atol=1e-15
    )
    assert ledger.credit["s1"][2].ravel().tolist() == [3, 1, 0, 0]
    assert not ledger.credit["s2"].any()
    assert list(ledger.grad) == ["param0"]


def test_a_state_that_takes_no_part():
    ledger = bptt.ledger(lambda x, h: x, tg.ones(2, 1, 1), lambda h, t: h.sum(),
                         initial=tg.ones(1, 1))  # fmt: skip
    assert not ledger.jacobians.any()
    assert ledger.credit["h"].ravel().tolist() == [0, 0, 0, 0, 1, 0, 0, 0, 1]
    assert ledger.grad == {}


@pytest.mark.parametrize("net", [(nn.LSTM, 1, {}), (nn.LSTM, 2, {})])
def test_the_gradient_highway(net):
    ledger = Task(net).ledger()
    assert len(ledger.highway) == net[1]
    for name, path in ledger.highway.items():
        f = ledger.gates["f" + name[1:]]
        for t in range(T + 1):
            for k in range(T + 1):
                expected = np.prod(f[k + 1 : t + 1], axis=0) if k <= t else np.zeros((B, H))
                np.testing.assert_allclose(path[t, k], expected)
    assert Task((nn.GRU, 1, {})).ledger().highway is None


def test_an_open_highway_is_exactly_one():
    """f = 1, i = 0, W_hh = 0: ∂c_T/∂c_0 is exactly 1, and c stays where it was."""
    layer = nn.LSTM(I, H, dtype=F64)
    with tg.no_grad():
        for p in layer.parameters():
            p.zero_()
        layer.bias_ih_l0[:H] = -1e4
        layer.bias_ih_l0[H : 2 * H] = 1e4
    start = randn(1, 1, H), randn(1, 1, H)
    ledger = bptt.ledger(layer, randn(30, 1, I), lambda h, t: h.sum(), initial=start)
    assert (ledger.highway["c"][30, 0] == 1).all()
    cell = ledger.slices["c"]
    assert ledger.jacobian_between(30, 0)[0, cell, cell].tolist() == np.eye(H).tolist()
    np.testing.assert_array_equal(ledger.states["c"][30], start[1].numpy()[0])


def test_rows_that_act_on_each_other():
    """Credit and shares do not mind; a Jacobian for each row there is none."""
    x, h = randn(3, B, H), randn(B, H)
    ledger = bptt.ledger(lambda x, h: tg.tanh(x + h - h.mean(axis=0)), x, lambda h, t: h.sum(),
                         initial=h)  # fmt: skip
    with pytest.raises(ArgumentError, match="rows that do not act on each other"):
        _ = ledger.jacobians


def test_a_net_beyond_all_numbers():
    """Infinities are reported as such, not refused."""
    layer = nn.RNN(1, 1, nonlinearity="relu", bias=False, dtype=F64)
    with tg.no_grad(), np.errstate(all="ignore"):
        layer.weight_hh_l0.fill_(1e200)
        layer.weight_ih_l0.fill_(1.0)
        ledger = bptt.ledger(layer, tg.ones(4, 1, 1, dtype=F64), lambda h, t: h.sum())
        assert not np.isfinite(ledger.grad["weight_hh_l0"]).all()
        assert ledger.spectral_radius[2] == pytest.approx(1e200)


x3, h2 = tg.ones(T, B, I), tg.zeros(B, H)


def total(h, t):
    return h.sum()


@pytest.mark.parametrize(
    ("error", "match", "call"),
    [
        (ArgumentError, "one direction", lambda: (nn.RNN(I, H, bidirectional=True), x3, total)),
        (ArgumentError, "dropout=0.5 while training",
         lambda: (nn.LSTM(I, H, 2, dropout=0.5), x3, total)),
        (ArgumentError, "zoneout=.* while training",
         lambda: (nn.LSTM(I, H, zoneout=(0.0, 0.1)), x3, total)),
        (ArgumentError, "recurrent_dropout=0.1 while",
         lambda: (nn.GRU(I, H, recurrent_dropout=0.1), x3, total)),
        (ArgumentError, "zoneout=0.1", lambda: (nn.GRUCell(I, H, zoneout=0.1), x3, total)),
        (ArgumentError, "scalar Tensor or None from loss.h, 1., got shape",
         lambda: (nn.RNN(I, H), x3, lambda h, t: h)),
        (ArgumentError, "got float", lambda: (nn.RNN(I, H), x3, lambda h, t: 1.0)),
        (ArgumentError, "a function loss", lambda: (nn.RNN(I, H), x3, None)),
        (ArgumentError, "nn.RNN, nn.LSTM, nn.GRU", lambda: (None, x3, total)),
        (ShapeError, "at least one step", lambda: (nn.RNN(I, H), x3[:0], total)),
        (ShapeError, "at least one step", lambda: (lambda x, h: h, x3[:0], total, h2)),
        (ShapeError, "at least one step", lambda: (nn.LSTMCell(I, H), x3[:0], total)),
        (ShapeError, "x of shape", lambda: (nn.RNN(I + 1, H), x3, total)),
        (ShapeError, "inputs of shape", lambda: (nn.RNNCell(I + 1, H), x3, total)),
        (ShapeError, "h0 of shape", lambda: (nn.RNN(I, H), x3, total, h2)),
        (ShapeError, "h of shape", lambda: (nn.RNNCell(I, H), x3, total, tg.zeros(B, 7))),
        (ArgumentError, "state to be a pair", lambda: (nn.LSTM(I, H), x3, total, h2)),
        (ShapeError, "time as an axis, got list", lambda: (nn.RNN(I, H), [1.0, 2.0], total)),
        (ArgumentError, "state made of Tensors.*got float",
         lambda: (lambda x, h: 3.0, x3, total, h2)),
        (ArgumentError, "the cell to return a state",
         lambda: (lambda x, h: None, x3, total, h2)),
        (ShapeError, "a state of shapes", lambda: (lambda x, h: (h, h), x3, total, h2)),
        (ShapeError, "a state of shapes", lambda: (lambda x, h: h[:1], x3, total, h2)),
        (ShapeError, "states of shape .B, H.",
         lambda: (lambda x, h: h, x3, total, tg.zeros(2, B, H))),
        (ArgumentError, "state made of Tensors", lambda: (lambda x, h: h, x3, total, np.ones(2))),
        (DTypeError, "a state of real numbers",
         lambda: (lambda x, h: h, x3, total, tg.tensor(np.array([1, 2])))),
    ],
)  # fmt: skip
def test_what_is_refused(error, match, call):
    model, inputs, loss, *initial = call()
    with pytest.raises(error, match=match):
        bptt.ledger(model, inputs, loss, initial=initial[0] if initial else None)


def test_times_and_names_that_there_are_not():
    ledger = Task((nn.LSTM, 2, {})).ledger()
    with pytest.raises(ArgumentError, match="one of h_l0, h_l1, c_l0, c_l1, got 'h'"):
        ledger.delta()
    for call in (lambda: ledger.jacobian_between(1, 2), lambda: ledger.jacobian_between(T + 1, 0),
                 lambda: ledger.bound_between(1, -1), lambda: ledger.share(T + 1, 1),
                 lambda: ledger.share(1, -1), lambda: ledger.share(1.0, 1)):  # fmt: skip
        with pytest.raises(ArgumentError, match="times 0 ≤ k ≤ t ≤ 4"):
            call()
