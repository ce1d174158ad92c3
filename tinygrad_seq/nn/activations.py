"""Activation functions as modules, for use in containers; each is the op of the same name."""

from __future__ import annotations

from typing import Any, ClassVar

from tinygrad_seq import ops
from tinygrad_seq.nn.module import Module


class _Activation(Module):
    """An op with some of its parameters held as attributes of the same names."""

    op: ClassVar[Any]
    options: ClassVar[tuple[str, ...]] = ()

    def forward(self, x: Any) -> Any:
        """Any shape → the same shape."""
        return type(self).op(x, **{name: getattr(self, name) for name in self.options})

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in self.options)


class Tanh(_Activation):
    """tanh x."""

    op = ops.tanh


class Sigmoid(_Activation):
    """1/(1 + e⁻ˣ)."""

    op = ops.sigmoid


class ReLU(_Activation):
    """max(x, 0)."""

    op = ops.relu


class SiLU(_Activation):
    """x·σ(x)."""

    op = ops.silu


class Softsign(_Activation):
    """x/(1 + |x|)."""

    op = ops.softsign


class GELU(_Activation):
    """x·Φ(x), Φ the standard normal distribution; ``approximate="tanh"`` for the tanh form."""

    op = ops.gelu
    options = ("approximate",)

    def __init__(self, approximate: str = "none"):
        super().__init__()
        self.approximate = approximate


class LeakyReLU(_Activation):
    """x where x > 0, else negative_slope·x."""

    op = ops.leaky_relu
    options = ("negative_slope",)

    def __init__(self, negative_slope: float = 0.01):
        super().__init__()
        self.negative_slope = negative_slope


class ELU(_Activation):
    """x where x > 0, else alpha·(eˣ − 1)."""

    op = ops.elu
    options = ("alpha",)

    def __init__(self, alpha: float = 1.0):
        super().__init__()
        self.alpha = alpha


class Softplus(_Activation):
    """ln(1 + e^(beta·x))/beta, exactly for every x: no threshold is needed."""

    op = ops.softplus
    options = ("beta",)

    def __init__(self, beta: float = 1.0):
        super().__init__()
        self.beta = beta


class Softmax(Module):
    """eˣ/Σ eˣ along axis ``dim``."""

    op: ClassVar[Any] = ops.softmax

    def __init__(self, dim: int = -1):
        super().__init__()
        self.dim = dim

    def forward(self, x: Any) -> Any:
        """Any shape → the same shape, adding up to 1 along ``dim``."""
        return type(self).op(x, axis=self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class LogSoftmax(Softmax):
    """x − ln Σ eˣ along axis ``dim``."""

    op = ops.log_softmax
