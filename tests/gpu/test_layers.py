"""Every layer starts from the CPU's weights and gives its outputs and gradients."""

import inspect

import numpy as np
import pytest

from tests.support.agreement import agree, host
from tinygrad_seq import nn
from tinygrad_seq.autograd import Tensor, tensor
from tinygrad_seq.backend import manual_seed
from tinygrad_seq.models import CharLM

CELLS = (nn.RNNCell, nn.LSTMCell, nn.GRUCell)
# what takes device and dtype
ATTENTION = (nn.MultiheadAttention, nn.AdditiveAttention, nn.LuongAttention, nn.LearnedPositions,
             nn.TransformerEncoderLayer, nn.TransformerDecoderLayer, nn.Transformer)  # fmt: skip
PLACED = (nn.Linear, nn.Embedding, nn.LayerNorm, nn.RMSNorm, nn.RNN, nn.LSTM, nn.GRU, *CELLS,
          *ATTENTION, CharLM)  # fmt: skip
UNDRAWN = ("LayerNorm", "RMSNorm", "LuongAttention dot")  # have no weights that are drawn
PARTS = (nn.Module, nn.ModuleDict, nn.ModuleList, nn.Sequential)  # hold layers, are none


class Tokens(tuple):
    """The shape of integers below 5, rather than of normal numbers."""


X = (3, 5)
WEIGHT = np.array([0.5, 1.0, 2.0, 0.25, 1.5])


def weighted(kind):
    """A loss with class weights, in the dtype of what it is called with."""
    return lambda device, dtype: kind(weight=tensor(WEIGHT.astype(dtype), device=device))


def spelled():
    """CTC of two words, the second too short for its own."""
    loss = nn.CTCLoss(blank=4, reduction="sum", zero_infinity=True)
    return Called(loss, np.array([[1, 1, 3], [2, 2, 0]]), [6, 2], [3, 2])


class Called(nn.Module):
    """A layer, called with further arguments that are always the same."""

    def __init__(self, layer, *more):
        super().__init__()
        self.layer, self.more = layer, more

    def forward(self, x):
        return self.layer(x, *self.more)


def plain(make):
    return lambda device, dtype: make()


def placed(kind, *args, **options):
    return lambda device, dtype: kind(*args, **options, device=device, dtype=dtype)


class Padded(nn.Module):
    """A recurrent layer, called with two sequences of 6 and 3 steps."""

    def __init__(self, layer, packed=False):
        super().__init__()
        self.layer, self.packed = layer, packed

    def forward(self, x):
        if not self.packed:
            return self.layer(x, None, [3, 6])
        output, state = self.layer(nn.pack_padded_sequence(x, [3, 6], enforce_sorted=False))
        return output.data, state


def padded(kind, packed=False):
    layer = placed(kind, 5, 4, 2, bidirectional=True)
    return lambda device, dtype: Padded(layer(device, dtype), packed)


PADDING = np.array([[False, False, True], [True, True, True]])  # nothing is left of the second


class Attending(nn.Module):
    """A layer called with x as often as it wants, and with masks."""

    def __init__(self, layer, times=1, **masks):
        super().__init__()
        self.layer, self.times, self.masks = layer, times, masks

    def forward(self, x):
        masks = {k: tensor(m, device=x.device) if isinstance(m, np.ndarray) else m
                 for k, m in self.masks.items()}  # fmt: skip
        out = self.layer(*[x] * self.times, **masks)
        return [t for t in out if t is not None] if isinstance(out, tuple) else out


def attending(kind, *args, times=1, masks=(), **options):
    layer = placed(kind, *args, **options)
    return lambda device, dtype: Attending(layer(device, dtype), times, **dict(masks))


def stack(kind, one):
    """Two layers of width 6, called in two steps through a cache."""

    class Steps(nn.Module):
        def __init__(self, device, dtype):
            super().__init__()
            layer = one(6, 2, 7, 0.3, device=device, dtype=dtype)
            self.stack = kind(layer, 2, nn.LayerNorm(6, device=device, dtype=dtype))

        def forward(self, x, *memory):
            cache = self.stack.new_cache()
            causal = {"tgt_is_causal" if memory else "is_causal": True}
            return [self.stack(p, *memory, cache=cache, **causal) for p in (x[:2], x[2:])]

    return Steps


HEADS = (nn.MultiheadAttention, 6, 2)
STACKED = {"num_layers": 2, "bidirectional": True, "dropout": 0.3, "residual": True}
NOISY = {"zoneout": 0.3, "input_dropout": 0.3, "recurrent_dropout": 0.3}
LEARNED = {"layer_norm": True, "single_bias": True}

TABLE = {
    **{
        kind.__name__: (plain(kind), [X])
        for kind in (nn.Tanh, nn.Sigmoid, nn.ReLU, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU,
                     nn.Softplus, nn.Softsign, nn.Softmax, nn.LogSoftmax)
    },
    "GELU tanh": (plain(lambda: nn.GELU(approximate="tanh")), [X]),
    "Dropout": (plain(lambda: nn.Dropout(0.4)), [(30, 40)]),
    "MSELoss": (plain(nn.MSELoss), [X, X]),
    "BCEWithLogitsLoss": (weighted(nn.BCEWithLogitsLoss), [X, X]),
    "NLLLoss": (weighted(nn.NLLLoss), [X, Tokens((3,))]),
    "CrossEntropyLoss": (weighted(nn.CrossEntropyLoss), [X, Tokens((3,))]),
    "CrossEntropyLoss smoothed": (plain(lambda: nn.CrossEntropyLoss(label_smoothing=0.1)),
                                  [(3, 5, 4), Tokens((3, 4))]),
    "KLDivLoss": (plain(lambda: nn.KLDivLoss("batchmean", log_target=True)), [X, X]),
    "CTCLoss": (plain(spelled), [(6, 2, 5)]),
    "Linear": (placed(nn.Linear, 5, 4), [(2, 3, 5)]),
    "Linear without bias": (placed(nn.Linear, 5, 4, bias=False), [X]),
    "Embedding": (placed(nn.Embedding, 5, 3, padding_idx=1), [Tokens((4, 2))]),
    "LayerNorm": (placed(nn.LayerNorm, 5), [X]),
    "RNN": (placed(nn.RNN, 5, 4), [(6, 2, 5)]),
    "RNN relu": (placed(nn.RNN, 5, 4, nonlinearity="relu"), [(6, 2, 5), (1, 2, 4)]),
    "RNN sigmoid": (placed(nn.RNN, 5, 4, nonlinearity="sigmoid", batch_first=True), [(2, 6, 5)]),
    "LSTM": (placed(nn.LSTM, 5, 4), [(6, 2, 5)]),
    "LSTM batch_first": (placed(nn.LSTM, 5, 4, bias=False, batch_first=True), [(2, 6, 5)]),
    "LSTM projected": (placed(nn.LSTM, 5, 4, proj_size=3), [(6, 2, 5)]),
    "LSTM everything": (placed(nn.LSTM, 5, 4, **NOISY, **LEARNED, forget_bias=1.0, peephole=True,
                               learned_state=True), [(6, 2, 5)]),
    "GRU": (placed(nn.GRU, 5, 4), [(6, 2, 5), (1, 2, 4)]),
    "GRU everything": (placed(nn.GRU, 5, 4, **NOISY, **LEARNED, reset_after=False, update="take",
                              learned_state=True), [(6, 2, 5)]),
    **{f"{kind.__name__} stacked": (placed(kind, 5, 4, **STACKED), [(6, 2, 5)])
       for kind in (nn.RNN, nn.LSTM, nn.GRU)},
    **{f"{kind.__name__} {'packed' if packed else 'padded'}": (padded(kind, packed), [(6, 2, 5)])
       for kind in (nn.RNN, nn.LSTM, nn.GRU) for packed in (False, True)},
    **{kind.__name__: (placed(kind, 5, 4), [(3, 5)]) for kind in CELLS},
    **{f"{kind.__name__} everything": (placed(kind, 5, 4, zoneout=0.3, **LEARNED), [(3, 5)])
       for kind in CELLS},
    "RMSNorm": (placed(nn.RMSNorm, 5), [X]),
    "MultiheadAttention": (attending(*HEADS, times=3, masks={"key_padding_mask": PADDING}),
                           [(3, 2, 6)]),
    "MultiheadAttention causal": (
        attending(*HEADS, times=3, dropout=0.3, add_bias_kv=True, add_zero_attn=True,
                  masks={"is_causal": True, "need_weights": False}), [(3, 2, 6)]),
    "MultiheadAttention other sizes": (placed(*HEADS, kdim=5, vdim=4, batch_first=True),
                                       [(2, 3, 6), (2, 4, 5), (2, 4, 4)]),
    "AdditiveAttention": (placed(nn.AdditiveAttention, 5, 4, 6), [(2, 5), (3, 2, 4)]),
    **{f"LuongAttention {score}": (placed(nn.LuongAttention, 5, 5, score), [(4, 2, 5), (3, 2, 5)])
       for score in ("general", "dot", "concat")},
    "SinusoidalPositions": (plain(lambda: nn.SinusoidalPositions(5)), [(4, 2, 5)]),
    "LearnedPositions": (placed(nn.LearnedPositions, 7, 5), [(4, 2, 5)]),
    "RotaryPositions": (plain(lambda: nn.RotaryPositions(6)), [(2, 4, 6)]),
    "AlibiBias": (attending(*HEADS, times=3, positions=nn.AlibiBias(2)), [(3, 2, 6)]),
    "TransformerEncoderLayer": (placed(nn.TransformerEncoderLayer, 6, 2, 7, 0.3), [(3, 2, 6)]),
    "TransformerDecoderLayer": (placed(nn.TransformerDecoderLayer, 6, 2, 7, 0.3, "gelu",
                                       norm_first=True), [(3, 2, 6), (4, 2, 6)]),
    "TransformerEncoder": (stack(nn.TransformerEncoder, nn.TransformerEncoderLayer), [(3, 2, 6)]),
    "TransformerDecoder": (stack(nn.TransformerDecoder, nn.TransformerDecoderLayer),
                           [(3, 2, 6), (4, 2, 6)]),
    "Transformer": (placed(nn.Transformer, 6, 2, 1, 1, 7), [(3, 2, 6), (4, 2, 6)]),
    "CharLM": (placed(CharLM, 5, 4, 6), [Tokens((7, 2))]),
    "CharLM rnn": (placed(CharLM, 5, 4, 6, "rnn"), [Tokens((7, 2))]),
}  # fmt: skip


def build(name, device, dtype):
    """The layer, and its inputs as leaves: the same numbers for every device."""
    make, shapes = TABLE[name]
    manual_seed(11)
    layer = make(device, np.dtype(dtype))
    rng = np.random.default_rng(7)
    inputs = []
    for shape in shapes:
        if isinstance(shape, Tokens):
            inputs.append(tensor(rng.integers(0, 5, tuple(shape)), device=device))
        else:
            drawn = rng.standard_normal(shape).astype(dtype)
            inputs.append(tensor(drawn, device=device, requires_grad=True))
    return layer, inputs


def tensors_in(value):
    """All tensors of a nested result, in order."""
    if isinstance(value, Tensor):
        return [value]
    return [t for part in value for t in tensors_in(part)]


def run(name, device, dtype):
    """→ outputs, gradients of parameters and inputs."""
    layer, inputs = build(name, device, dtype)
    outs = tensors_in(layer(*inputs))
    total = 0
    for i, out in enumerate(outs):
        drawn = np.asarray(np.random.default_rng(i).standard_normal(out.shape)).astype(dtype)
        total = total + (out * tensor(drawn, device=device)).sum()
    total.backward()
    leaves = [*layer.parameters(), *(x for x in inputs if x.requires_grad)]
    return outs, [leaf.grad for leaf in leaves]


def test_the_table_holds_every_layer():
    kinds = {v for v in vars(nn).values() if inspect.isclass(v) and issubclass(v, nn.Module)}
    named = {key.split()[0] for key in TABLE}
    assert {k.__name__ for k in kinds} - {k.__name__ for k in PARTS} <= named
    assert {k.__name__ for k in PLACED} <= named


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", TABLE)
def test_layer_agrees_with_the_cpu(name, dtype, there):
    outs, grads = run(name, there, dtype)
    expected_outs, expected_grads = run(name, "cpu", dtype)
    for parts, expected in ((outs, expected_outs), (grads, expected_grads)):
        assert len(parts) == len(expected) > 0 or parts is grads
        for i, (p, e) in enumerate(zip(parts, expected, strict=True)):
            assert str(p.device).startswith(there)
            assert p.dtype == dtype
            agree(p, e, f"{name} {i}")


@pytest.mark.parametrize("name", [n for n in TABLE if n.split()[0] in
                                  {k.__name__ for k in PLACED}])  # fmt: skip
def test_one_seed_gives_the_same_weights_on_both(name, there):
    """Bit for bit, for they are drawn on the host."""
    ours = build(name, there, "float32")[0].state_dict()
    cpu = build(name, "cpu", "float32")[0].state_dict()
    assert list(ours) == list(cpu)
    assert any(host(t).std() > 0 for t in cpu.values()) or name in UNDRAWN
    for key, value in cpu.items():
        assert str(ours[key].device).startswith(there)
        np.testing.assert_array_equal(host(ours[key]), host(value))


@pytest.mark.parametrize("initialise", [
    nn.init.xavier_uniform_, nn.init.xavier_normal_, nn.init.kaiming_uniform_,
    nn.init.kaiming_normal_, nn.init.orthogonal_, nn.init.eye_,
])  # fmt: skip
def test_initialisers_give_the_same_numbers_on_both(initialise, there):
    filled = []
    for device in (there, "cpu"):
        manual_seed(1)
        filled.append(host(initialise(tensor(np.zeros((6, 4), np.float32), device=device))))
    np.testing.assert_array_equal(*filled)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dropout_leaves_out_the_same_elements_on_both(dtype, there):
    outs = []
    for device in (there, "cpu"):
        manual_seed(5)
        x = tensor(np.ones((50, 60), dtype), device=device)
        outs.append(host(nn.Dropout(0.3)(x)))
    np.testing.assert_array_equal(*outs)
    assert 0.2 < (outs[0] == 0).mean() < 0.4


def test_moving_a_layer_moves_parameters_gradients_and_buffers(there):
    layer, inputs = build("Linear", "cpu", "float32")
    layer(*inputs).sum().backward()
    before = {n: host(p.grad).copy() for n, p in layer.named_parameters()}
    layer.to(there)
    for name, p in layer.named_parameters():
        assert str(p.device).startswith(there)
        assert str(p.grad.device).startswith(there)
        np.testing.assert_array_equal(host(p.grad), before[name])
    layer.zero_grad()
    layer(inputs[0].to(there)).sum().backward()
    for name, p in layer.named_parameters():
        agree(p.grad, before[name], name)
    loss = TABLE["CrossEntropyLoss"][0]("cpu", np.float32).to(there)
    assert str(loss.weight.device).startswith(there)
