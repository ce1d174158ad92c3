"""Spreads that keep the size of activations or gradients from layer to layer.

A weight of shape (out, in, *kernel) has fan_in = in · ∏kernel and fan_out = out · ∏kernel: how many
terms each output sums, and how many outputs each input reaches.
"""

from __future__ import annotations

import math

from tinygrad_seq.autograd import Tensor
from tinygrad_seq.backend import Generator
from tinygrad_seq.errors import ArgumentError, expect
from tinygrad_seq.nn.init.distributions import normal_, uniform_
from tinygrad_seq.nn.init.filling import finite, floating, is_number

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
        ok = is_number(slope) and math.isfinite(slope)
        expect(ok, "calculate_gain", "a finite negative slope", repr(param), ArgumentError)
        return math.sqrt(2 / (1 + slope**2))
    names = ", ".join([*_GAINS, "leaky_relu"])
    known = nonlinearity in _GAINS
    expect(known, "calculate_gain", f"one of {names}", repr(nonlinearity), ArgumentError)
    return _GAINS[nonlinearity]


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


def _fans(op: str, tensor: Tensor) -> tuple[int, int]:
    floating(op, tensor)
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
    finite(op, "gain", gain, 0)
    bound = gain * math.sqrt(3 / fan)
    return uniform_(tensor, -bound, bound, generator=generator)


def _spread_normal(
    op: str, tensor: Tensor, fan: float, gain: float, generator: Generator | None
) -> Tensor:
    """Normal with variance gain²/fan."""
    finite(op, "gain", gain, 0)
    return normal_(tensor, 0, gain / math.sqrt(fan), generator=generator)
