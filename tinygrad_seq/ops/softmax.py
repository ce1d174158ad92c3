"""Softmax and its logarithm.

Both subtract the largest element first and so overflow nowhere. Where all elements are −∞
(everything masked) softmax is 0, not NaN, and so are the gradients of both.
"""

from __future__ import annotations

from tinygrad_seq.backend import xp_of
from tinygrad_seq.errors import OutOfRangeError, ShapeError
from tinygrad_seq.ops.exponential import exp
from tinygrad_seq.ops.norms import exp_from, finite_peak
from tinygrad_seq.ops.primitive import primitive
from tinygrad_seq.ops.reductions import sum
from tinygrad_seq.ops.sample import Bad, Sample

_SAMPLES = [Sample((3, 4)), Sample((2, 3, 4), axis=1), Sample((5,))]
_BAD = [
    Bad(OutOfRangeError, "axis", (3, 4), axis=2),
    Bad(ShapeError, "zero-size", (3, 0)),
]
_BENCH = Sample((4096, 256))


@primitive(samples=_SAMPLES, bad=_BAD, bench=_BENCH)
def softmax(x, axis=-1):
    """Normalised exponentials along an axis: out = eˣ / Σ eˣ, ∂L/∂x = out·(g − Σ g·out)."""
    xp = xp_of(x)
    e = exp_from(x, finite_peak(x, axis))
    total = e.sum(axis=axis, keepdims=True)
    return e / xp.where(total == 0, 1, total)


softmax.vjp(x=lambda g, out, axis: out * (g - sum(g * out, axis=axis, keepdims=True)))


@primitive(samples=_SAMPLES, bad=_BAD, bench=_BENCH)
def log_softmax(x, axis=-1):
    """Logarithm of softmax along an axis: out = x − ln Σ eˣ, ∂L/∂x = g − softmax(x)·Σ g."""
    xp = xp_of(x)
    shifted = x - finite_peak(x, axis)
    total = xp.exp(shifted).sum(axis=axis, keepdims=True)
    return shifted - xp.log(xp.where(total == 0, 1, total))


log_softmax.vjp(x=lambda g, out, axis: g - exp(out) * sum(g, axis=axis, keepdims=True))
