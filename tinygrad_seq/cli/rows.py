"""How the tables of what is gradient-checked are written: a layer by name, and how to build it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_seq import nn
from tinygrad_seq.autograd import Tensor, tensor
from tinygrad_seq.backend import manual_seed
from tinygrad_seq.ops.sample import Sample

Make = Callable[..., nn.Module]


def layer(
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


class _Called(nn.Module):
    """A layer that is called in a way of its own: ``how(layer, *inputs)``."""

    def __init__(self, layer: nn.Module, how: Callable[..., Any]):
        super().__init__()
        self.layer = layer
        self.how = how

    def forward(self, *inputs: Tensor) -> Any:
        return self.how(self.layer, *inputs)


def called(make: Make, how: Callable[..., Any]) -> Make:
    """A layer that is called as ``how(layer, *inputs)``."""
    return lambda **where: _Called(make(**where), how)
