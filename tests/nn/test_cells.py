"""nn.RNNCell, nn.LSTMCell and nn.GRUCell: PyTorch's, and one step of our layers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_seq as tg
from tinygrad_seq import nn
from tinygrad_seq.errors import ArgumentError, DTypeError, ShapeError

CELLS = [nn.RNNCell, nn.LSTMCell, nn.GRUCell]
LAYER = {nn.RNNCell: nn.RNN, nn.LSTMCell: nn.LSTM, nn.GRUCell: nn.GRU}
size = st.integers(1, 17)


def flat(result):
    """What a cell returned, in a list."""
    return list(result) if isinstance(result, tuple) else [result]


def state_of(cell, *tensors):
    """Tensors as the cell takes its state: a pair for an LSTM, else the one."""
    return tensors if isinstance(cell, nn.LSTMCell) else tensors[0]


@pytest.mark.oracle
@pytest.mark.parametrize("kind", CELLS)
@given(B=size, I=size, H=size, bias=st.booleans(), batched=st.booleans(),
       given_state=st.booleans(), relu=st.booleans(), seed=st.integers(0, 2**32 - 1))  # fmt: skip
def test_equals_pytorch(kind, B, I, H, bias, batched, given_state, relu, seed):
    """Three steps, in each of which the cell is called with what it gave: values, gradients."""
    torch = pytest.importorskip("torch")
    options = (
        {"bias": bias, "nonlinearity": "relu"} if kind is nn.RNNCell and relu else {"bias": bias}
    )
    oracle = getattr(torch.nn, kind.__name__)(I, H, dtype=torch.float64, **options)
    cell = kind(I, H, dtype=np.float64, **options)
    cell.load_state_dict({k: v.numpy() for k, v in oracle.state_dict().items()})
    rng = np.random.default_rng(seed)
    rows = (B,) if batched else ()
    arrays = [rng.standard_normal((3, *rows, I))]
    arrays += [rng.standard_normal((*rows, H)) for _ in range(1 + (kind is nn.LSTMCell))]

    def run(net, make):
        x, *states = (make(a) for a in arrays[: None if given_state else 1])
        state = state_of(cell, *states) if given_state else None
        outs = []
        for t in range(3):
            state = net(x[t], state)
            outs += flat(state)
        weights = np.random.default_rng(seed + 1)
        sum((o * make(weights.standard_normal(tuple(o.shape))).detach()).sum()
            for o in outs).backward()  # fmt: skip
        grads = [v.grad for v in (x, *states, *net.parameters())]
        return [v.detach().numpy() for v in (*outs, *grads)]

    ours = run(cell, lambda a: tg.tensor(a, requires_grad=True))
    theirs = run(oracle, lambda a: torch.tensor(a, requires_grad=True))
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-10 * max(1, np.abs(b).max()))


COMMON = [{}, {"bias": False}, {"single_bias": True}, {"zoneout": 0.4}, {"layer_norm": True}]
OWN = {
    nn.RNNCell: [{"nonlinearity": "relu"}, {"nonlinearity": "sigmoid", "layer_norm": True}],
    nn.LSTMCell: [{"forget_bias": 1.0}, {"zoneout": (0.2, 0.5)}, {"peephole": True},
                  {"peephole": True, "layer_norm": True, "zoneout": (0.2, 0.5)}],
    nn.GRUCell: [{"reset_after": False}, {"update": "take"},
                 {"reset_after": False, "update": "take", "layer_norm": True, "zoneout": 0.3}],
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "options"), [(kind, o) for kind in CELLS for o in COMMON + OWN[kind]], ids=str
)
def test_a_cell_in_a_loop_is_its_layer(kind, options, device):
    """Options and all, in evaluation; and while training one step of it, which draws the same."""
    where = {"dtype": np.float64, "device": device}
    cell, layer = kind(3, 4, **options, **where), LAYER[kind](3, 4, **options, **where)
    for k, parameter in enumerate(cell.parameters()):
        nn.init.uniform_(parameter, -1, 1, generator=tg.Generator(k))
    layer.load_state_dict({f"{name}_l0": p for name, p in cell.state_dict().items()})
    x = tg.randn(5, 2, 3, **where)
    start = [tg.randn(2, 4, **where) for _ in range(1 + (kind is nn.LSTMCell))]
    whole = state_of(cell, *(s.reshape(1, 2, 4) for s in start))

    def same(ours, expected):
        for a, b in zip(flat(ours), flat(expected), strict=True):
            b = b.reshape(a.shape)
            np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=0, atol=1e-12)

    tg.manual_seed(2)
    step = cell(x[0], state_of(cell, *start))
    tg.manual_seed(2)
    same(step, layer(x[:1], whole)[1])
    cell.eval()
    state = state_of(cell, *start)
    for t in range(5):
        state = cell(x[t], state)
    same(state, layer.eval()(x, whole)[1])
    same(cell(x[0, 0]), layer(x[:1, 0])[1])


def test_a_forget_bias_is_set():
    cell = nn.LSTMCell(3, 4, forget_bias=1.0)
    np.testing.assert_array_equal(cell.bias_ih.numpy()[4:8], 1)
    np.testing.assert_array_equal(cell.bias_hh.numpy()[4:8], 0)


@pytest.mark.parametrize("kind", CELLS)
def test_what_does_not_fit_is_refused(kind):
    cell, name = kind(3, 4), kind.__name__

    def refuses(error, message, *args):
        with pytest.raises(error) as caught:
            cell(*args)
        assert message in str(caught.value)

    def state(*shape):
        return state_of(cell, tg.zeros(shape), tg.zeros(shape))

    wanted = f"{name}: expected x of shape (B, 3) or (3,), got "
    refuses(ShapeError, wanted + "(2, 4)", tg.zeros(2, 4))
    refuses(ShapeError, wanted + "(1, 2, 3)", tg.zeros(1, 2, 3))
    refuses(ShapeError, wanted + "()", tg.tensor(1.0))
    refuses(ShapeError, wanted + "list", [1.0, 2.0, 3.0])
    refuses(ShapeError, f"{name}: expected h of shape (2, 4), got (4,)", tg.zeros(2, 3), state(4))
    refuses(ShapeError, f"{name}: expected h of shape (4,), got (1, 4)", tg.zeros(3), state(1, 4))
    refuses(DTypeError, "one floating dtype", tg.zeros(2, 3, dtype=np.float64))
    if kind is nn.LSTMCell:
        refuses(ArgumentError, "expected state to be a pair (h, c), got Tensor",
                tg.zeros(2, 3), tg.zeros(2, 4))  # fmt: skip


def test_options_of_a_layer_are_none_of_a_cell():
    for kind in CELLS:
        for option in ("num_layers", "dropout", "bidirectional", "batch_first", "residual",
                       "learned_state", "recurrent_dropout", "input_dropout"):  # fmt: skip
            with pytest.raises(TypeError, match=option):
                kind(3, 4, **{option: 1})
