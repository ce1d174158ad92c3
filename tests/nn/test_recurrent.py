"""nn.RNN and nn.LSTM: PyTorch's layers, by their names, shapes, start and numbers."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_seq as tg
from tinygrad_seq import nn
from tinygrad_seq.errors import ArgumentError, DTypeError, ShapeError

LAYERS = [nn.RNN, nn.LSTM, nn.GRU]
GATES = {nn.RNN: 1, nn.LSTM: 4, nn.GRU: 3}
size = st.integers(1, 5)


def flat(result):
    """Outputs and states of a layer in one list."""
    output, state = result
    return [output, *(state if isinstance(state, tuple) else [state])]


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
    here = kind(3, 5)
    tg.manual_seed(7)
    there = kind(3, 5, device=device)
    for a, b in zip(here.parameters(), there.parameters(), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
        assert b.device.type == device
    before = there.weight_hh_l0.numpy().copy()
    there.reset_parameters()
    assert not np.array_equal(before, there.weight_hh_l0.numpy())


@pytest.mark.oracle
@pytest.mark.parametrize("kind", LAYERS)
@given(T=st.integers(1, 6), B=size, I=size, H=size, bias=st.booleans(), batch_first=st.booleans(),
       batched=st.booleans(), given_state=st.booleans(), relu=st.booleans(),
       seed=st.integers(0, 2**32 - 1))  # fmt: skip
def test_equals_pytorch(kind, T, B, I, H, bias, batch_first, batched, given_state, relu, seed):
    torch = pytest.importorskip("torch")
    options = {"bias": bias, "batch_first": batch_first}
    if kind is nn.RNN:
        options["nonlinearity"] = "relu" if relu else "tanh"
    oracle = getattr(torch.nn, kind.__name__)(I, H, dtype=torch.float64, **options)
    layer = kind(I, H, dtype=np.float64, **options)
    layer.load_state_dict({k: v.numpy() for k, v in oracle.state_dict().items()})

    rng = np.random.default_rng(seed)
    lead = ((B, T) if batch_first else (T, B)) if batched else (T,)
    x = rng.standard_normal((*lead, I))
    count = 2 if kind is nn.LSTM else 1
    states = [rng.standard_normal((1, B, H) if batched else (1, H)) for _ in range(count)]

    def run(layer, make):
        xs = make(x)
        inside = [make(s) for s in states] if given_state else []
        args = [tuple(inside)] if kind is nn.LSTM and inside else inside
        outs = flat(layer(xs, *args))
        weights = np.random.default_rng(seed + 1)
        sum((o * make(weights.standard_normal(tuple(o.shape))).detach()).sum()
            for o in outs).backward()  # fmt: skip
        grads = [v.grad for v in (xs, *inside, *layer.parameters())]
        return [v.detach().numpy() for v in (*outs, *grads)]

    ours = run(layer, lambda a: tg.tensor(a, requires_grad=True))
    theirs = run(oracle, lambda a: torch.tensor(a, requires_grad=True))
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kind", LAYERS)
def test_layouts_agree(kind, device):
    """Batch first, without a batch and time-major are one computation."""
    tg.manual_seed(0)
    layer, turned = kind(3, 4, device=device), kind(3, 4, batch_first=True, device=device)
    turned.load_state_dict(layer.state_dict())
    x = tg.randn(6, 2, 3, device=device)
    expected = flat(layer(x))
    assert [o.shape for o in expected] == [(6, 2, 4)] + [(1, 2, 4)] * (len(expected) - 1)
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
    layer = kind(3, 4, device=device, dtype=np.float64)
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
def test_what_does_not_fit_is_refused(kind):
    layer, first = kind(3, 4), kind(3, 4, batch_first=True)
    name = kind.__name__

    def refuses(error, message, call, *args, **options):
        with pytest.raises(error) as caught:
            call(*args, **options)
        assert message in str(caught.value)

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
    refuses(ShapeError, "at least one step", layer, tg.zeros(0, 2, 3))
    refuses(ShapeError, "at least one row", layer, tg.zeros(5, 0, 3))
    refuses(DTypeError, "one floating dtype", layer, tg.zeros(5, 2, 3, dtype=np.float64))
    for bad in (0, -1, 2.5, "3", True):
        refuses(ArgumentError, f"{name}: expected input_size to be an integer ≥ 1", kind, bad, 4)
        refuses(ArgumentError, f"{name}: expected hidden_size to be an integer ≥ 1", kind, 3, bad)


def test_a_wrong_option_is_refused():
    with pytest.raises(ArgumentError, match="one of tanh, relu, sigmoid, got 'swish'"):
        nn.RNN(3, 4, nonlinearity="swish")
    with pytest.raises(TypeError):
        nn.LSTM(3, 4, colour="blue")
    with pytest.raises(ArgumentError, match=r"LSTM: expected state to be a pair \(h0, c0\)"):
        nn.LSTM(3, 4)(tg.zeros(5, 2, 3), tg.zeros(1, 2, 4))


def test_repr_names_what_is_not_at_its_default():
    assert repr(nn.LSTM(3, 4)) == "LSTM(3, 4)"
    text = repr(nn.RNN(3, 4, nonlinearity="relu", bias=False, batch_first=True))
    assert text == "RNN(3, 4, nonlinearity='relu', bias=False, batch_first=True)"
