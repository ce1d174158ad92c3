"""Linear, Embedding, Dropout, LayerNorm, activations and losses."""

import math

import numpy as np
import pytest

import tinygrad_seq as tg
from tinygrad_seq import nn
from tinygrad_seq.errors import ArgumentError, DTypeError, OutOfRangeError, ShapeError

RNG = np.random.default_rng(0)
X = RNG.standard_normal((2, 3, 4))

# Layers by their name and arguments, the same in both libraries, and an input for them.
LAYERS = [
    ("Linear", (4, 5), {}, X),
    ("Linear", (4, 5), {"bias": False}, X[0, 0]),
    ("Embedding", (6, 4), {}, RNG.integers(0, 6, (2, 3))),
    ("Embedding", (6, 4), {"padding_idx": 2}, np.array([2, 1, 2, 5])),
    ("Embedding", (6, 4), {"padding_idx": -1}, np.array(5)),
    ("LayerNorm", (4,), {}, X),
    ("LayerNorm", ((3, 4),), {"eps": 0.1}, X),
    ("LayerNorm", (4,), {"bias": False}, X),
    ("LayerNorm", ([4],), {"elementwise_affine": False}, X),
    ("Dropout", (), {"p": 0.0}, X),
    ("Tanh", (), {}, X),
    ("Sigmoid", (), {}, X),
    ("ReLU", (), {}, X),
    ("SiLU", (), {}, X),
    ("Softsign", (), {}, X),
    ("GELU", (), {}, X),
    ("GELU", (), {"approximate": "tanh"}, X),
    ("LeakyReLU", (), {"negative_slope": 0.3}, X),
    ("LeakyReLU", (0.2,), {}, X),
    ("ELU", (), {"alpha": 0.7}, X),
    ("Softplus", (), {"beta": 2.0}, X),
    ("Softmax", (), {"dim": 1}, X),
    ("LogSoftmax", (), {"dim": -1}, X),
]


def sensible(case):
    name, args, options, _ = case
    return name + "-".join(map(str, [*args, *options.values()]))


@pytest.mark.oracle
@pytest.mark.parametrize("case", LAYERS, ids=sensible)
def test_layers_equal_pytorchs(torch, case, device):
    name, args, options, x = case
    theirs, ours = getattr(torch.nn, name)(*args, **options), getattr(nn, name)(*args, **options)
    if name not in ("Softplus", "Dropout"):  # PyTorch shows options that ours does not need
        assert repr(ours) == repr(theirs)
    theirs.double()
    for p in theirs.parameters():  # also where it starts as ones or zeros
        torch.nn.init.uniform_(p, -1, 1, generator=torch.Generator().manual_seed(0))
    ours.to(device, "float64").load_state_dict(
        {n: p.numpy().copy() for n, p in theirs.state_dict().items()}
    )
    floating = x.dtype.kind == "f"
    a = tg.tensor(x.copy(), device=device, requires_grad=floating)
    b = torch.tensor(x, requires_grad=floating)
    out, expected = ours(a), theirs(b)
    np.testing.assert_allclose(out.numpy(), expected.detach().numpy(), rtol=1e-12, atol=1e-14)
    g = RNG.standard_normal(out.shape)
    if not out.requires_grad:
        return
    out.backward(tg.tensor(g, device=device))
    expected.backward(torch.tensor(g))
    pairs = list(zip(ours.parameters(), theirs.parameters(), strict=True))
    for p, q in [*pairs, (a, b)] if floating else pairs:
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("name", "args"), [("Linear", (50, 400)), ("Embedding", (100, 200)), ("LayerNorm", (4,))]
)
def test_layers_start_as_pytorchs(torch, name, args):
    torch.manual_seed(0)
    ours, theirs = getattr(nn, name)(*args), getattr(torch.nn, name)(*args)
    for (n, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        x, y = p.numpy(), q.detach().numpy()
        assert x.shape == y.shape
        assert x.dtype == np.float32
        assert abs(x.std() - y.std()) <= 0.1 * y.std(), n
        assert abs(x.mean() - y.mean()) <= 0.2 * y.std(), n
        if name == "Linear":
            assert 0.9 / math.sqrt(50) < np.abs(x).max() <= 1 / math.sqrt(50)


def test_dtype_and_device_are_those_asked_for(device):
    for layer in (
        nn.Linear(2, 3, device=device, dtype="float64"),
        nn.Embedding(2, 3, device=device, dtype="float64"),
        nn.LayerNorm(3, device=device, dtype="float64"),
    ):
        for p in layer.parameters():
            assert str(p.device).startswith(device)
            assert p.dtype == np.float64


def test_the_padding_row_starts_at_zero_and_stays():
    layer = nn.Embedding(5, 3, padding_idx=-2)
    assert layer.padding_idx == 3
    assert not layer.weight.numpy()[3].any()
    assert layer.weight.numpy()[[0, 1, 2, 4]].all()
    layer(tg.tensor(np.array([3, 1, 3]))).sum().backward()
    np.testing.assert_array_equal(layer.weight.grad.numpy().sum(1), [0, 3, 0, 0, 0])


def test_from_pretrained():
    table = tg.tensor(np.arange(6.0).reshape(3, 2))
    frozen = nn.Embedding.from_pretrained(table)
    assert frozen.weight.data is table.data
    assert not frozen.weight.requires_grad
    assert frozen(tg.tensor(2)).tolist() == [4, 5]
    learned = nn.Embedding.from_pretrained(table, freeze=False, padding_idx=0)
    assert learned.weight.requires_grad
    assert repr(learned) == "Embedding(3, 2, padding_idx=0)"
    with pytest.raises(ShapeError, match=r"embeddings of shape \(symbols, width\), got \(3,\)"):
        nn.Embedding.from_pretrained(tg.ones(3))


def test_dropout(device):
    layer = nn.Dropout(0.3)
    x = tg.ones(200, 100, device=device, requires_grad=True)
    out = layer(x)
    values = out.numpy()
    assert set(np.unique(values)) == {np.float32(0), np.float32(1 / 0.7)}
    assert abs((values == 0).mean() - 0.3) < 5 * math.sqrt(0.3 * 0.7 / x.size)
    out.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), values)  # the same mask
    assert (layer(x).numpy() != values).any()
    layer.eval()
    np.testing.assert_array_equal(layer(x).numpy(), x.numpy())
    tg.manual_seed(5)
    here = nn.Dropout()(tg.ones(50))
    tg.manual_seed(5)
    assert nn.Dropout()(tg.ones(50, device=device)).tolist() == here.tolist()


@pytest.mark.oracle
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("CrossEntropyLoss", {}),
        ("CrossEntropyLoss", {"ignore_index": 2, "label_smoothing": 0.2}),
        ("CrossEntropyLoss", {"weight": np.array([0.5, 1.0, 2.0, 0.1])}),
        ("NLLLoss", {"weight": np.array([0.5, 1.0, 2.0, 0.1]), "ignore_index": 1}),
        ("MSELoss", {}),
        ("BCEWithLogitsLoss", {}),
        ("BCEWithLogitsLoss", {"pos_weight": np.array([0.5, 1.0, 2.0, 0.1])}),
    ],
)
def test_losses_equal_pytorchs(torch, device, name, options, reduction):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((6, 4))
    labels = name in ("CrossEntropyLoss", "NLLLoss")
    y = np.array([0, 3, 2, 1, 1, 2]) if labels else (rng.random((6, 4)) > 0.5).astype("float64")

    def given(make):
        return {k: make(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}

    ours = getattr(nn, name)(**given(tg.tensor), reduction=reduction).to(device)
    theirs = getattr(torch.nn, name)(**given(torch.tensor), reduction=reduction)
    a = tg.tensor(x.copy(), device=device, requires_grad=True)
    b = torch.tensor(x, requires_grad=True)
    out, expected = ours(a, tg.tensor(y, device=device)), theirs(b, torch.tensor(y))
    np.testing.assert_allclose(out.numpy(), expected.detach().numpy(), rtol=1e-12, atol=1e-14)
    out.sum().backward()
    expected.sum().backward()
    np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("act", "error", "match"),
    [
        (lambda: nn.Linear(0, 2), ArgumentError, "Linear: expected in_features .* ≥ 1, got 0"),
        (lambda: nn.Linear(2, 2.0), ArgumentError, "out_features to be an integer"),
        (lambda: nn.Linear(2, 2, dtype="int64"), DTypeError, "floating"),
        (lambda: nn.Linear(2, 3)(tg.ones(4)), ShapeError, "linear"),
        (lambda: nn.Embedding(0, 2), ArgumentError, "num_embeddings to be an integer ≥ 1"),
        (lambda: nn.Embedding(3, 2, padding_idx=3), OutOfRangeError, "padding_idx in"),
        (lambda: nn.Embedding(3, 2)(tg.tensor([3])), OutOfRangeError, "embedding"),
        (lambda: nn.Embedding(3, 2)(tg.ones(2)), DTypeError, "embedding"),
        (lambda: nn.Dropout(1.0), ArgumentError, r"a probability p in \[0, 1\)"),
        (lambda: nn.Dropout(math.nan), ArgumentError, "a probability"),
        (lambda: nn.LayerNorm(0), ArgumentError, "normalized_shape to be an integer ≥ 1"),
        (lambda: nn.LayerNorm(()), ArgumentError, "normalized_shape"),
        (lambda: nn.LayerNorm(3, eps=-1), ArgumentError, "a finite eps ≥ 0"),
        (lambda: nn.LayerNorm(3)(tg.ones(2, 4)), ShapeError, "layer_norm"),
        (lambda: nn.CrossEntropyLoss(reduction="all"), ArgumentError, "reduction"),
        (lambda: nn.CrossEntropyLoss(label_smoothing=2), ArgumentError, r"in \[0, 1\], got 2"),
    ],
)
def test_bad_arguments(act, error, match):
    with pytest.raises(error, match=match):
        act()
