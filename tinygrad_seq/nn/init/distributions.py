"""Constants, and the uniform, the normal and the truncated normal distribution."""

from __future__ import annotations

import math

import numpy as np

from tinygrad_seq.autograd import Tensor, no_grad
from tinygrad_seq.backend import Generator, default_generator
from tinygrad_seq.errors import ArgumentError, expect
from tinygrad_seq.nn.init.filling import fill, finite, floating


def uniform_(
    tensor: Tensor, a: float = 0.0, b: float = 1.0, *, generator: Generator | None = None
) -> Tensor:
    """Uniform numbers in [a, b): mean (a + b)/2, variance (b − a)²/12."""
    floating("uniform_", tensor)
    expect(math.isfinite(b - a) and a <= b, "uniform_", "finite a ≤ b", (a, b), ArgumentError)
    drawn = (generator or default_generator()).uniform(tensor.shape)
    return fill(tensor, a + (b - a) * drawn)


def normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None
) -> Tensor:
    """Normal numbers of the given mean and standard deviation."""
    floating("normal_", tensor)
    finite("normal_", "std", std, 0)
    finite("normal_", "mean", mean)
    return fill(tensor, mean + std * (generator or default_generator()).normal(tensor.shape))


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """Normal numbers, those outside [a, b] drawn again until none is left.

    a and b bound the values; they are no multiples of ``std``. Bounds so far out that fewer than
    one number in 100 would be kept raise ArgumentError.
    """
    op = "trunc_normal_"
    floating(op, tensor)
    expect(a < b, op, "a < b", (a, b), ArgumentError)
    expect(math.isfinite(std) and std > 0, op, "a finite std > 0", std, ArgumentError)
    finite(op, "mean", mean)
    width = std * math.sqrt(2)
    kept = (math.erf((b - mean) / width) - math.erf((a - mean) / width)) / 2
    got = f"mean {mean}, std {std}, [{a}, {b}]"
    expect(kept > 0.01, op, "bounds that keep one number in 100 or more", got, ArgumentError)
    stream = generator or default_generator()
    values = mean + std * stream.normal((tensor.size,))
    outside = np.flatnonzero((values < a) | (values > b))
    while outside.size:
        values[outside] = drawn = mean + std * stream.normal(outside.shape)
        outside = outside[(drawn < a) | (drawn > b)]
    # Rounding to the tensor's dtype may carry a number over a bound.
    return fill(tensor, np.clip(values.reshape(tensor.shape).astype(tensor.dtype), a, b))


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Every element ``val``."""
    with no_grad():
        return tensor.fill_(val)


def zeros_(tensor: Tensor) -> Tensor:
    """Every element 0."""
    return constant_(tensor, 0)


def ones_(tensor: Tensor) -> Tensor:
    """Every element 1."""
    return constant_(tensor, 1)
