"""Exploding chains: they train with clipping, and without it they fly apart."""

import math

import numpy as np
import pytest

import tinygrad_seq as tg
from tinygrad_seq import nn, optim

SEEDS = [0, 1, 2]


def train(parameters, loss_of, steps, lr, max_norm):
    """Gradient descent, lr falling to 0 → the losses, until one of them is no finite number."""
    optimizer = optim.SGD(parameters, lr=lr)
    losses = []
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = lr * (1 - step / steps)
        loss = loss_of()
        losses.append(loss.item())
        if not math.isfinite(losses[-1]):
            break
        optimizer.zero_grad()
        loss.backward()
        nn.clip_grad_norm_(parameters, max_norm)
        optimizer.step()
    return losses


# ---------------------------------------------------------------------- a chain of tanh


def toy_chain(seed, max_norm, steps=10):
    """h_t = tanh(w h_{t−1} + v x_t + b) learns w, v, b from the last states of another chain.

    It starts from w = 3, where a gradient near h = 0 triples at every step, and from v = 2, b = 1;
    the inputs lie around −½, which keeps v x_t + b, and so the states, near 0.
    → the losses, and how large w, v, b have become.
    """
    x = -0.5 + 0.2 * np.random.default_rng(seed).standard_normal((steps, 16))
    wvb = nn.Parameter(tg.tensor([3.0, 2.0, 1.0], dtype="float64"))

    def last_state(w, v, b):
        h = tg.zeros(16, dtype="float64")
        for x_t in x:
            h = tg.tanh(w * h + v * x_t + b)
        return h

    target = last_state(0.5, 2.0, 1.0)
    losses = train([wvb], lambda: ((last_state(*wvb) - target) ** 2).mean(),
                   steps=200, lr=10, max_norm=max_norm)  # fmt: skip
    return losses, np.abs(wvb.numpy()).max()


@pytest.mark.parametrize("seed", SEEDS)
def test_the_exploding_toy_chain(seed):
    losses, size = toy_chain(seed, max_norm=0.005)
    assert losses[0] > 0.7
    assert losses[-1] < 0.001
    assert size < 4
    # Without clipping one steep spot throws w, v and b to where all tanh are flat, for good.
    losses, size = toy_chain(seed, max_norm=math.inf)
    assert min(losses[-100:]) > 0.9 * losses[0]
    assert size > 8


# ---------------------------------------------------------------------- a chain without bounds


def relu_net(seed, max_norm, steps=20):
    """An RNN of ReLUs with W_hh = 1.3·I, 1.3²⁰ = 190, learns the mean of 20 numbers.

    → the losses. The targets have a variance of 0.0035: what a constant would get at best.
    """
    tg.manual_seed(seed)
    rnn, head = nn.RNN(1, 8, nonlinearity="relu"), nn.Linear(8, 1)
    nn.init.irnn_(rnn, scale=1.3)
    nn.init.uniform_(rnn.weight_ih_l0, 0.05, 0.15)  # no unit starts dead
    numbers = np.random.default_rng(seed).random((steps, 32, 1)).astype("float32")
    x, y = tg.tensor(numbers), tg.tensor(numbers.mean(axis=0))
    with np.errstate(all="ignore"):  # without clipping it overflows
        return train([*rnn.parameters(), *head.parameters()],
                     lambda: ((head(rnn(x)[0][-1]) - y) ** 2).mean(),
                     steps=400, lr=0.02, max_norm=max_norm)  # fmt: skip


@pytest.mark.parametrize("seed", SEEDS)
def test_a_net_of_large_spectral_radius(seed):
    losses = relu_net(seed, 1.0)
    assert losses[0] > 50
    assert losses[-1] < 0.005
    losses = relu_net(seed, math.inf)
    assert not math.isfinite(losses[-1])
    assert len(losses) < 10
