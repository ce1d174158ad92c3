"""Sine, cosine and the error function, elementwise."""

from __future__ import annotations

import math

import numpy as np

from tinygrad_seq.backend import xp_of
from tinygrad_seq.errors import DTypeError
from tinygrad_seq.kernels import kernel
from tinygrad_seq.ops.checks import expect_floats
from tinygrad_seq.ops.exponential import exp
from tinygrad_seq.ops.primitive import primitive
from tinygrad_seq.ops.sample import Bad, Integers, Sample

_SAMPLES = [Sample((3, 4)), Sample(())]
_BENCH = Sample((1024, 1024))


@primitive(numpy=np.sin, samples=_SAMPLES, bench=_BENCH, analytic=True)
def sin(x):
    """Sine of x in radians: ∂out/∂x = cos x."""
    return xp_of(x).sin(x)


@primitive(numpy=np.cos, samples=_SAMPLES, bench=_BENCH, analytic=True)
def cos(x):
    """Cosine of x in radians: ∂out/∂x = −sin x."""
    return xp_of(x).cos(x)


sin.vjp(x=lambda g, x: g * cos(x))
cos.vjp(x=lambda g, x: -g * sin(x))


@primitive(samples=_SAMPLES, bad=[Bad(DTypeError, "floating", Integers((3,), 0, 3))],
           bench=_BENCH)  # fmt: skip
def erf(x):
    """Error function: out = 2/√π ∫₀ˣ e^(−t²) dt, ∂out/∂x = 2/√π · e^(−x²)."""
    expect_floats("erf", "x", x)
    return kernel("erf", x).erf(x)


erf.vjp(x=lambda g, x: g * (2 / math.sqrt(math.pi) * exp(-x * x)))
