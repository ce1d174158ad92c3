"""Starting values for recurrent layers, by what the layers then do."""

import math

import numpy as np
import pytest

import tinygrad_seq as tg
from tinygrad_seq import nn
from tinygrad_seq.errors import ArgumentError, ShapeError
from tinygrad_seq.nn import init

DEEP = {"num_layers": 2, "bidirectional": True}


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def values(layer):
    return {name: p.numpy().copy() for name, p in layer.named_parameters()}


def changed(before, layer):
    """The names of the parameters of which any element changed."""
    return {n for n, p in layer.named_parameters() if (p.numpy() != before[n]).any()}


def block(array, gate, gates):
    return np.split(array, gates)[gate]


# ---------------------------------------------------------------------- IRNN


def gradient_through(rnn, steps):
    """∂h_T/∂h_0 at a positive state and an input of zeros."""
    h0 = tg.ones(1, 1, rnn.hidden_size, dtype="float64", requires_grad=True)
    x = tg.zeros(steps, 1, rnn.input_size, dtype="float64")
    return tg.jacobian(lambda h: rnn(x, h)[1][0, 0], h0).numpy().reshape(rnn.hidden_size, -1)


@pytest.mark.parametrize("steps", [1, 10, 100])
def test_through_the_identity_a_gradient_passes_unchanged(steps):
    rnn = nn.RNN(2, 3, nonlinearity="relu", dtype="float64")
    assert init.irnn_(rnn) is rnn
    np.testing.assert_array_equal(gradient_through(rnn, steps), np.eye(3))


@pytest.mark.parametrize("steps", [1, 10, 30])
def test_through_three_times_the_identity_it_grows_as_a_power_of_three(steps):
    rnn = init.irnn_(nn.RNN(2, 3, nonlinearity="relu", dtype="float64"), scale=3)
    np.testing.assert_array_equal(gradient_through(rnn, steps), 3.0**steps * np.eye(3))


def test_irnn_sets_every_layer_and_direction():
    rnn = nn.RNN(200, 50, nonlinearity="relu", dtype="float64", **DEEP)
    init.irnn_(rnn, std=0.02, scale=0.5)
    for name, p in rnn.named_parameters():
        if name.startswith("weight_hh"):
            np.testing.assert_array_equal(p.numpy(), 0.5 * np.eye(50))
        elif name.startswith("weight_ih"):
            # A sample's standard deviation is off by σ/√(2n).
            assert abs(p.numpy().std() - 0.02) < 5 * 0.02 / math.sqrt(2 * p.size)
        else:
            assert (p.numpy() == 0).all()


def test_irnn_without_biases_and_as_a_cell():
    relu = {"nonlinearity": "relu"}
    for made in (nn.RNN(2, 3, bias=False, **relu), nn.RNN(2, 3, single_bias=True, **relu),
                 nn.RNNCell(2, 3, **relu)):  # fmt: skip
        init.irnn_(made)
        (hidden,) = [p for n, p in made.named_parameters() if n.startswith("weight_hh")]
        np.testing.assert_array_equal(hidden.numpy(), np.eye(3))
        assert all((p.numpy() == 0).all() for n, p in made.named_parameters() if "bias" in n)


# ---------------------------------------------------------------------- orthogonal gates


@pytest.mark.parametrize("gain", [1.0, 0.5])
@pytest.mark.parametrize("gates", [1, 3, 4])
@pytest.mark.parametrize("columns", [6, 4, 9])
def test_every_gate_is_orthogonal_by_itself(gates, columns, gain):
    w = tg.zeros(gates * 6, columns, dtype="float64")
    assert init.orthogonal_gates_(w, gates, gain) is w
    blocks = np.split(w.numpy(), gates)
    for b in blocks:
        small = b.T @ b if columns <= 6 else b @ b.T
        np.testing.assert_allclose(small, gain**2 * np.eye(len(small)), atol=1e-13)
    for i in range(gates):  # each was drawn for itself
        assert all(np.abs(blocks[i] - blocks[j]).max() > 0.05 for j in range(i))


def test_as_one_matrix_the_gates_would_not_be_orthogonal():
    whole = init.orthogonal_(tg.zeros(24, 6, dtype="float64")).numpy()
    lengths = np.linalg.norm(np.split(whole, 4), axis=1) ** 2
    assert lengths.mean() == pytest.approx(1 / 4)


@pytest.mark.parametrize(("kind", "gates"), [(nn.RNN, 1), (nn.GRU, 3), (nn.LSTM, 4)])
def test_all_recurrent_weights_of_a_layer(kind, gates):
    layer = kind(5, 7, dtype="float64", **DEEP)
    before = values(layer)
    assert init.orthogonal_recurrent_(layer, 2.0) is layer
    assert changed(before, layer) == {n for n in before if n.startswith("weight_hh")}
    for name in changed(before, layer):
        for b in np.split(getattr(layer, name).numpy(), gates):
            np.testing.assert_allclose(b.T @ b, 4 * np.eye(7), atol=1e-13)


def test_a_projected_lstm_has_gates_that_are_no_squares():
    lstm = init.orthogonal_recurrent_(nn.LSTM(5, 7, proj_size=3, dtype="float64"))
    for b in np.split(lstm.weight_hh_l0.numpy(), 4):
        np.testing.assert_allclose(b.T @ b, np.eye(3), atol=1e-13)


# ---------------------------------------------------------------------- biases of gates


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.LSTM(3, 5, **DEEP),
        lambda: nn.LSTM(3, 5, single_bias=True),
        lambda: nn.LSTM(3, 5, proj_size=2, layer_norm=True, peephole=True),
        lambda: nn.LSTMCell(3, 5),
    ],
)
def test_forget_bias(make):
    lstm = make()
    before = values(lstm)
    assert init.forget_bias_(lstm, 1.5) is lstm
    biases = {n for n in before if n.startswith(("bias_ih", "bias_hh"))}
    assert changed(before, lstm) == biases
    for name in biases:
        now = getattr(lstm, name).numpy()
        np.testing.assert_array_equal(block(now, 1, 4), 1.5 if "_ih" in name else 0)
        for gate in (0, 2, 3):
            np.testing.assert_array_equal(block(now, gate, 4), block(before[name], gate, 4))


def states_kept(layer, steps):
    """What is left of a state of ones after so many steps with inputs, and outputs, of zeros."""
    for name, p in layer.named_parameters():
        if name.startswith("weight"):
            init.zeros_(p)
        else:  # of the candidate, and of the LSTM's output gate, which is to keep shut
            size, gates = layer.hidden_size, p.size // layer.hidden_size
            with tg.no_grad():
                p[2 * size :] = 0 if gates == 3 else tg.tensor([0.0] * size + [-1e9] * size)
    x, ones = tg.zeros(steps, 1, 1), tg.ones(1, 1, layer.hidden_size)
    if isinstance(layer, nn.LSTM):
        _, (_, kept) = layer(x, (tg.zeros(1, 1, layer.hidden_size), ones))
    else:
        _, kept = layer(x, ones)
    return kept.numpy().ravel().astype(np.float64)


@pytest.mark.parametrize(
    "make",
    [
        lambda n: nn.LSTM(1, n),
        lambda n: nn.LSTM(1, n, single_bias=True),
        lambda n: nn.GRU(1, n),
        lambda n: nn.GRU(1, n, update="take"),
    ],
)
def test_chrono_remembers_for_up_to_t_max_steps(make):
    """A state decays as f^t with f = u/(1 + u), u uniform on [1, t_max − 1]."""
    t_max, units, steps = 100, 2000, 50
    kept = states_kept(init.chrono_(make(units), t_max), steps)
    u = 1 / (kept ** (-1 / steps) - 1)
    assert u.min() > 1 - 0.02
    assert u.max() < t_max - 1 + 0.2
    # Uniform: its mean is off by σ/√n, and a quarter of it lies in every quarter.
    width = t_max - 2
    assert abs(u.mean() - t_max / 2) < 5 * width / math.sqrt(12 * units)
    counts = np.histogram(u, bins=4, range=(1, t_max - 1))[0]
    assert np.abs(counts - units / 4).max() < 5 * math.sqrt(units * 3 / 16)
    # Half of the units keep a third or more over half of t_max steps …
    assert np.median(kept) > 1 / 3
    # … where by default, with gates half open, none keeps anything.
    assert states_kept(make(units), steps).max() < 1e-6


def test_chrono_of_an_lstm_closes_the_input_as_far_as_it_keeps():
    lstm = nn.LSTM(3, 40, dtype="float64", **DEEP)
    before = values(lstm)
    assert init.chrono_(lstm, 30) is lstm
    biases = [n for n in before if "bias" in n]
    assert changed(before, lstm) == set(biases)
    drawn = []
    for name in biases:
        i, f, g, o = np.split(getattr(lstm, name).numpy(), 4)
        np.testing.assert_array_equal(i, -f)
        if "_hh" in name:
            np.testing.assert_array_equal(f, 0)
        else:
            np.testing.assert_allclose(sigmoid(i) + sigmoid(f), 1, rtol=1e-14)
            assert 0 <= f.min() < f.max() <= math.log(29)
            drawn.append(tuple(f))
        np.testing.assert_array_equal([g, o], np.split(before[name], 4)[2:])
    assert len(set(drawn)) == 4  # each layer and direction has times of its own


@pytest.mark.parametrize(("update", "sign"), [("keep", 1), ("take", -1)])
@pytest.mark.parametrize("kind", [nn.GRU, nn.GRUCell])
def test_chrono_of_a_gru_sets_the_update_gate_alone(kind, update, sign):
    gru = kind(3, 40, update=update, dtype="float64")
    before = values(gru)
    init.chrono_(gru, 30)
    for name in before:
        now = dict(gru.named_parameters())[name].numpy()
        if "bias" not in name:
            np.testing.assert_array_equal(now, before[name])
            continue
        r, z, n = np.split(now, 3)
        np.testing.assert_array_equal([r, n], np.split(before[name], 3)[::2])
        if "_hh" in name:
            np.testing.assert_array_equal(z, 0)
        else:
            assert 0 <= (sign * z).min() < (sign * z).max() <= math.log(29)


def test_the_shortest_chrono_halves():
    lstm = init.chrono_(nn.LSTM(2, 3), 2)
    np.testing.assert_array_equal(lstm.bias_ih_l0.numpy()[:6], 0)


# ---------------------------------------------------------------------- of all


FILLS = [
    (lambda place: nn.RNN(3, 4, nonlinearity="relu", device=place, **DEEP), init.irnn_, {}),
    (lambda place: nn.GRU(3, 4, device=place, **DEEP), init.orthogonal_recurrent_, {}),
    (lambda place: nn.LSTM(3, 4, device=place), init.orthogonal_recurrent_, {}),
    (lambda place: nn.LSTM(3, 4, device=place, **DEEP), init.chrono_, {"t_max": 20}),
    (lambda place: nn.GRU(3, 4, device=place), init.chrono_, {"t_max": 20}),
]


@pytest.mark.parametrize(("make", "fill", "options"), FILLS)
def test_the_same_numbers_on_every_device(make, fill, options, device):
    tg.manual_seed(5)
    here = make("cpu")
    fill(here, **options)
    tg.manual_seed(5)
    there = make(device)
    own = tg.Generator(0)
    own.set_state(tg.default_generator().get_state())
    fill(there, **options, generator=own)
    for (name, a), b in zip(here.named_parameters(), there.parameters(), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy(), err_msg=name)
        assert str(b.device).startswith(device)
        assert b.dtype == np.float32
        assert b.requires_grad


@pytest.mark.parametrize(
    ("act", "error", "match"),
    [
        (lambda m: init.irnn_(m), ArgumentError, "irnn_: expected a layer that is RNN, got LSTM"),
        (lambda m: init.irnn_(nn.RNN(2, 3)), ArgumentError, "nonlinearity='relu', got 'tanh'"),
        (lambda m: init.irnn_(nn.Linear(2, 3)), ArgumentError, "RNN, got Linear"),
        (lambda m: init.irnn_(m.weight_hh_l0), ArgumentError, "RNN, got Parameter"),
        (lambda m: init.irnn_(nn.RNN(2, 3, nonlinearity="relu"), std=-1), ArgumentError, "std ≥ 0"),
        (lambda m: init.irnn_(nn.RNN(2, 3, nonlinearity="relu"), scale=math.nan), ArgumentError,
         "a finite scale"),
        (lambda m: init.forget_bias_(nn.GRU(2, 3)), ArgumentError, "that is LSTM, got GRU"),
        (lambda m: init.forget_bias_(nn.LSTM(2, 3, bias=False)), ArgumentError, "with biases"),
        (lambda m: init.forget_bias_(m, math.inf), ArgumentError, "a finite value"),
        (lambda m: init.chrono_(nn.RNN(2, 3), 9), ArgumentError, "LSTM or GRU, got RNN"),
        (lambda m: init.chrono_(nn.GRU(2, 3, bias=False), 9), ArgumentError, "with biases"),
        (lambda m: init.chrono_(m, 1.5), ArgumentError, "a finite t_max ≥ 2, got 1.5"),
        (lambda m: init.chrono_(m, math.inf), ArgumentError, "a finite t_max ≥ 2"),
        (lambda m: init.orthogonal_recurrent_(m, -1), ArgumentError, "a finite gain ≥ 0"),
        (lambda m: init.orthogonal_recurrent_(nn.Linear(2, 3)), ArgumentError, "RNN or GRU or"),
        (lambda m: init.orthogonal_gates_(m.weight_hh_l0, 0), ArgumentError, "gates, an integer"),
        (lambda m: init.orthogonal_gates_(m.weight_hh_l0, 5), ShapeError, "that 5 gates divide"),
    ],
)  # fmt: skip
def test_bad_arguments_change_nothing(act, error, match):
    lstm = nn.LSTM(2, 3)
    before = values(lstm)
    with pytest.raises(error, match=match):
        act(lstm)
    assert changed(before, lstm) == set()
