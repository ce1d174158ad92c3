"""What ``tinygrad-seq gradcheck`` tries each layer on."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from tinygrad_seq import nn
from tinygrad_seq.autograd import Tensor
from tinygrad_seq.cli.attention_rows import ATTENTION_ROWS
from tinygrad_seq.cli.rows import called, layer
from tinygrad_seq.ops.sample import Integers, Uniform

ACTIVATIONS = (nn.Tanh, nn.Sigmoid, nn.ReLU, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Softplus,
               nn.Softsign, nn.Softmax, nn.LogSoftmax)  # fmt: skip

#: labels, how many frames and how many labels count
SPELLED = (np.array([[1, 3], [2, 2]]), np.array([5, 4]), np.array([2, 2]))

X = (3, 2, 2)  # (T, B, I)
LENGTHS = (2, 3)

#: what every recurrent layer is checked with, an option at a time, by the name of the row
OPTIONS: dict[str, dict[str, Any]] = {
    "": {},
    "2 layers": {"num_layers": 2},
    "bidirectional": {"bidirectional": True},
    "batch_first": {"batch_first": True},
    "without bias": {"bias": False},
    "dropout": {"num_layers": 2, "dropout": 0.4},
    "single_bias": {"single_bias": True},
    "zoneout": {"zoneout": 0.3},
    "input_dropout": {"input_dropout": 0.3},
    "recurrent_dropout": {"recurrent_dropout": 0.3},
    "layer_norm": {"layer_norm": True},
    "learned_state": {"learned_state": True},
    "residual": {"num_layers": 2, "residual": True},
}
#: and what only some are
RNN_OPTIONS: dict[str, dict[str, Any]] = {
    "relu": {"nonlinearity": "relu"},
    "sigmoid": {"nonlinearity": "sigmoid"},
}
LSTM_OPTIONS: dict[str, dict[str, Any]] = {
    "proj_size": {"proj_size": 2},
    "forget_bias": {"forget_bias": 1.0},
    "zoneout of h and c": {"zoneout": (0.2, 0.4)},
    "peephole": {"peephole": True},
    "with everything": {"proj_size": 2, "zoneout": (0.2, 0.4), "recurrent_dropout": 0.3,
                        "layer_norm": True, "peephole": True, "learned_state": True},
}  # fmt: skip
GRU_OPTIONS: dict[str, dict[str, Any]] = {
    "reset before": {"reset_after": False},
    "update take": {"update": "take"},
    "reset before, update take": {"reset_after": False, "update": "take"},
    "with everything": {"reset_after": False, "update": "take", "zoneout": 0.3,
                        "recurrent_dropout": 0.3, "layer_norm": True, "learned_state": True},
}  # fmt: skip
CELL_OPTIONS: dict[str, dict[str, Any]] = {
    "": {},
    "without bias": {"bias": False},
    "single_bias": {"single_bias": True},
    "zoneout": {"zoneout": 0.3},
    "layer_norm": {"layer_norm": True},
}


def _padded(layer: nn.Module, x: Tensor) -> Any:
    return layer(x, None, LENGTHS)


def _packed(layer: nn.Module, x: Tensor) -> Any:
    output, state = layer(nn.pack_padded_sequence(x, LENGTHS, enforce_sorted=False))
    return output.data, state


def _inside(layer: nn.Module, x: Tensor) -> Any:
    _, _, inner = layer(x, return_inner=True)
    return tuple(part for both in inner for part in both if part is not None)


def _from_state(layer: nn.Module, x: Tensor, *state: Tensor) -> Any:
    return layer(x, state if len(state) > 1 else state[0])


def _recurrent(kind: Any, own: dict[str, dict[str, Any]]) -> Iterator[Any]:
    """The rows of one kind of layer."""
    name, two = f"nn.{kind.__name__}", kind is nn.LSTM
    for label, options in (OPTIONS | own).items():
        yield layer(f"{name} {label}".strip(), partial(kind, 2, 3, **options), X)
    state = ((1, 2, 3),) * (2 if two else 1)
    ways: dict[str, tuple[Any, ...]] = {
        "given state": (_from_state, X, *state),
        "padded": (_padded, X),
        "packed": (_packed, X),
        "inside": (_inside, X),
    }
    for label, (how, *inputs) in ways.items():
        if how is not _inside or kind is not nn.RNN:
            both = {"bidirectional": how in (_padded, _packed)}
            yield layer(f"{name} {label}", called(partial(kind, 2, 3, **both), how), *inputs)
    still = partial(kind, 2, 3, zoneout=0.3)
    yield layer(f"{name} zoneout, evaluated", lambda **where: still(**where).eval(), X)


def _cells(kind: Any, own: dict[str, dict[str, Any]]) -> Iterator[Any]:
    """The rows of one kind of cell."""
    state = ((2, 3),) * (2 if kind is nn.LSTMCell else 1)
    for label, options in (CELL_OPTIONS | own).items():
        make = called(partial(kind, 2, 3, **options), _from_state)
        yield layer(f"nn.{kind.__name__} {label}".strip(), make, (2, 2), *state)


RECURRENT = (
    *_recurrent(nn.RNN, RNN_OPTIONS),
    *_recurrent(nn.LSTM, LSTM_OPTIONS),
    *_recurrent(nn.GRU, GRU_OPTIONS),
    *_cells(nn.RNNCell, RNN_OPTIONS),
    *_cells(nn.LSTMCell, {k: LSTM_OPTIONS[k] for k in ("forget_bias", "peephole")}),
    *_cells(nn.GRUCell, {k: GRU_OPTIONS[k] for k in ("reset before", "update take")}),
)

LAYERS = (
    *(layer(f"nn.{kind.__name__}", kind, (3, 4), placed=False) for kind in ACTIVATIONS),
    layer("nn.Dropout", lambda: nn.Dropout(0.4), (3, 4), placed=False),
    layer("nn.MSELoss", nn.MSELoss, (3, 4), (3, 4), placed=False),
    layer("nn.CrossEntropyLoss", nn.CrossEntropyLoss, (3, 4), Integers((3,), 0, 4), placed=False),
    layer("nn.NLLLoss", nn.NLLLoss, (3, 4), Integers((3,), 0, 4), placed=False),
    layer("nn.KLDivLoss", nn.KLDivLoss, (3, 4), Uniform((3, 4), 0.1, 1), placed=False),
    layer("nn.CTCLoss", nn.CTCLoss, (5, 2, 4), *SPELLED, placed=False),
    layer("nn.BCEWithLogitsLoss", nn.BCEWithLogitsLoss, (3, 4), Uniform((3, 4)), placed=False),
    layer("nn.Linear", lambda **where: nn.Linear(3, 4, **where), (2, 5, 3)),
    layer("nn.Embedding", lambda **where: nn.Embedding(5, 3, **where), Integers((4, 2), 0, 5)),
    layer("nn.LayerNorm", lambda **where: nn.LayerNorm(4, **where), (3, 4)),
    *RECURRENT,
    *ATTENTION_ROWS,
)
