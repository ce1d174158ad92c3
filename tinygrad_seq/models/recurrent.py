"""What the models share: recurrent layers by name, and the last thing that they say."""

from __future__ import annotations

from typing import Any

from tinygrad_seq.autograd import Tensor
from tinygrad_seq.errors import ArgumentError, expect
from tinygrad_seq.nn import GRU, LSTM, RNN, Module

LAYERS: dict[str, Any] = {"rnn": RNN, "lstm": LSTM, "gru": GRU}

# h (layers·directions, B, H) for an RNN or GRU, (h, c) for an LSTM; None stands for zeros.
State = Any


def recurrent(
    kind: str, inputs: int, hidden: int, layers: int = 1, dropout: float = 0.0, **options: Any
) -> Module:
    """A stack of recurrent layers: ``"rnn"`` (tanh), ``"lstm"`` or ``"gru"``.

    dropout: between the layers; with one layer there is no between. options: those of the layer.
    Raises ArgumentError for another kind.
    """
    expect(kind in LAYERS, "model", " or ".join(LAYERS), repr(kind), ArgumentError)
    between = dropout if layers > 1 else 0.0
    made: Module = LAYERS[kind](inputs, hidden, num_layers=layers, dropout=between, **options)
    return made


def last_hidden(state: State) -> Tensor:
    """The top layer's h at the end of each sequence (B, H), from the state a layer returns."""
    h: Tensor = state[0] if isinstance(state, tuple) else state  # (layers, B, H)
    return h[-1]
