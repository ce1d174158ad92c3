"""Exponentials, logarithms and roots, elementwise."""

from __future__ import annotations

import numpy as np

from tinygrad_seq.backend import xp_of
from tinygrad_seq.ops.primitive import primitive
from tinygrad_seq.ops.sample import Sample, Uniform

_ANY = [Sample((3, 4)), Sample(())]
_POSITIVE = [Sample(Uniform((3, 4), 0.2, 3)), Sample(Uniform((), 0.2, 3))]
_BENCH = Sample((1024, 1024))
_BENCH_POSITIVE = Sample(Uniform((1024, 1024), 0.2, 3))


@primitive(numpy=np.exp, samples=_ANY, bench=_BENCH, analytic=True)
def exp(x):
    """Exponential: out = eˣ = ∂out/∂x."""
    return xp_of(x).exp(x)


exp.vjp(x=lambda g, out: g * out)


@primitive(numpy=np.expm1, samples=_ANY, bench=_BENCH, analytic=True)
def expm1(x):
    """Exponential less one, exact for small x: out = eˣ − 1, ∂out/∂x = out + 1."""
    return xp_of(x).expm1(x)


expm1.vjp(x=lambda g, out: g * (out + 1))


@primitive(numpy=np.log, samples=_POSITIVE, bench=_BENCH_POSITIVE, analytic=True)
def log(x):
    """Natural logarithm: out = ln x, ∂out/∂x = 1/x. NaN for x < 0 and −∞ at 0, as in NumPy."""
    return xp_of(x).log(x)


log.vjp(x=lambda g, x: g / x)


@primitive(numpy=np.log1p, samples=[Sample(Uniform((3, 4), -0.8, 3)), Sample(())],
           bench=_BENCH_POSITIVE, analytic=True)  # fmt: skip
def log1p(x):
    """Logarithm of one more, exact for small x: out = ln(1 + x), ∂out/∂x = 1/(1 + x)."""
    return xp_of(x).log1p(x)


log1p.vjp(x=lambda g, x: g / (1 + x))


@primitive(numpy=np.sqrt, samples=_POSITIVE, bench=_BENCH_POSITIVE, analytic=True)
def sqrt(x):
    """Square root: out = √x, ∂out/∂x = 1/(2·out), infinite at 0. NaN for x < 0, as in NumPy."""
    return xp_of(x).sqrt(x)


sqrt.vjp(x=lambda g, out: g / (2 * out))


@primitive(numpy=np.square, samples=_ANY, bench=_BENCH, analytic=True)
def square(x):
    """Square: out = x², ∂out/∂x = 2x."""
    return xp_of(x).square(x)


square.vjp(x=lambda g, x: g * (2 * x))
