"""Many to one: read a sequence to its end, then say one thing.

    h_t = RNN(x_t, h_{t−1})        y = W h_T + b

for a sequence x_1 … x_T.
"""

from __future__ import annotations

from typing import Any

from tinygrad_seq.autograd import Tensor
from tinygrad_seq.models.recurrent import last_hidden, recurrent
from tinygrad_seq.nn import Dropout, Linear, Module


class Reader(Module):
    """One output vector for each sequence, from the last hidden state of the top layer.

    inputs, outputs, hidden: the sizes I, O and H. kind: ``"rnn"``, ``"lstm"`` or ``"gru"``.
    dropout: on what each layer hands up. options: others of the recurrent layer.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        hidden: int = 128,
        kind: str = "lstm",
        layers: int = 1,
        dropout: float = 0.0,
        device: Any = None,
        dtype: Any = None,
        **options: Any,
    ):
        super().__init__()
        where = {"device": device, "dtype": dtype}
        self.rnn = recurrent(kind, inputs, hidden, layers, dropout, **where, **options)
        self.dropout = Dropout(dropout)
        self.head = Linear(hidden, outputs, **where)

    def forward(self, x: Tensor, lengths: Any = None) -> Tensor:
        """x (T, B, I), lengths (B,) if they differ → (B, O)."""
        _, state = self.rnn(x, lengths=lengths)
        return self.head(self.dropout(last_hidden(state)))


class RowClassifier(Reader):
    """Logits of the classes of an image that is read row by row, from top to bottom.

    columns: the width of the images; they may be of any height, the number of steps.
    """

    def __init__(self, columns: int = 28, classes: int = 10, hidden: int = 128, **options: Any):
        super().__init__(columns, classes, hidden, **options)

    def forward(self, images: Tensor, lengths: Any = None) -> Tensor:
        """images (B, rows, columns) → logits (B, classes). lengths: rows of each image."""
        return super().forward(images.swapaxes(0, 1), lengths)  # (rows, B, columns)
