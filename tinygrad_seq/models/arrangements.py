"""The five ways in which inputs and outputs can be arranged in time, each in a few lines.

    one to one     one to many     many to one     many to many     aligned many to many

        y          y   y   y                y              y   y        y   y   y
        ↑          ↑   ↑   ↑                ↑              ↑   ↑        ↑   ↑   ↑
        ▢          ▢ → ▢ → ▢        ▢ → ▢ → ▢      ▢ → ▢ → ▢ → ▢        ▢ → ▢ → ▢
        ↑          ↑                ↑   ↑   ↑      ↑   ↑                ↑   ↑   ↑
        x          x                x   x   x      x   x                x   x   x

They are an image and its class, an image and a caption, a text and its mood, a sentence and its
translation, a video and a label for each frame. Everything is made of public layers; inputs are
I wide, outputs O, states H. Source of the picture: Karpathy, The Unreasonable Effectiveness of
Recurrent Neural Networks (2015).
"""

from __future__ import annotations

from typing import Any

from tinygrad_seq import ops
from tinygrad_seq.autograd import Tensor
from tinygrad_seq.nn import LSTM, Linear, LSTMCell, Module


class OneToOne(Module):
    """One vector in, one vector out: no time at all."""

    def __init__(self, inputs: int, outputs: int, hidden: int, **where: Any):
        super().__init__()
        self.body = Linear(inputs, hidden, **where)
        self.head = Linear(hidden, outputs, **where)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, I) → (B, O)."""
        return self.head(ops.tanh(self.body(x)))


class OneToMany(Module):
    """One vector starts the state; from then on each output is the next input."""

    def __init__(self, inputs: int, outputs: int, hidden: int, **where: Any):
        super().__init__()
        self.start = Linear(inputs, hidden, **where)
        self.cell = LSTMCell(outputs, hidden, **where)
        self.head = Linear(hidden, outputs, **where)

    def forward(self, x: Tensor, steps: int) -> Tensor:
        """x (B, I) → (steps, B, O)."""
        h = ops.tanh(self.start(x))  # (B, H)
        state, said = (h, ops.full_like(h, 0)), [self.head(h)]  # (B, O)
        while len(said) < steps:
            state = self.cell(said[-1], state)
            said.append(self.head(state[0]))
        return ops.stack(said)


class ManyToOne(Module):
    """A sequence in, one vector out: what the last state says."""

    def __init__(self, inputs: int, outputs: int, hidden: int, **where: Any):
        super().__init__()
        self.rnn = LSTM(inputs, hidden, **where)
        self.head = Linear(hidden, outputs, **where)

    def forward(self, x: Tensor) -> Tensor:
        """x (T, B, I) → (B, O)."""
        _, (h, _) = self.rnn(x)  # (1, B, H)
        return self.head(h[0])


class ManyToMany(Module):
    """An encoder reads all of a sequence; a decoder, from its state, says another (seq2seq).

    Source: Sutskever, Vinyals and Le, arXiv:1409.3215.
    """

    def __init__(self, inputs: int, outputs: int, hidden: int, **where: Any):
        super().__init__()
        self.encoder = LSTM(inputs, hidden, **where)
        self.decoder = LSTM(outputs, hidden, **where)
        self.head = Linear(hidden, outputs, **where)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """x (T, B, I), the right answer y (S, B, O) → (S, B, O); step s is told y up to s − 1."""
        _, state = self.encoder(x)
        told = ops.concatenate([ops.full_like(y[:1], 0), y[:-1]])  # teacher forcing
        h, _ = self.decoder(told, state)  # (S, B, H)
        return self.head(h)

    def free(self, x: Tensor, steps: int) -> Tensor:
        """x (T, B, I) → (steps, B, O); each step is told what the one before it said."""
        _, state = self.encoder(x)
        y = ops.full_like(x, 0, shape=(1, x.shape[1], self.head.out_features))
        said = []
        for _ in range(steps):
            h, state = self.decoder(y, state)  # (1, B, H)
            y = self.head(h)
            said.append(y)
        return ops.concatenate(said)


class Aligned(Module):
    """An output for every input, each from what was read so far."""

    def __init__(self, inputs: int, outputs: int, hidden: int, **where: Any):
        super().__init__()
        self.rnn = LSTM(inputs, hidden, **where)
        self.head = Linear(hidden, outputs, **where)

    def forward(self, x: Tensor) -> Tensor:
        """x (T, B, I) → (T, B, O)."""
        h, _ = self.rnn(x)  # (T, B, H)
        return self.head(h)
