"""Activation functions, elementwise."""

from __future__ import annotations

import numpy as np

from tinygrad_seq.backend import xp_of
from tinygrad_seq.ops.primitive import primitive
from tinygrad_seq.ops.sample import Sample


@primitive(numpy=np.tanh, samples=[Sample((3, 4)), Sample(())], bench=Sample((1024, 1024)),
           analytic=True)  # fmt: skip
def tanh(x):
    """Hyperbolic tangent: out = tanh x, ∂out/∂x = 1 − out²."""
    return xp_of(x).tanh(x)


tanh.vjp(x=lambda g, out: g * (1 - out * out))


@primitive(samples=[Sample((3, 4)), Sample(())], bench=Sample((1024, 1024)), analytic=True)
def sigmoid(x):
    """Logistic function: out = 1/(1 + e⁻ˣ) = (1 + tanh(x/2))/2, ∂out/∂x = out·(1 − out).

    The form with tanh overflows nowhere.
    """
    return 0.5 * xp_of(x).tanh(0.5 * x) + 0.5


sigmoid.vjp(x=lambda g, out: g * (out * (1 - out)))


@primitive(samples=[Sample((3, 4)), Sample(())], bench=Sample((1024, 1024)))
def relu(x):
    """Rectifier: out = max(x, 0), ∂out/∂x = 1 where x > 0, else 0."""
    return xp_of(x).maximum(x, 0)


relu.vjp(x=lambda g, out: g * (out > 0))
