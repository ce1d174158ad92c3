"""Layer normalisation, with and without the mean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_seq import ops
from tinygrad_seq.autograd import Tensor, ones, zeros
from tinygrad_seq.backend import Device
from tinygrad_seq.errors import ArgumentError, DTypeError, expect
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
        shape = _sizes("LayerNorm", normalized_shape)
        _check_eps("LayerNorm", eps)
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


class RMSNorm(Module):
    """Each vector is divided by the root of its mean square, then scaled.

    y = x/√(mean x² + ε)·weight, the mean over the last axes, of shape ``normalized_shape``. eps:
    the spacing of x's floats at 1 by default. elementwise_affine: learn weight, of shape
    ``normalized_shape``, ones at first. (Zhang and Sennrich 2019, arXiv:1910.07467.)
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: str | Device | None = None,
        dtype: Any = None,
    ):
        super().__init__()
        shape = _sizes("RMSNorm", normalized_shape)
        if eps is not None:
            _check_eps("RMSNorm", eps)
        self.normalized_shape = shape
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        made = Parameter(ones(shape, device=device, dtype=dtype)) if elementwise_affine else None
        self.register_parameter("weight", made)

    def reset_parameters(self) -> None:
        """Back to scale 1."""
        if self.weight is not None:
            ones_(self.weight)

    def forward(self, x: Any) -> Tensor:
        """(…, *normalized_shape) → the same shape."""
        shape, wanted = getattr(x, "shape", ()), self.normalized_shape
        ok = shape[-len(wanted) :] == wanted
        expect(ok, "RMSNorm", f"x of shape (…, {', '.join(map(str, wanted))})", shape)
        ok = x.dtype.kind == "f"
        expect(ok, "RMSNorm", "x of a floating dtype", x.dtype, DTypeError)
        eps = float(np.finfo(x.dtype).eps) if self.eps is None else self.eps
        axes = tuple(range(-len(wanted), 0))
        out: Tensor = x / ops.sqrt(ops.mean(ops.square(x), axis=axes, keepdims=True) + eps)
        return out if self.weight is None else out * self.weight

    def extra_repr(self) -> str:
        affine = f"elementwise_affine={self.elementwise_affine}"
        return f"{self.normalized_shape}, eps={self.eps}, {affine}"


def _sizes(op: str, normalized_shape: int | Sequence[int]) -> tuple[int, ...]:
    single = isinstance(normalized_shape, int)
    shape: Any = (normalized_shape,) if single else tuple(normalized_shape)  # type: ignore[arg-type]
    for size in shape or (None,):
        check_size(op, "each of normalized_shape", size)
    return tuple(shape)


def _check_eps(op: str, eps: Any) -> None:
    ok = isinstance(eps, (int, float)) and eps >= 0 and math.isfinite(eps)
    expect(ok, op, "a finite eps ≥ 0", repr(eps), ArgumentError)
