"""Layer normalisation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tinygrad_seq import ops
from tinygrad_seq.autograd import Tensor, ones, zeros
from tinygrad_seq.backend import Device
from tinygrad_seq.errors import ArgumentError, expect
from tinygrad_seq.nn.init import ones_, zeros_
from tinygrad_seq.nn.linear import check_size
from tinygrad_seq.nn.module import Module
from tinygrad_seq.nn.parameter import Parameter


class LayerNorm(Module):
    """Each vector is given mean 0 and variance 1, then a learned scale and shift.

    y = (x − mean x)/√(var x + ε)·weight + bias, mean and (biased) variance over the last axes, of
    shape ``normalized_shape``. elementwise_affine: learn weight (ones at first) and, if ``bias``,
    bias (zeros at first), both of shape ``normalized_shape``. (Ba et al. 2016, arXiv:1607.06450.)
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: str | Device | None = None,
        dtype: Any = None,
    ):
        super().__init__()
        single = isinstance(normalized_shape, int)
        shape = (normalized_shape,) if single else tuple(normalized_shape)  # type: ignore[arg-type]
        for size in shape or (None,):
            check_size("LayerNorm", "each of normalized_shape", size)
        ok = isinstance(eps, (int, float)) and eps >= 0 and math.isfinite(eps)
        expect(ok, "LayerNorm", "a finite eps ≥ 0", repr(eps), ArgumentError)
        self.normalized_shape = shape
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        kept = {"weight": elementwise_affine, "bias": elementwise_affine and bias}
        for name, fill in {"weight": ones, "bias": zeros}.items():
            made = Parameter(fill(shape, device=device, dtype=dtype)) if kept[name] else None
            self.register_parameter(name, made)

    def reset_parameters(self) -> None:
        """Back to scale 1 and shift 0."""
        if self.weight is not None:
            ones_(self.weight)
        if self.bias is not None:
            zeros_(self.bias)

    def forward(self, x: Any) -> Tensor:
        """(…, *normalized_shape) → the same shape."""
        out: Tensor = ops.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)
        return out

    def extra_repr(self) -> str:
        affine = f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        return f"{self.normalized_shape}, eps={self.eps}, {affine}"
