"""Arithmetic, elementwise with broadcasting."""

from __future__ import annotations

import math

import numpy as np

from tinygrad_seq.backend import xp_of
from tinygrad_seq.errors import ShapeError
from tinygrad_seq.ops.casting import full_like
from tinygrad_seq.ops.choosing import where
from tinygrad_seq.ops.exponential import log
from tinygrad_seq.ops.primitive import primitive
from tinygrad_seq.ops.sample import Bad, Sample, Uniform

_PAIRS = [Sample((3, 4), (3, 4)), Sample((3, 4), (4,)), Sample((2, 1, 4), (3, 1)), Sample((), (2,)),
          Sample((3, 4), 1.5), Sample(2, (3,))]  # fmt: skip
_BAD_PAIR = [Bad(ShapeError, "broadcast", (3, 4), (3,))]
_BENCH = Sample((1024, 1024), (1024, 1024))


@primitive(numpy=np.add, samples=_PAIRS, bad=_BAD_PAIR, bench=_BENCH, analytic=True)
def add(a, b):
    """Sum, elementwise: out = a + b."""
    return a + b


add.vjp(a=lambda g: g, b=lambda g: g)


@primitive(numpy=np.subtract, samples=_PAIRS, bad=_BAD_PAIR, bench=_BENCH, analytic=True)
def sub(a, b):
    """Difference, elementwise: out = a − b."""
    return a - b


sub.vjp(a=lambda g: g, b=lambda g: -g)


@primitive(numpy=np.multiply, samples=_PAIRS, bad=_BAD_PAIR, bench=_BENCH, analytic=True)
def mul(a, b):
    """Product, elementwise: out = a · b, ∂out/∂a = b, ∂out/∂b = a."""
    return a * b


mul.vjp(a=lambda g, b: g * b, b=lambda g, a: g * a)


@primitive(
    numpy=np.divide,
    samples=[
        Sample((3, 4), Uniform((3, 4), 0.5, 2)),
        Sample((3, 4), Uniform((3, 1), -2, -0.5)),
        Sample((3, 4), 4),
        Sample(1, Uniform((3,), 0.5, 2)),
    ],
    bad=_BAD_PAIR,
    bench=Sample((1024, 1024), Uniform((1024, 1024), 0.5, 2)),
    analytic=True,
)
def div(a, b):
    """Quotient, elementwise: out = a / b, ∂out/∂a = 1/b, ∂out/∂b = −out/b."""
    return a / b


div.vjp(a=lambda g, b: g / b, b=lambda g, b, out: -g * out / b)


@primitive(numpy=np.negative, samples=[Sample((3, 4)), Sample(())], bench=Sample((1024, 1024)),
           analytic=True)  # fmt: skip
def neg(x):
    """Negative, elementwise: out = −x."""
    return -x


neg.vjp(x=lambda g: -g)


@primitive(
    numpy=np.power,
    samples=[
        Sample(Uniform((3, 4), 0.5, 2), (3, 4)),
        Sample((3, 4), 2),
        Sample((3, 4), 3),
        Sample((3, 4), 0),
        Sample(Uniform((3, 4), 0.5, 2), -0.5),
        Sample(2, (3, 4)),
        Sample(Uniform((3, 1), 0.5, 2), (4,)),
    ],
    bad=_BAD_PAIR,
    bench=Sample(Uniform((1024, 1024), 0.5, 2), 3),
)
def pow(a, b):
    """Power, elementwise: out = aᵇ, ∂out/∂a = b·aᵇ⁻¹, ∂out/∂b = out·ln a (0 where a = 0)."""
    return a**b


def _pow_a(g, a, b):
    if isinstance(b, (int, float)):
        return g * (b * a ** (b - 1)) if b else full_like(g, 0)
    # 0⁰ is constant in its base, where 0 · 0⁻¹ would give NaN.
    return g * (b * a ** where((a == 0) & (b == 0), 1, b - 1))


def _pow_b(g, a, out):
    if isinstance(a, (int, float)):
        return g * out * math.log(a) if a else full_like(g, 0)
    # At a = 0 the derivative is the limit 0 for b > 0, where 0 · ln 0 would give NaN.
    return g * out * log(where(a == 0, 1, a))


pow.vjp(a=_pow_a, b=_pow_b)


@primitive(numpy=np.sign, samples=[Sample((3, 4)), Sample(())], bench=Sample((1024, 1024)))
def sign(x):
    """Sign, elementwise: −1, 0 or 1. Its derivative is 0 wherever it has one."""
    return xp_of(x).sign(x)


sign.vjp(x=lambda g: full_like(g, 0))


@primitive(numpy=np.abs, samples=[Sample((3, 4)), Sample(())], bench=Sample((1024, 1024)))
def abs(x):
    """Absolute value, elementwise: out = |x|, ∂out/∂x = sign x (0 at the kink)."""
    return xp_of(x).abs(x)


abs.vjp(x=lambda g, x: g * sign(x))
