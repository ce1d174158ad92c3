"""The memory model: what is predicted from shapes is what is held."""

import math
import tracemalloc

import numpy as np
import pytest

import tinygrad_seq as tg
from tinygrad_seq import nn
from tinygrad_seq.bptt import memory_model
from tinygrad_seq.bptt.memory import readable
from tinygrad_seq.errors import ArgumentError
from tinygrad_seq.kernels.numpy import memory as store

F32, F64 = np.float32, np.float64


def within(found, share):
    for way in found.ways:
        assert way.measured is not None
        assert abs(way.error) <= share, str(found)


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize(
    ("hidden", "steps", "batch", "dtype"),
    [(32, 100, 4, F32), (16, 60, 8, F64), (64, 37, 3, F32), (8, 200, 16, F64)],
)
def test_prediction_and_measurement(kind, layers, hidden, steps, batch, dtype):
    """Ten per cent is what is promised; two is what there is."""
    layer = kind(5, hidden, layers, dtype=dtype)
    within(memory_model(layer, steps, batch), 0.02)


OPTIONS = [
    (nn.RNN, {"zoneout": 0.2}),
    (nn.RNN, {"num_layers": 4, "residual": True, "nonlinearity": "relu"}),
    (nn.LSTM, {"proj_size": 4, "peephole": True, "layer_norm": True}),
    (nn.LSTM, {"num_layers": 2, "zoneout": (0.1, 0.0), "learned_state": True}),
    (nn.LSTM, {"num_layers": 3, "dropout": 0.3, "input_dropout": 0.2, "proj_size": 8}),
    (nn.GRU, {"num_layers": 3, "dropout": 0.3, "residual": True}),
    (nn.GRU, {"zoneout": 0.1, "recurrent_dropout": 0.3, "reset_after": False}),
    (nn.GRU, {"batch_first": True, "single_bias": True, "update": "take"}),
]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("kind", "options"), OPTIONS)
def test_with_options(kind, options, training):
    layer = kind(6, 16, **options).train(training)
    within(memory_model(layer, 80, 8), 0.05)


def test_the_formula_by_hand():
    """LSTM, two layers of 10 units in float32, 50 steps of 3 rows: W = 2·6·10, S = 2·2·10."""
    found = memory_model(nn.LSTM(7, 10, 2), 50, 3, k2=15)
    assert found.full.predicted == 4 * 3 * (50 * 120 + 2 * 40)
    assert (found.checkpointed.steps, found.checkpointed.states) == (8, 8)  # 7 pieces
    assert found.checkpointed.predicted == 4 * 3 * (8 * 120 + 8 * 40)
    assert found.truncated.predicted == 4 * 3 * (15 * 120 + 2 * 40)


@pytest.mark.parametrize("steps", [1, 2, 16, 17])
def test_pieces(steps):
    found = memory_model(nn.GRU(2, 64), steps, 4)
    piece = math.ceil(math.sqrt(steps))
    assert found.checkpointed.steps == piece
    assert found.checkpointed.states == math.ceil(steps / piece) + 1
    assert found.truncated.steps == min(steps, 20)
    within(found, 0.05)
    assert memory_model(nn.GRU(2, 64), steps, 4, k2=99, measure=False).truncated.steps == steps


def test_how_it_grows():
    """In T: full linearly, checkpointing as √T, truncation not at all; measured as predicted."""
    layer = nn.LSTM(4, 16)
    short, long = memory_model(layer, 64, 8), memory_model(layer, 64 * 9, 8)
    for value in (lambda way: way.predicted, lambda way: way.measured):
        assert value(long.full) / value(short.full) == pytest.approx(9, rel=0.05)
        assert value(long.checkpointed) / value(short.checkpointed) == pytest.approx(3, rel=0.1)
        assert value(long.truncated) == pytest.approx(value(short.truncated), rel=0.01)
    assert long.full.measured > 8 * long.checkpointed.measured


def test_the_same_every_time_whatever_was_kept_before():
    layer, x = nn.LSTM(4, 64), tg.ones(100, 8, 4)
    first = memory_model(layer, 100, 8)
    layer(x)[0].sum().backward()  # its memory waits to be used again
    assert store.idle() > 0
    assert memory_model(layer, 100, 8) == first


def test_what_an_op_saves_is_measured(monkeypatch):
    """The measurement knows nothing of the formula: let a step keep more, and it says so."""
    layer = nn.RNN(4, 32)
    before = memory_model(layer, 50, 4)
    forward = nn.RNN.forward

    def wasteful(self, *args, **kwargs):
        output, state = forward(self, *args, **kwargs)
        return tg.exp(output), state

    monkeypatch.setattr(nn.RNN, "forward", wasteful)
    after = memory_model(layer, 50, 4)
    assert after.full.predicted == before.full.predicted
    more = after.full.measured - before.full.measured
    assert more == pytest.approx(4 * 4 * 50 * 32, rel=0.02)


def test_nothing_is_changed():
    layer = nn.LSTM(3, 4, 2, dropout=0.5, batch_first=True)
    layer.bias_ih_l0.requires_grad = False
    layer(tg.ones(2, 3, 3))[0].sum().backward()
    learned = {name: p for name, p in layer.named_parameters() if p.requires_grad}
    held = {name: p.grad for name, p in learned.items()}
    values = {name: g.numpy().copy() for name, g in held.items()}
    random = tg.default_generator().get_state()
    with tg.no_grad():
        within(memory_model(layer, 30, 64), 0.1)
    assert tg.default_generator().get_state() == random
    assert layer.batch_first
    assert not tracemalloc.is_tracing()
    assert not layer.bias_ih_l0.requires_grad
    for name, p in learned.items():
        assert p.grad is held[name]
        np.testing.assert_array_equal(p.grad.numpy(), values[name])


def test_a_trace_that_goes_on():
    tracemalloc.start()
    try:
        within(memory_model(nn.GRU(3, 16), 50, 8), 0.02)
        assert tracemalloc.is_tracing()
    finally:
        tracemalloc.stop()


def test_the_table():
    layer = nn.LSTM(32, 64, 2, zoneout=(0.1, 0.2), input_dropout=0.1, layer_norm=True,
                    peephole=True, learned_state=True, residual=True)  # fmt: skip
    text = str(memory_model(layer, 10_000, 128, k2=1_000, measure=False))
    assert max(map(len, text.splitlines())) <= 80
    assert "T = 10000, B = 128, float32" in text
    assert "steps  states  predicted   measured    error" in text
    assert "truncated, k1 = k2 = 1000" in text
    assert "GB" in text
    assert text.count(" -  ") == 3  # nothing was measured
    measured = str(memory_model(nn.RNN(3, 8), 100, 4))
    assert max(map(len, measured.splitlines())) <= 80
    (full,) = (line for line in measured.splitlines() if line.startswith("full"))
    assert full.split() == ["full", "100", "2", "13.1", "kB", "13.1", "kB", "+0.0", "%"]


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (12_345, "12.3 kB"), (999_499, "999 kB"),
     (999_500, "1 MB"), (5_000_000_000, "5 GB"), (2 * 10**15, "2e+03 TB")],
)  # fmt: skip
def test_units(count, text):
    assert readable(count) == text


def test_on_another_device_only_the_prediction():
    found = memory_model(nn.LSTM(4, 16, device="strict"), 50, 4)
    assert [way.measured for way in found.ways] == [None] * 3
    assert found.full.error is None
    assert found.full.predicted == memory_model(nn.LSTM(4, 16), 50, 4).full.predicted


@pytest.mark.parametrize(
    ("match", "call"),
    [
        ("nn.RNN, nn.LSTM or nn.GRU, got LSTMCell", lambda: memory_model(nn.LSTMCell(2, 3), 4, 5)),
        ("one direction", lambda: memory_model(nn.RNN(2, 3, bidirectional=True), 4, 5)),
        ("T to be an integer", lambda: memory_model(nn.RNN(2, 3), 0, 5)),
        ("T to be an integer", lambda: memory_model(nn.RNN(2, 3), 4.0, 5)),
        ("B to be an integer", lambda: memory_model(nn.RNN(2, 3), 4, True)),
        ("k2 to be an integer", lambda: memory_model(nn.RNN(2, 3), 4, 5, k2=-1)),
    ],
)
def test_what_is_refused(match, call):
    with pytest.raises(ArgumentError, match=match):
        call()
