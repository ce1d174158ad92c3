"""nn.RNN, nn.LSTM and nn.GRU: parameters, layouts, states, options, errors and text."""

import copy
import inspect
import math
import pickle

import numpy as np
import pytest

import tinygrad_seq as tg
from tinygrad_seq import nn
from tinygrad_seq.autograd.modes import switched
from tinygrad_seq.errors import ArgumentError, DTypeError, OutOfRangeError, ShapeError
from tinygrad_seq.nn.recurrent.options import OPTIONS

LAYERS = [nn.RNN, nn.LSTM, nn.GRU]
CELLS = [nn.RNNCell, nn.LSTMCell, nn.GRUCell]
GATES = {nn.RNN: 1, nn.LSTM: 4, nn.GRU: 3}


def flat(result):
    """Outputs and states of a layer in one list."""
    output, state = result
    return [output, *(state if isinstance(state, tuple) else [state])]


def options_of(kind):
    """Option → default, of a layer or cell."""
    given = inspect.signature(kind).parameters.values()
    return {p.name: p.default for p in given if p.name not in ("device", "dtype")}


# ---------------------------------------------------------------------- parameters


@pytest.mark.parametrize("kind", LAYERS)
def test_parameters_are_named_and_shaped_as_pytorchs(kind):
    layer = kind(3, 5)
    n = GATES[kind] * 5
    shapes = {
        "weight_ih_l0": (n, 3),
        "weight_hh_l0": (n, 5),
        "bias_ih_l0": (n,),
        "bias_hh_l0": (n,),
    }
    assert {name: p.shape for name, p in layer.named_parameters()} == shapes
    assert list(kind(3, 5, bias=False).state_dict()) == ["weight_ih_l0", "weight_hh_l0"]


@pytest.mark.parametrize("kind", LAYERS)
def test_parameters_start_uniform_within_one_over_root_h(kind):
    layer = kind(64, 100, dtype=np.float64)
    for parameter in layer.parameters():
        values = parameter.numpy()
        assert values.max() == pytest.approx(0.1, rel=0.1)
        assert values.min() == pytest.approx(-0.1, rel=0.1)
        assert np.abs(values).max() <= 0.1
        # U(−b, b) has variance b²/3; four standard errors of that estimate
        assert values.var() == pytest.approx(0.01 / 3, rel=4 * math.sqrt(0.8 / values.size))


@pytest.mark.parametrize("kind", LAYERS)
def test_one_seed_gives_one_layer_on_every_device(kind, device):
    tg.manual_seed(7)
    here = kind(3, 5, 2, bidirectional=True)
    tg.manual_seed(7)
    there = kind(3, 5, 2, bidirectional=True, device=device)
    for a, b in zip(here.parameters(), there.parameters(), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
        assert b.device.type == device
    before = there.weight_hh_l1_reverse.numpy().copy()
    there.reset_parameters()
    assert not np.array_equal(before, there.weight_hh_l1_reverse.numpy())


ALL = {"num_layers": 2, "bidirectional": True}
WAYS = [
    (nn.RNN, {**ALL, "nonlinearity": "relu"}),
    (nn.LSTM, ALL),
    (nn.LSTM, {**ALL, "proj_size": 2}),
    (nn.LSTM, {**ALL, "proj_size": 3, "bias": False}),
    (nn.GRU, {**ALL, "bias": False}),
    (nn.GRU, {"num_layers": 3}),
    (nn.RNNCell, {}),
    (nn.LSTMCell, {"bias": False}),
    (nn.GRUCell, {}),
]


@pytest.mark.oracle
@pytest.mark.parametrize(("kind", "options"), WAYS, ids=str)
def test_state_dicts_go_to_pytorch_and_back_through_safetensors(kind, options, torch, tmp_path):
    """Names in PyTorch's order; every value arrives bit for bit, in both directions."""
    from safetensors.torch import load_file, save_file

    ours = kind(3, 4, **options)
    theirs = getattr(torch.nn, kind.__name__)(3, 4, **options)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    tg.save(tmp_path / "ours.safetensors", ours.state_dict())
    theirs.load_state_dict(load_file(tmp_path / "ours.safetensors"))
    for name, value in theirs.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), getattr(ours, name).numpy())

    fresh = getattr(torch.nn, kind.__name__)(3, 4, **options)
    save_file(fresh.state_dict(), tmp_path / "theirs.safetensors")
    ours.load_state_dict(tg.load(tmp_path / "theirs.safetensors"))
    for name, value in fresh.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), getattr(ours, name).numpy())


@pytest.mark.oracle
@pytest.mark.parametrize("kind", [*LAYERS, *CELLS])
def test_positional_arguments_are_pytorchs(kind, torch):
    """What precedes the keyword-only options has PyTorch's names, order and defaults.

    PyTorch's layers take their arguments as *args; those are named in ``RNNBase``."""
    ours = [p for p in inspect.signature(kind).parameters.values() if p.kind is not p.KEYWORD_ONLY]
    theirs = getattr(torch.nn, kind.__name__)
    base = theirs if kind in CELLS else torch.nn.modules.rnn.RNNBase
    wanted = [p for p in inspect.signature(base).parameters.values() if p.name != "mode"]
    if kind in LAYERS:
        wanted = [p for p in wanted if p.name != "proj_size" or kind is nn.LSTM]
    if kind is nn.RNN:  # its own overload has it fourth
        assert ours.pop(3).name == "nonlinearity"
    assert [(p.name, p.default) for p in ours] == [(p.name, p.default) for p in wanted]


# ---------------------------------------------------------------------- layouts and states


@pytest.mark.parametrize("kind", LAYERS)
def test_shapes_of_outputs_and_states(kind):
    layer = kind(3, 5, 2, bidirectional=True)
    output, *states = flat(layer(tg.zeros(7, 4, 3)))
    assert output.shape == (7, 4, 10)
    assert [s.shape for s in states] == [(4, 4, 5)] * (1 + (kind is nn.LSTM))
    output, *states = flat(layer(tg.zeros(7, 3)))
    assert output.shape == (7, 10)
    assert [s.shape for s in states] == [(4, 5)] * (1 + (kind is nn.LSTM))


def test_shapes_with_a_projection():
    layer = nn.LSTM(3, 5, 2, batch_first=True, proj_size=2)
    output, (h, c) = layer(tg.zeros(4, 7, 3))
    assert (output.shape, h.shape, c.shape) == ((4, 7, 2), (2, 4, 2), (2, 4, 5))
    assert layer.weight_ih_l1.shape == (20, 2)
    assert layer.weight_hr_l1.shape == (2, 5)


@pytest.mark.parametrize("kind", LAYERS)
def test_layouts_agree(kind, device):
    """Batch first, without a batch and time-major are one computation."""
    options = {"num_layers": 2, "bidirectional": True, "device": device}
    layer, turned = kind(3, 4, **options), kind(3, 4, batch_first=True, **options)
    turned.load_state_dict(layer.state_dict())
    x = tg.randn(6, 2, 3, device=device)
    expected = flat(layer(x))
    output, *states = flat(turned(x.swapaxes(0, 1)))
    for a, b in zip([output.swapaxes(0, 1), *states], expected, strict=True):
        np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())
    for a, b in zip(flat(layer(x[:, 1])), expected, strict=True):
        np.testing.assert_allclose(
            a.detach().numpy(), b[:, 1].detach().numpy(), rtol=1e-5, atol=1e-6
        )


@pytest.mark.parametrize("kind", LAYERS)
def test_state_carries_a_sequence_on(kind, device):
    """Two halves, the state handed over, are the whole."""
    layer = kind(3, 4, 2, device=device, dtype=np.float64)
    x = tg.randn(7, 2, 3, device=device, dtype=np.float64)
    whole, end = layer(x)
    first, state = layer(x[:3])
    second, last = layer(x[3:], state)
    parts = np.concatenate([first.detach().numpy(), second.detach().numpy()])
    np.testing.assert_allclose(parts, whole.detach().numpy(), rtol=1e-12)
    for a, b in zip(flat((second, last))[1:], flat((whole, end))[1:], strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-12)


def test_sigmoid_by_hand():
    layer = nn.RNN(2, 3, nonlinearity="sigmoid", dtype=np.float64)
    w, u, b, d = (p.numpy() for p in layer.parameters())
    x = np.random.default_rng(0).standard_normal((4, 1, 2))
    h = np.zeros((1, 3))
    for x_t in x:
        h = 1 / (1 + np.exp(-(x_t @ w.T + h @ u.T + b + d)))
    np.testing.assert_allclose(layer(tg.tensor(x))[1].detach().numpy()[0], h, rtol=1e-12)


@pytest.mark.parametrize("kind", LAYERS)
def test_copies_and_pickles_compute_the_same(kind):
    layer = kind(3, 4, 2, bidirectional=True, layer_norm=True, learned_state=True)
    x = tg.randn(5, 2, 3)
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert repr(other) == repr(layer)
        for a, b in zip(flat(other(x)), flat(layer(x)), strict=True):
            np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())


# ---------------------------------------------------------------------- errors


def refuses(error, message, call, *args, **options):
    with pytest.raises(error) as caught:
        call(*args, **options)
    assert message in str(caught.value)


@pytest.mark.parametrize("kind", LAYERS)
def test_what_does_not_fit_is_refused(kind):
    layer, first = kind(3, 4), kind(3, 4, batch_first=True)
    name = kind.__name__

    def state(*shape):
        return (tg.zeros(shape),) * 2 if kind is nn.LSTM else tg.zeros(shape)

    refuses(ShapeError, f"{name}: expected x of shape (T, B, 3) or (T, 3), got (5, 2, 4)",
            layer, tg.zeros(5, 2, 4))  # fmt: skip
    refuses(ShapeError, f"{name}: expected x of shape (B, T, 3) or (T, 3), got (3,)",
            first, tg.zeros(3))  # fmt: skip
    refuses(ShapeError, "of shape (T, B, 3) or (T, 3), got list", layer, [[1.0, 2.0, 3.0]])
    refuses(ShapeError, f"{name}: expected h0 of shape (1, 2, 4), got (2, 4)",
            layer, tg.zeros(5, 2, 3), state(2, 4))  # fmt: skip
    refuses(ShapeError, f"{name}: expected h0 of shape (1, 4), got (1, 1, 4)",
            layer, tg.zeros(5, 3), state(1, 1, 4))  # fmt: skip
    refuses(ShapeError, f"{name}: expected h0 of shape (6, 2, 4), got (3, 2, 4)",
            kind(3, 4, 3, bidirectional=True), tg.zeros(5, 2, 3), state(3, 2, 4))  # fmt: skip
    refuses(ShapeError, "at least one step", layer, tg.zeros(0, 2, 3))
    refuses(ShapeError, "at least one row", layer, tg.zeros(5, 0, 3))
    refuses(DTypeError, "one floating dtype", layer, tg.zeros(5, 2, 3, dtype=np.float64))
    refuses(ShapeError, "lengths for 2 sequences", layer, tg.zeros(5, 2, 3), None, [5])
    refuses(OutOfRangeError, "lengths in 1 … 5", layer, tg.zeros(5, 2, 3), None, [5, 6])
    refuses(ShapeError, "lengths only where x has a batch", layer, tg.zeros(5, 3), None, [5])
    packed = nn.pack_sequence([tg.zeros(5, 3)])
    refuses(ArgumentError, "lengths or a PackedSequence, got both", layer, packed, None, [5])


#: an option, and values that it cannot have
OUT_OF_RANGE = {
    "input_size": (0, -1, 2.5, "3", True),
    "hidden_size": (0, True, None),
    "num_layers": (0, 1.0, False),
    "nonlinearity": ("swish", None),
    "bias": (1, None),
    "batch_first": (0,),
    "dropout": (1, -0.1, float("nan"), True, "much"),
    "bidirectional": (2,),
    "proj_size": (-1, 4, 5, 1.5, False),  # of hidden_size 4
    "single_bias": ("no",),
    "forget_bias": ("1", float("inf"), True),
    "zoneout": (1.0, -0.1, None, (0.1, 0.2, 0.3), (0.1, 1.0), [0.1, 0.2]),
    "input_dropout": (1.0, -1),
    "recurrent_dropout": (1.0, float("nan")),
    "layer_norm": (1e-5,),
    "peephole": ("all",),
    "reset_after": (0,),
    "update": ("forget", True),
    "learned_state": (1,),
    "residual": (1,),
}


@pytest.mark.parametrize("kind", [*LAYERS, *CELLS])
def test_every_option_is_checked(kind):
    assert OUT_OF_RANGE.keys() == OPTIONS.keys()
    for name in options_of(kind):
        for value in OUT_OF_RANGE[name]:
            given = {"input_size": 3, "hidden_size": 4, name: value}
            with pytest.raises(ArgumentError, match=f"^{kind.__name__}: expected {name} "):
                kind(**given)


@pytest.mark.parametrize("kind", LAYERS)
def test_options_that_make_no_sense_together_are_refused(kind):
    name = kind.__name__
    refuses(ArgumentError, f"{name}: expected dropout only with num_layers ≥ 2, since it acts "
            "between layers, got num_layers=1", kind, 3, 4, dropout=0.5)  # fmt: skip
    refuses(ArgumentError, f"{name}: expected residual only with num_layers ≥ 2", kind, 3, 4,
            residual=True)  # fmt: skip
    refuses(ArgumentError, "single_bias only with bias=True", kind, 3, 4, bias=False,
            single_bias=True)  # fmt: skip
    if kind is nn.LSTM:
        refuses(ArgumentError, "forget_bias only with bias=True", kind, 3, 4, bias=False,
                forget_bias=0.0)  # fmt: skip
        refuses(ArgumentError, "proj_size below hidden_size=4, to which it narrows h, got 4",
                kind, 3, 4, proj_size=4)  # fmt: skip
    else:
        refuses(ArgumentError, "zoneout to be a number in [0, 1), got (0.1, 0.1)", kind, 3, 4,
                zoneout=(0.1, 0.1))  # fmt: skip


def test_an_option_of_another_kind_is_no_parameter():
    foreign = {
        nn.RNN: ("proj_size", "forget_bias", "peephole", "reset_after", "update"),
        nn.LSTM: ("nonlinearity", "reset_after", "update", "colour"),
        nn.GRU: ("nonlinearity", "proj_size", "forget_bias", "peephole"),
    }
    for kind, names in foreign.items():
        for name in names:
            with pytest.raises(TypeError, match=name):
                kind(3, 4, **{name: OPTIONS.get(name, [0])[0]})


def test_wrong_states_and_what_an_rnn_has_not():
    refuses(ArgumentError, "LSTM: expected state to be a pair (h0, c0), got Tensor",
            nn.LSTM(3, 4), tg.zeros(5, 2, 3), tg.zeros(1, 2, 4))  # fmt: skip
    refuses(ShapeError, "GRU: expected h0 of shape (1, 2, 4), got tuple",
            nn.GRU(3, 4), tg.zeros(5, 2, 3), (tg.zeros(1, 2, 4),) * 2)  # fmt: skip
    refuses(ArgumentError, "RNN: expected return_inner=False, since", nn.RNN(3, 4),
            tg.zeros(5, 2, 3), return_inner=True)  # fmt: skip


@pytest.mark.parametrize("kind", LAYERS)
def test_a_bidirectional_layer_refuses_a_part_of_a_sequence(kind):
    layer, x = kind(3, 4, bidirectional=True), tg.zeros(5, 2, 3)
    with switched("window", (5, 10, 20)):
        refuses(ArgumentError, "got bidirectional=True on steps 5 … 9 of 20", layer, x)
        kind(3, 4)(x)
    layer(x)


def test_truncated_bptt_refuses_a_bidirectional_layer_unless_a_window_is_all():
    layer = nn.GRU(3, 4, bidirectional=True)

    def step(x, y, state):
        output, state = layer(x, state)
        return (output.mean(axis=2, keepdims=True) - y).square().mean(), state

    x, y = tg.zeros(6, 2, 3), tg.zeros(6, 2, 1)
    with pytest.raises(ArgumentError, match="the reverse begins at its end"):
        list(tg.bptt.TruncatedBPTT(2, 2).run(step, x, y))
    assert len(list(tg.bptt.TruncatedBPTT(6, 6).run(step, x, y))) == 1


# ---------------------------------------------------------------------- as text


@pytest.mark.parametrize("kind", [*LAYERS, *CELLS])
def test_the_table_of_options_has_the_signatures_defaults(kind):
    for name, default in options_of(kind).items():
        if name not in ("input_size", "hidden_size"):
            assert OPTIONS[name][0] == default, name


def test_repr_names_what_is_not_at_its_default():
    assert repr(nn.LSTM(3, 4)) == "LSTM(3, 4)"
    text = repr(nn.RNN(3, 4, nonlinearity="relu", bias=False, batch_first=True))
    assert text == "RNN(3, 4, nonlinearity='relu', bias=False, batch_first=True)"
    text = repr(nn.LSTM(3, 4, 2, proj_size=2, zoneout=(0.1, 0.2), peephole=True))
    assert text == "LSTM(3, 4, num_layers=2, proj_size=2, zoneout=(0.1, 0.2), peephole=True)"
    assert repr(nn.GRUCell(3, 4, update="take")) == "GRUCell(3, 4, update='take')"
    assert repr(nn.LSTMCell(3, 4, peephole=True)) == "LSTMCell(3, 4, peephole=True)"


@pytest.mark.parametrize("kind", [*LAYERS, *CELLS])
def test_repr_is_a_call_that_makes_such_a_layer(kind):
    changed = {"num_layers": 2, "nonlinearity": "relu", "batch_first": True, "dropout": 0.1,
               "bidirectional": True, "proj_size": 2, "single_bias": True, "forget_bias": 1.0,
               "zoneout": 0.1, "input_dropout": 0.1, "recurrent_dropout": 0.1, "layer_norm": True,
               "peephole": True, "reset_after": False, "update": "take", "learned_state": True,
               "residual": True}  # fmt: skip
    assert {*changed, "input_size", "hidden_size", "bias"} == OPTIONS.keys()
    given = {n: v for n, v in changed.items() if n in options_of(kind)}
    text = repr(kind(3, 4, **given))
    assert all(f"{name}={value!r}" in text for name, value in given.items())
    assert repr(eval(f"nn.{text}")) == text


@pytest.mark.parametrize("kind", [*LAYERS, *CELLS])
def test_the_docstring_names_every_option_and_every_parameter(kind):
    text = inspect.getdoc(kind)
    for name in options_of(kind):
        assert name in text, name
    most = {"layer_norm": True, "peephole": True, "learned_state": True, "proj_size": 2}
    for name, _ in kind(3, 4, **{n: v for n, v in most.items()
                                 if n in options_of(kind)}).named_parameters():  # fmt: skip
        assert f"``{name}``" in text, name
    equation = {"RNN": "φ(W_ih", "LSTM": "f ⊙ c" if kind in CELLS else "f_t ⊙ c_{t−1}",
                "GRU": "(1 − z"}[kind.__name__.removesuffix("Cell")]  # fmt: skip
    assert equation in text
    assert "ShapeError" in text
    assert "ArgumentError" in text
