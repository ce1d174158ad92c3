"""What ``tinygrad-seq gradcheck`` tries each layer on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_seq import nn
from tinygrad_seq.autograd import Tensor, tensor
from tinygrad_seq.backend import manual_seed
from tinygrad_seq.models import CharLM
from tinygrad_seq.ops.sample import Integers, Sample, Uniform

Make = Callable[..., nn.Module]


def _layer(
    name: str, make: Make, *inputs: Any, placed: bool = True
) -> tuple[str, Callable[[str], tuple[nn.Module, list[Tensor]]]]:
    """A layer by name, and how to build it with its inputs on a device.

    inputs: written as an op's samples are. placed: whether the layer has parameters, and so takes
    device and dtype.
    """

    def build(device: str) -> tuple[nn.Module, list[Tensor]]:
        manual_seed(0)
        where: dict[str, Any] = {"device": device, "dtype": np.float64} if placed else {}
        arrays, _ = Sample(*inputs).draw(seed=1)
        return make(**where), [tensor(array, device=device) for array in arrays]

    return name, build


ACTIVATIONS = (nn.Tanh, nn.Sigmoid, nn.ReLU, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Softplus,
               nn.Softsign, nn.Softmax, nn.LogSoftmax)  # fmt: skip

TOKENS = Integers((5, 2), 0, 5)  # (T, B)

LAYERS = (
    *(_layer(f"nn.{kind.__name__}", kind, (3, 4), placed=False) for kind in ACTIVATIONS),
    _layer("nn.Dropout", lambda: nn.Dropout(0.4), (3, 4), placed=False),
    _layer("nn.MSELoss", nn.MSELoss, (3, 4), (3, 4), placed=False),
    _layer("nn.CrossEntropyLoss", nn.CrossEntropyLoss, (3, 4), Integers((3,), 0, 4), placed=False),
    _layer("nn.NLLLoss", nn.NLLLoss, (3, 4), Integers((3,), 0, 4), placed=False),
    _layer("nn.BCEWithLogitsLoss", nn.BCEWithLogitsLoss, (3, 4), Uniform((3, 4)), placed=False),
    _layer("nn.Linear", lambda **where: nn.Linear(3, 4, **where), (2, 5, 3)),
    _layer("nn.Embedding", lambda **where: nn.Embedding(5, 3, **where), Integers((4, 2), 0, 5)),
    _layer("nn.LayerNorm", lambda **where: nn.LayerNorm(4, **where), (3, 4)),
    _layer("nn.RNN", lambda **where: nn.RNN(3, 4, **where), (5, 2, 3), (1, 2, 4)),
    _layer("nn.RNN relu", lambda **where: nn.RNN(3, 4, nonlinearity="relu", **where), (5, 2, 3)),
    _layer("nn.LSTM", lambda **where: nn.LSTM(3, 4, **where), (5, 2, 3)),
    _layer("CharLM rnn", lambda **where: CharLM(5, 3, 4, "rnn", **where), TOKENS),
    _layer("CharLM lstm", lambda **where: CharLM(5, 3, 4, "lstm", **where), TOKENS),
)
