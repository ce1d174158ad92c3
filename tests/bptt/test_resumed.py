"""A sequence that is left after any window and taken up again goes on exactly as it would have."""

import numpy as np
import pytest

import tinygrad_seq as tg
from tinygrad_seq import nn
from tinygrad_seq.bptt import TruncatedBPTT
from tinygrad_seq.errors import ArgumentError
from tinygrad_seq.optim import SGD

T = 11


def trained(k1, k2, left_after=None):
    """Losses and weights after one pass, left after that many windows if at all."""
    tg.manual_seed(0)
    layer = nn.LSTM(3, 4, dtype=np.float64)
    x, y = (tg.randn(T, 2, n, dtype=np.float64) for n in (3, 4))
    optimizer, bptt = SGD(layer.parameters(), lr=0.1), TruncatedBPTT(k1, k2)
    losses = []

    def step(x, y, state):
        output, state = layer(x, state)
        return (output - y).square().mean(), state

    def go_on(since, state, first, most=None):
        for window in bptt.run(step, x[since:], y[since:], state, first=first):
            losses.append(window.loss.item())
            optimizer.step()
            optimizer.zero_grad()
            if len(losses) == most:
                return window
        return window

    window = go_on(0, None, 0, left_after)
    if window.stop < T:
        since = max(0, window.stop + k1 - k2)
        go_on(since, window.boundary, window.stop - since)
    return losses, [p.numpy() for p in layer.parameters()]


@pytest.mark.parametrize(("k1", "k2"), [(1, 1), (1, 3), (2, 3), (3, 7), (4, 4), (2, 30)])
def test_the_same_losses_and_weights_bit_for_bit(k1, k2):
    losses, weights = trained(k1, k2)
    for windows in range(1, -(-T // k1)):
        again, others = trained(k1, k2, windows)
        assert again == losses, windows
        for one, other in zip(weights, others, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("first", [-1, T])
def test_a_first_step_outside_the_sequence_is_refused(first):
    x = tg.randn(T, 2, 3)
    with pytest.raises(ArgumentError, match="first in"):
        TruncatedBPTT(2, 2).run(lambda x, y, s: (x.sum(), s), x, x, first=first)
