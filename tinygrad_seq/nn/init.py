"""Initialisers: fill a tensor in place with numbers of a wanted spread.

All of them draw on the host, from the default random stream or from ``generator``, so that one seed
gives the same weights on every device; and all return the tensor they filled.

A weight of shape (out, in, *kernel) has fan_in = in · ∏kernel and fan_out = out · ∏kernel: how many
terms each output sums, and how many outputs each input reaches.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_seq.autograd import Tensor, no_grad
from tinygrad_seq.backend import Generator, default_generator, transfer
from tinygrad_seq.errors import ArgumentError, DTypeError, expect

_GAINS = {"linear": 1.0, "conv1d": 1.0, "conv2d": 1.0, "conv3d": 1.0, "conv_transpose1d": 1.0,
          "conv_transpose2d": 1.0, "conv_transpose3d": 1.0, "sigmoid": 1.0, "tanh": 5 / 3,
          "relu": math.sqrt(2), "selu": 3 / 4}  # fmt: skip


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor by which weights grow to make up for a nonlinearity.

    linear, conv*, sigmoid: 1; tanh: 5/3; relu: √2; leaky_relu: √(2/(1 + a²)) with slope
    a = ``param`` (default 0.01); selu: 3/4. An unknown name raises ArgumentError.
    """
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        ok = isinstance(slope, (int, float)) and not isinstance(slope, bool)
        ok = ok and math.isfinite(slope)
        expect(ok, "calculate_gain", "a finite negative slope", repr(param), ArgumentError)
        return math.sqrt(2 / (1 + slope**2))
    names = ", ".join([*_GAINS, "leaky_relu"])
    known = nonlinearity in _GAINS
    expect(known, "calculate_gain", f"one of {names}", repr(nonlinearity), ArgumentError)
    return _GAINS[nonlinearity]


# ---------------------------------------------------------------------- plain distributions


def uniform_(
    tensor: Tensor, a: float = 0.0, b: float = 1.0, *, generator: Generator | None = None
) -> Tensor:
    """Uniform numbers in [a, b): mean (a + b)/2, variance (b − a)²/12."""
    _floating("uniform_", tensor)
    expect(math.isfinite(b - a) and a <= b, "uniform_", "finite a ≤ b", (a, b), ArgumentError)
    drawn = (generator or default_generator()).uniform(tensor.shape)
    return _fill(tensor, a + (b - a) * drawn)


def normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None
) -> Tensor:
    """Normal numbers of the given mean and standard deviation."""
    _floating("normal_", tensor)
    _at_least_0("normal_", "std", std)
    expect(math.isfinite(mean), "normal_", "a finite mean", mean, ArgumentError)
    return _fill(tensor, mean + std * (generator or default_generator()).normal(tensor.shape))


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

    a and b bound the values; they are no multiples of ``std``.
    """
    op = "trunc_normal_"
    _floating(op, tensor)
    expect(a < b, op, "a < b", (a, b), ArgumentError)
    expect(math.isfinite(std) and std > 0, op, "a finite std > 0", std, ArgumentError)
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
    return _fill(tensor, np.clip(values.reshape(tensor.shape).astype(tensor.dtype), a, b))


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


def eye_(tensor: Tensor, scale: float = 1.0) -> Tensor:
    """``scale`` on the main diagonal of a matrix, 0 elsewhere.

    With a recurrent weight ``scale``·I and ReLU the gradient through T steps is scaleᵀ: it neither
    vanishes nor explodes for 1 (Le, Jaitly and Hinton 2015, arXiv:1504.00941).
    """
    expect(tensor.ndim == 2, "eye_", "a matrix", f"shape {tensor.shape}")
    rows, columns = tensor.shape
    return _fill(tensor, scale * np.eye(rows, columns))


# ---------------------------------------------------------------------- by the fans


def xavier_uniform_(
    tensor: Tensor, gain: float = 1.0, *, generator: Generator | None = None
) -> Tensor:
    """U(−a, a) with a = gain·√(6/(fan_in + fan_out)): variance gain²·2/(fan_in + fan_out).

    Keeps the variance of activations and of gradients alike through layers of tanh
    (Glorot and Bengio 2010).
    """
    fans = _fans("xavier_uniform_", tensor)
    return _spread_uniform("xavier_uniform_", tensor, sum(fans) / 2, gain, generator)


def xavier_normal_(
    tensor: Tensor, gain: float = 1.0, *, generator: Generator | None = None
) -> Tensor:
    """N(0, gain²·2/(fan_in + fan_out)) (Glorot and Bengio 2010)."""
    fans = _fans("xavier_normal_", tensor)
    return _spread_normal("xavier_normal_", tensor, sum(fans) / 2, gain, generator)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    *,
    generator: Generator | None = None,
) -> Tensor:
    """U(−b, b) with b = gain·√(3/fan): variance gain²/fan, for ReLU 2/fan (He et al. 2015).

    mode: ``"fan_in"`` keeps the variance of activations going forward, ``"fan_out"`` that of
    gradients going back. a: the negative slope, used by ``nonlinearity="leaky_relu"`` only.
    """
    fan, gain = _kaiming("kaiming_uniform_", tensor, a, mode, nonlinearity)
    return _spread_uniform("kaiming_uniform_", tensor, fan, gain, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    *,
    generator: Generator | None = None,
) -> Tensor:
    """N(0, gain²/fan), for ReLU N(0, 2/fan); arguments as ``kaiming_uniform_`` (He et al. 2015)."""
    fan, gain = _kaiming("kaiming_normal_", tensor, a, mode, nonlinearity)
    return _spread_normal("kaiming_normal_", tensor, fan, gain, generator)


def lecun_uniform_(tensor: Tensor, *, generator: Generator | None = None) -> Tensor:
    """U(−b, b) with b = √(3/fan_in): variance 1/fan_in (LeCun et al. 1998, Efficient BackProp)."""
    fan_in, _ = _fans("lecun_uniform_", tensor)
    return _spread_uniform("lecun_uniform_", tensor, fan_in, 1.0, generator)


def lecun_normal_(tensor: Tensor, *, generator: Generator | None = None) -> Tensor:
    """N(0, 1/fan_in) (LeCun et al. 1998, Efficient BackProp)."""
    fan_in, _ = _fans("lecun_normal_", tensor)
    return _spread_normal("lecun_normal_", tensor, fan_in, 1.0, generator)


def orthogonal_(tensor: Tensor, gain: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """A random matrix with QᵀQ = gain²·I (or QQᵀ, if it is wider than high); rank 2 or more.

    Axes after the first are taken as one. Uniform over all such matrices: the QR factors of a
    normal matrix, signed so that R's diagonal is positive (Saxe et al. 2014, arXiv:1312.6120).
    """
    op = "orthogonal_"
    _floating(op, tensor)
    expect(tensor.ndim >= 2, op, "a tensor of rank 2 or more", f"shape {tensor.shape}")
    _at_least_0(op, "gain", gain)
    rows, columns = tensor.shape[0], math.prod(tensor.shape[1:])
    drawn = (generator or default_generator()).normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(drawn)
    q *= np.where(np.diagonal(r) < 0, -1.0, 1.0)
    return _fill(tensor, gain * (q.T if rows < columns else q).reshape(tensor.shape))


# ---------------------------------------------------------------------- what they share


def _fans(op: str, tensor: Tensor) -> tuple[int, int]:
    _floating(op, tensor)
    ok = tensor.ndim >= 2 and tensor.size > 0
    expect(ok, op, "a non-empty tensor of rank 2 or more", f"shape {tensor.shape}")
    kernel = math.prod(tensor.shape[2:])
    return tensor.shape[1] * kernel, tensor.shape[0] * kernel


def _kaiming(op: str, tensor: Tensor, a: float, mode: str, name: str) -> tuple[int, float]:
    fan_in, fan_out = _fans(op, tensor)
    modes = {"fan_in": fan_in, "fan_out": fan_out}
    expect(mode in modes, op, "mode 'fan_in' or 'fan_out'", repr(mode), ArgumentError)
    return modes[mode], calculate_gain(name, a)


def _spread_uniform(
    op: str, tensor: Tensor, fan: float, gain: float, generator: Generator | None
) -> Tensor:
    """Uniform with variance gain²/fan."""
    _at_least_0(op, "gain", gain)
    bound = gain * math.sqrt(3 / fan)
    return uniform_(tensor, -bound, bound, generator=generator)


def _spread_normal(
    op: str, tensor: Tensor, fan: float, gain: float, generator: Generator | None
) -> Tensor:
    """Normal with variance gain²/fan."""
    _at_least_0(op, "gain", gain)
    return normal_(tensor, 0, gain / math.sqrt(fan), generator=generator)


def _floating(op: str, tensor: Tensor) -> None:
    expect(tensor.dtype.kind == "f", op, "a floating tensor", tensor.dtype, DTypeError)


def _at_least_0(op: str, name: str, value: float) -> None:
    expect(math.isfinite(value) and value >= 0, op, f"a finite {name} ≥ 0", value, ArgumentError)


def _fill(tensor: Tensor, host: Any) -> Tensor:
    with no_grad():
        return tensor.copy_(transfer(np.asarray(host, tensor.dtype), tensor.device))
