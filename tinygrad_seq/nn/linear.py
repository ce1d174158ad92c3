"""Linear layer."""

from __future__ import annotations

import math
from typing import Any

from tinygrad_seq import ops
from tinygrad_seq.autograd import Tensor, zeros
from tinygrad_seq.backend import Device
from tinygrad_seq.errors import ArgumentError, expect
from tinygrad_seq.nn.init import uniform_
from tinygrad_seq.nn.module import Module
from tinygrad_seq.nn.parameter import Parameter


class Linear(Module):
    """Affine map of the last axis: y = x·Wᵀ + b.

    x: (…, in_features); y: (…, out_features); weight: (out_features, in_features); bias:
    (out_features,). Both start uniform in ±1/√in_features.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: str | Device | None = None,
        dtype: Any = None,
    ):
        super().__init__()
        for name, size in {"in_features": in_features, "out_features": out_features}.items():
            check_size("Linear", name, size)
        self.in_features = in_features
        self.out_features = out_features
        shape = (out_features, in_features)
        self.weight = Parameter(zeros(shape, device=device, dtype=dtype))
        self.register_parameter(
            "bias", Parameter(zeros(out_features, device=device, dtype=dtype)) if bias else None
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new weights."""
        bound = 1 / math.sqrt(self.in_features)
        for parameter in self.parameters():
            uniform_(parameter, -bound, bound)

    def forward(self, x: Any) -> Tensor:
        """(…, in_features) → (…, out_features)."""
        out: Tensor = ops.linear(x, self.weight, self.bias)
        return out

    def extra_repr(self) -> str:
        held = self.bias is not None
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={held}"


def check_size(op: str, name: str, size: Any) -> None:
    """Refuse a number of features that is not an integer ≥ 1."""
    ok = isinstance(size, int) and not isinstance(size, bool) and size >= 1
    expect(ok, op, f"{name} to be an integer ≥ 1", repr(size), ArgumentError)
