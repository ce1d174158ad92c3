"""What initialisers and skip connections are for: signals that survive many layers."""

import numpy as np
import pytest

import tinygrad_seq as tg
from tinygrad_seq import nn
from tinygrad_seq.nn import init


def through_layers(fill, activation, layers=20, width=256):
    """The variance of each layer's activations for standard normal input."""
    x = np.random.default_rng(0).standard_normal((512, width))
    variances = []
    for _ in range(layers):
        w = fill(tg.zeros(width, width, dtype="float64")).numpy()
        x = activation(x @ w.T)
        variances.append(float(np.mean(x**2)))
    return variances


def test_xavier_keeps_the_variance_through_20_layers_of_tanh():
    tanh = through_layers(lambda w: init.xavier_normal_(w, init.calculate_gain("tanh")), np.tanh)
    assert 0.3 < tanh[-1] < 0.7
    assert abs(tanh[-1] / tanh[4] - 1) < 0.15
    small = through_layers(lambda w: init.normal_(w, 0, 0.01), np.tanh)
    assert small[-1] < 1e-20  # what happens otherwise


def test_he_keeps_the_variance_through_20_layers_of_relu():
    relu = through_layers(lambda w: init.kaiming_normal_(w, nonlinearity="relu"),
                          lambda x: np.maximum(x, 0))  # fmt: skip
    assert 0.5 < relu[-1] < 2
    xavier = through_layers(init.xavier_normal_, lambda x: np.maximum(x, 0))
    assert xavier[-1] < 1e-5  # halved at every layer


# ---------------------------------------------------------------------- skip connections


class Skip(nn.Module):
    """x + f(x)."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return x + self.inner(x)


def gradient_norms(skip, layers=50, width=64):
    """The norm of the loss's gradient with respect to each layer's weight, first to last."""
    blocks = [nn.Sequential(nn.Linear(width, width), nn.Tanh()) for _ in range(layers)]
    model = nn.Sequential(*(Skip(b) if skip else b for b in blocks))
    rng = np.random.default_rng(1)
    x = tg.tensor(rng.standard_normal((32, width)).astype("float32"))
    target = tg.tensor(rng.standard_normal((32, width)).astype("float32"))
    ((model(x) - target) ** 2).mean().backward()
    return [nn.get_total_norm(b[0].weight.grad).item() for b in blocks]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_skip_connections_carry_the_gradient_through_50_layers(seed):
    """nn.Linear starts from U(−1/√n, 1/√n), of variance 1/(3n): each layer takes √3 off."""
    tg.manual_seed(seed)
    first, *_, last = gradient_norms(skip=False)
    assert first < 1e-10 * last
    assert 0.1 < first / last * 3 ** (49 / 2) < 10
    tg.manual_seed(seed)
    first, *_, last = gradient_norms(skip=True)
    assert last < first < 10 * last
