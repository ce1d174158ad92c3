"""Activation functions, elementwise."""

from __future__ import annotations

import numpy as np

from tinygrad_seq.backend import xp_of
from tinygrad_seq.errors import ArgumentError, expect
from tinygrad_seq.ops.arithmetic import abs
from tinygrad_seq.ops.choosing import where
from tinygrad_seq.ops.exponential import square
from tinygrad_seq.ops.primitive import primitive
from tinygrad_seq.ops.sample import Bad, Sample

_SAMPLES = [Sample((3, 4)), Sample(())]
_BENCH = Sample((1024, 1024))


@primitive(numpy=np.tanh, samples=_SAMPLES, bench=_BENCH, analytic=True)
def tanh(x):
    """Hyperbolic tangent: out = tanh x, ∂out/∂x = 1 − out²."""
    return xp_of(x).tanh(x)


# g − g·out² and not g·(1 − out²): on small arrays meeting the number 1 costs more than a product.
tanh.vjp(x=lambda g, out: g - g * out * out)


@primitive(samples=_SAMPLES, bench=_BENCH, analytic=True)
def sigmoid(x):
    """Logistic function: out = 1/(1 + e⁻ˣ) = (1 + tanh(x/2))/2, ∂out/∂x = out·(1 − out).

    The form with tanh overflows nowhere.
    """
    return 0.5 * xp_of(x).tanh(0.5 * x) + 0.5


sigmoid.vjp(x=lambda g, out: g * (out * (1 - out)))


@primitive(samples=_SAMPLES, bench=_BENCH)
def relu(x):
    """Rectifier: out = max(x, 0), ∂out/∂x = 1 where x > 0, else 0."""
    return xp_of(x).maximum(x, 0)


relu.vjp(x=lambda g, out: g * (out > 0))


@primitive(samples=[*_SAMPLES, Sample((3, 4), negative_slope=0.3)], bench=_BENCH)
def leaky_relu(x, negative_slope=0.01):
    """Rectifier that leaks: out = x where x > 0, else negative_slope · x."""
    xp = xp_of(x)
    return xp.maximum(x, 0) + negative_slope * xp.minimum(x, 0)


leaky_relu.vjp(x=lambda g, x, negative_slope: g * (x > 0) + negative_slope * (g * (x <= 0)))


@primitive(samples=[*_SAMPLES, Sample((3, 4), alpha=0.5)], bench=_BENCH)
def elu(x, alpha=1.0):
    """Exponential linear unit: out = x where x > 0, else α(eˣ − 1).

    ∂out/∂x = 1 where x > 0, else αeˣ = out + α. (Clevert, Unterthiner and Hochreiter 2016)
    """
    xp = xp_of(x)
    return xp.where(x > 0, x, alpha * xp.expm1(xp.minimum(x, 0)))


elu.vjp(x=lambda g, x, out, alpha: where(x > 0, g, g * (out + alpha)))


@primitive(samples=_SAMPLES, bench=_BENCH, analytic=True)
def silu(x):
    """Sigmoid-weighted unit: out = x·σ(x), ∂out/∂x = σ(x)·(1 + x·(1 − σ(x)))."""
    return x * (0.5 * xp_of(x).tanh(0.5 * x) + 0.5)


def _silu_rule(g, x):
    s = sigmoid(x)
    return g * (s * (1 + x * (1 - s)))


silu.vjp(x=_silu_rule)


@primitive(samples=[*_SAMPLES, Sample((3, 4), beta=2.0)], bench=_BENCH,
           bad=[Bad(ArgumentError, "beta > 0", (3, 4), beta=0.0)])  # fmt: skip
def softplus(x, beta=1.0):
    """Smooth rectifier: out = ln(1 + e^(βx))/β, ∂out/∂x = σ(βx).

    Computed as max(x, 0) + ln(1 + e^(−|βx|))/β, which overflows nowhere.
    """
    expect(beta > 0, "softplus", "beta > 0", beta, ArgumentError)
    xp = xp_of(x)
    return xp.maximum(x, 0) + xp.log1p(xp.exp(-beta * xp.abs(x))) / beta


softplus.vjp(x=lambda g, x, beta: g * sigmoid(beta * x))


@primitive(samples=_SAMPLES, bench=_BENCH)
def softsign(x):
    """Softsign: out = x/(1 + |x|), ∂out/∂x = 1/(1 + |x|)²."""
    return x / (1 + xp_of(x).abs(x))


softsign.vjp(x=lambda g, x: g / square(1 + abs(x)))
