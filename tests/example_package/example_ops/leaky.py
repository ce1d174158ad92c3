"""Leaky integration: a recurrent layer whose units forget at a rate that is learned."""

import numpy as np

import tinygrad_seq as tg
from tinygrad_seq import nn


class Leaky(nn.Module):
    """h_t = (1 − a)·h_{t−1} + a·tanh(W x_t + U h_{t−1} + b), with a = σ(rate) for each unit.

    x is (T, B, input_size); → outputs (T, B, hidden_size), zero beyond ``lengths``.
    """

    def __init__(self, input_size: int, hidden_size: int, dtype=None):
        super().__init__()
        self.feed = nn.Linear(input_size, hidden_size, dtype=dtype)
        self.back = nn.Linear(hidden_size, hidden_size, bias=False, dtype=dtype)
        self.rate = nn.Parameter(tg.zeros(hidden_size, dtype=dtype))

    def forward(self, x, lengths=None):
        a = tg.sigmoid(self.rate)
        h = x[0] @ np.zeros((x.shape[2], self.rate.shape[0]))
        outputs = []
        for x_t in x:
            h = (1 - a) * h + a * tg.tanh(self.feed(x_t) + self.back(h))
            outputs.append(h)
        out = tg.stack(outputs)
        if lengths is None:
            return out
        real = np.arange(x.shape[0])[:, None] < np.asarray(lengths)
        return tg.where(real[..., None], out, 0.0)
