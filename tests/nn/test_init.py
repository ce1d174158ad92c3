"""Initialisers: their moments, their bounds, and what they are for."""

import math
from functools import partial

import numpy as np
import pytest

import tinygrad_seq as tg
from tinygrad_seq import nn
from tinygrad_seq.errors import ArgumentError, DTypeError, ShapeError
from tinygrad_seq.nn import init

WIDE = (300, 500)  # fan_out 300, fan_in 500
KERNEL = (60, 20, 3, 5)  # fan_out 900, fan_in 300

UNIFORM = {init.uniform_, init.xavier_uniform_, init.kaiming_uniform_, init.lecun_uniform_}

# (initialiser, its arguments, shape, the variance it promises)
SPREADS = [
    (init.uniform_, {"a": -2, "b": 4}, WIDE, 3),
    (init.normal_, {"mean": 1, "std": 3}, WIDE, 9),
    (init.xavier_uniform_, {}, WIDE, 2 / 800),
    (init.xavier_normal_, {}, WIDE, 2 / 800),
    (init.xavier_normal_, {"gain": 5 / 3}, KERNEL, 25 / 9 * 2 / 1200),
    (init.xavier_uniform_, {"gain": 2}, KERNEL, 4 * 2 / 1200),
    (init.kaiming_uniform_, {}, WIDE, 2 / 500),
    (init.kaiming_normal_, {"nonlinearity": "relu"}, WIDE, 2 / 500),
    (init.kaiming_normal_, {"mode": "fan_out"}, WIDE, 2 / 300),
    (init.kaiming_uniform_, {"mode": "fan_out"}, KERNEL, 2 / 900),
    (init.kaiming_normal_, {"a": math.sqrt(5)}, KERNEL, 1 / 3 / 300),
    (init.kaiming_uniform_, {"nonlinearity": "tanh"}, WIDE, 25 / 9 / 500),
    (init.lecun_uniform_, {}, KERNEL, 1 / 300),
    (init.lecun_normal_, {}, WIDE, 1 / 500),
]


@pytest.mark.parametrize(("fill", "options", "shape", "variance"), SPREADS)
def test_mean_and_variance_are_what_is_promised(fill, options, shape, variance):
    w = tg.zeros(shape, dtype="float64")
    assert fill(w, **options) is w
    x, n = w.numpy().ravel(), w.size
    # Five standard errors: that of the mean is √(σ²/n), that of the variance σ²√((κ − 1)/n) with
    # kurtosis κ = 9/5 for the uniform and 3 for the normal distribution.
    kurtosis = 9 / 5 if fill in UNIFORM else 3
    center = {init.uniform_: 1, init.normal_: 1}.get(fill, 0)
    assert abs(x.mean() - center) < 5 * math.sqrt(variance / n)
    assert abs(x.var() - variance) < 5 * variance * math.sqrt((kurtosis - 1) / n)
    if fill in UNIFORM:
        assert np.abs(x - center).max() <= math.sqrt(3 * variance)


@pytest.mark.parametrize("shape", [(4, 4), (7, 3), (3, 7), (5, 2, 3), (2, 2, 3)])
@pytest.mark.parametrize("gain", [1.0, 1.7])
def test_orthogonal(shape, gain):
    w = init.orthogonal_(tg.zeros(shape, dtype="float64"), gain)
    q = w.numpy().reshape(shape[0], -1)
    small = q.T @ q if q.shape[0] >= q.shape[1] else q @ q.T
    np.testing.assert_allclose(small, gain**2 * np.eye(len(small)), atol=1e-13)


def test_orthogonal_prefers_no_sign():
    """Without the signs of R, the first entry of a Householder Q would always be negative."""
    first = [init.orthogonal_(tg.zeros(3, 3)).numpy()[0, 0] for _ in range(40)]
    assert 8 < sum(x > 0 for x in first) < 32


def test_eye():
    np.testing.assert_array_equal(init.eye_(tg.ones(2, 3), 3).numpy(), 3 * np.eye(2, 3))
    with pytest.raises(ShapeError, match="eye_: expected a matrix"):
        init.eye_(tg.ones(2))


@pytest.mark.oracle
@pytest.mark.parametrize("shape", [(4, 4, 3), (2, 5, 4), (6, 3, 3, 5), (4, 2, 1, 2, 3), (1, 1, 1)])
@pytest.mark.parametrize("groups", [1, 2])
def test_dirac_equals_pytorchs(torch, shape, groups):
    if shape[0] % groups:
        groups = shape[0]
    theirs = torch.nn.init.dirac_(torch.ones(shape), groups).numpy()
    ours = tg.ones(shape)
    assert init.dirac_(ours, groups) is ours
    np.testing.assert_array_equal(ours.numpy(), theirs)
    assert theirs.any()


@pytest.mark.parametrize("sparsity", [0, 0.1, 0.5, 0.99, 1])
@pytest.mark.parametrize("shape", [(7, 40), (40, 7), (1, 3), (0, 3)])
def test_sparse_has_as_many_zeros_in_every_column(shape, sparsity):
    w = tg.ones(shape, dtype="float64")
    assert init.sparse_(w, sparsity, std=2) is w
    zeros = (w.numpy() == 0).sum(axis=0)
    np.testing.assert_array_equal(zeros, math.ceil(sparsity * shape[0]))


def test_sparse_spreads_its_zeros_and_its_values():
    w = init.sparse_(tg.zeros(100, 400, dtype="float64"), 0.3, std=2).numpy()
    at_row = (w == 0).sum(axis=1)  # each binomial: 400 columns, 0.3 each
    assert np.abs(at_row - 120).max() < 5 * math.sqrt(400 * 0.3 * 0.7)
    kept = w[w != 0]
    assert abs(kept.mean()) < 5 * 2 / math.sqrt(kept.size)
    assert abs(kept.std() / 2 - 1) < 5 / math.sqrt(2 * kept.size)


@pytest.mark.oracle
@pytest.mark.parametrize("sparsity", [0.1, 0.25, 0.9])
def test_sparse_has_as_many_zeros_as_pytorchs(torch, sparsity):
    theirs = torch.nn.init.sparse_(torch.ones(33, 5), sparsity).numpy()
    ours = init.sparse_(tg.ones(33, 5), sparsity).numpy()
    np.testing.assert_array_equal((ours == 0).sum(axis=0), (theirs == 0).sum(axis=0))


@pytest.mark.oracle
def test_every_initialiser_of_pytorch_is_here(torch):
    theirs = {n for n in vars(torch.nn.init) if n.endswith("_") and not n.startswith("_")}
    assert "sparse_" in theirs
    assert theirs | {"calculate_gain"} <= set(init.__all__)
    assert all(callable(getattr(init, name)) for name in init.__all__)


def test_constants(device):
    w = nn.Parameter(tg.zeros(2, 3, device=device))
    assert init.constant_(w, 2.5) is w
    assert w.tolist() == [[2.5] * 3] * 2
    assert init.ones_(w).tolist() == [[1] * 3] * 2
    assert init.zeros_(w).tolist() == [[0] * 3] * 2
    assert w.requires_grad


def test_trunc_normal():
    w = init.trunc_normal_(tg.zeros(100_000, dtype="float64"), mean=0.5, std=1, a=-1, b=1)
    x = w.numpy()
    assert x.min() >= -1
    assert x.max() <= 1

    def density(z):
        return math.exp(-z * z / 2) / math.sqrt(2 * math.pi)

    def below(z):
        return 0.5 * math.erfc(-z / math.sqrt(2))

    # Mean of a truncated normal: μ + (φ(α) − φ(β))/(Φ(β) − Φ(α)), α and β the bounds less μ.
    mean = 0.5 + (density(-1.5) - density(0.5)) / (below(0.5) - below(-1.5))
    assert abs(x.mean() - mean) < 5 * x.std() / math.sqrt(x.size)
    assert init.trunc_normal_(tg.zeros(0)).shape == (0,)


def test_the_same_numbers_on_every_device(device):
    for fill in (init.normal_, init.uniform_, init.orthogonal_, init.trunc_normal_,
                 init.kaiming_uniform_, init.lecun_normal_, partial(init.sparse_, sparsity=0.3),
                 partial(init.orthogonal_gates_, gates=2)):  # fmt: skip
        tg.manual_seed(3)
        here = fill(tg.zeros(4, 3))
        there = fill(tg.zeros(4, 3, device=device), generator=tg.Generator(3))
        np.testing.assert_array_equal(here.numpy(), there.numpy())
        assert str(there.device).startswith(device)
        assert there.dtype == np.float32
        assert np.ptp(here.numpy()) > 0


@pytest.mark.oracle
def test_gains_equal_pytorchs(torch):
    names = ["linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d",
             "conv_transpose3d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"]  # fmt: skip
    for name in names:
        assert init.calculate_gain(name) == torch.nn.init.calculate_gain(name)
    for slope in (0, 0.2, 5, -1.5):
        ours = init.calculate_gain("leaky_relu", slope)
        assert ours == torch.nn.init.calculate_gain("leaky_relu", slope)


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("xavier_uniform_", {"gain": 1.5}),
        ("kaiming_uniform_", {"a": 0.3, "mode": "fan_out"}),
        ("kaiming_uniform_", {"nonlinearity": "relu"}),
        ("kaiming_normal_", {"a": 2.0}),
        ("xavier_normal_", {}),
        ("trunc_normal_", {"std": 0.5, "a": -0.4, "b": 0.3}),
        ("orthogonal_", {"gain": 2.0}),
    ],
)
def test_spread_equals_pytorchs(torch, name, options):
    theirs = torch.empty(KERNEL, dtype=torch.float64)
    getattr(torch.nn.init, name)(theirs, generator=torch.Generator().manual_seed(1), **options)
    ours = getattr(init, name)(tg.zeros(KERNEL, dtype="float64"), **options).numpy()
    assert abs(ours.std() / theirs.std().item() - 1) < 0.03
    assert abs(np.abs(ours).max() / theirs.abs().max().item() - 1) < 0.25


@pytest.mark.parametrize(
    ("act", "error", "match"),
    [
        (lambda w: init.calculate_gain("swish"), ArgumentError, "one of linear"),
        (lambda w: init.calculate_gain("leaky_relu", "x"), ArgumentError, "negative slope"),
        (lambda w: init.calculate_gain("leaky_relu", True), ArgumentError, "negative slope"),
        (lambda w: init.xavier_uniform_(tg.zeros(3)), ShapeError, "rank 2 or more"),
        (lambda w: init.lecun_normal_(tg.zeros(3, 0)), ShapeError, "non-empty"),
        (lambda w: init.orthogonal_(tg.zeros(3)), ShapeError, "rank 2 or more"),
        (lambda w: init.xavier_normal_(w, gain=-1), ArgumentError, "a finite gain ≥ 0"),
        (lambda w: init.orthogonal_(w, gain=math.nan), ArgumentError, "a finite gain ≥ 0"),
        (lambda w: init.kaiming_normal_(w, mode="fan"), ArgumentError, "'fan_in' or 'fan_out'"),
        (lambda w: init.kaiming_normal_(w, nonlinearity="x"), ArgumentError, "one of"),
        (lambda w: init.uniform_(w, 1, 0), ArgumentError, "a ≤ b"),
        (lambda w: init.uniform_(w, 0, math.inf), ArgumentError, "a ≤ b"),
        (lambda w: init.normal_(w, std=-1), ArgumentError, "std ≥ 0"),
        (lambda w: init.normal_(w, mean=math.nan), ArgumentError, "a finite mean"),
        (lambda w: init.trunc_normal_(w, std=0), ArgumentError, "std > 0"),
        (lambda w: init.trunc_normal_(w, a=1, b=1), ArgumentError, "a < b"),
        (lambda w: init.trunc_normal_(w, a=9, b=10), ArgumentError, "one number in 100"),
        (lambda w: init.eye_(w, math.inf), ArgumentError, "a finite scale"),
        (lambda w: init.dirac_(w), ShapeError, "rank 3 to 5"),
        (lambda w: init.dirac_(tg.ones(4, 2, 3), 3), ArgumentError, "divide the 4 outputs, got 3"),
        (lambda w: init.dirac_(tg.ones(4, 2, 3), 0), ArgumentError, "divide the 4 outputs"),
        (lambda w: init.sparse_(tg.ones(4), 0.1), ShapeError, "a matrix"),
        (lambda w: init.sparse_(w, 1.1), ArgumentError, "a sparsity from 0 to 1, got 1.1"),
        (lambda w: init.sparse_(w, math.nan), ArgumentError, "a sparsity from 0 to 1"),
        (lambda w: init.sparse_(w, 0.1, std=-1), ArgumentError, "std ≥ 0"),
        (lambda w: init.normal_(w, std="1"), ArgumentError, "a finite std ≥ 0, got '1'"),
        (lambda w: init.uniform_([1.0]), ArgumentError, "a tensor, got list"),
        (lambda w: init.normal_(tg.arange(3)), DTypeError, "a floating tensor, got int64"),
    ],
)
def test_bad_arguments_change_nothing(act, error, match):
    w = tg.ones(4, 4)
    with pytest.raises(error, match=match):
        act(w)
    assert (w.numpy() == 1).all()
