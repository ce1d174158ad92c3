"""Aligned many to many: something to say at every step.

    h_t = RNN(x_t, h_{t−1})        y_t = W h_t + b

for a sequence x_1 … x_T, and the same way backwards where the layer is bidirectional.
"""

from __future__ import annotations

from typing import Any

from tinygrad_seq import ops
from tinygrad_seq.autograd import Tensor, tensor
from tinygrad_seq.data import step_mask
from tinygrad_seq.errors import ArgumentError, expect
from tinygrad_seq.models.recurrent import recurrent
from tinygrad_seq.nn import Dropout, Linear, Module


class Tagger(Module):
    """One output vector for every step of a sequence.

    inputs, outputs, hidden: the sizes I, O and H. kind: ``"rnn"``, ``"lstm"`` or ``"gru"``.
    bidirectional: whether each output may depend on the steps after it as well. dropout: on what
    each layer hands up. options: others of the recurrent layer.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        hidden: int = 128,
        kind: str = "lstm",
        layers: int = 1,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
        **options: Any,
    ):
        super().__init__()
        where = {"device": device, "dtype": dtype}
        options = {"bidirectional": bidirectional, **where, **options}
        self.rnn = recurrent(kind, inputs, hidden, layers, dropout, **options)
        self.dropout = Dropout(dropout)
        self.head = Linear((1 + bidirectional) * hidden, outputs, **where)

    def forward(self, x: Tensor, lengths: Any = None) -> Tensor:
        """x (T, B, I), lengths (B,) if they differ → (T, B, O)."""
        h, _ = self.rnn(x, lengths=lengths)  # (T, B, H), or (T, B, 2H) in both directions
        return self.head(self.dropout(h))


class FrameModel(Tagger):
    """What sounds next: each of K keys is on or off by itself, given all frames before.

        p(x_{t+1} | x_1 … x_t) = Π_k σ(a_k)^x_k · (1 − σ(a_k))^(1 − x_k),    a = W h_t + b

    The recurrent model of Boulanger-Lewandowski, Bengio and Vincent, arXiv:1206.6392. Raises
    ArgumentError if it is to be bidirectional: it would read what it has to predict.
    """

    def __init__(self, keys: int = 88, hidden: int = 128, **options: Any):
        backwards = options.get("bidirectional", False)
        expect(not backwards, "FrameModel", "bidirectional=False", backwards, ArgumentError)
        super().__init__(keys, keys, hidden, **options)

    def nll(self, frames: Tensor, lengths: Any) -> Tensor:
        """−ln p of all frames but the first of each sequence, summed: frames (T, B, K), lengths."""
        given, following = frames[:-1], frames[1:]  # (T−1, B, K)
        mask = step_mask(lengths, len(frames))[1:, :, None]  # (T−1, B, 1)
        weight = tensor(mask.astype(frames.dtype), device=frames.device)
        logits = self(given, lengths - 1)
        return ops.binary_cross_entropy_with_logits(
            logits, following, weight=weight, reduction="sum"
        )
