"""Softmax and its logarithm."""

from __future__ import annotations

from tinygrad_seq.backend import xp_of
from tinygrad_seq.ops.exponential import exp
from tinygrad_seq.ops.primitive import primitive
from tinygrad_seq.ops.reductions import sum
from tinygrad_seq.ops.sample import Sample

_SAMPLES = [Sample((3, 4)), Sample((2, 3, 4), axis=1)]
_BENCH = Sample((4096, 256))


@primitive(samples=_SAMPLES, bench=_BENCH)
def softmax(x, axis=-1):
    """Normalised exponentials along an axis: out = eˣ / Σ eˣ, computed from x − max x."""
    e = xp_of(x).exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


softmax.vjp(x=lambda g, out, axis: out * (g - sum(g * out, axis=axis, keepdims=True)))


@primitive(samples=_SAMPLES, bench=_BENCH)
def log_softmax(x, axis=-1):
    """Logarithm of softmax along an axis: out = x − max x − ln Σ e^(x − max x)."""
    shifted = x - x.max(axis=axis, keepdims=True)
    xp = xp_of(x)
    return shifted - xp.log(xp.exp(shifted).sum(axis=axis, keepdims=True))


log_softmax.vjp(x=lambda g, out, axis: g - exp(out) * sum(g, axis=axis, keepdims=True))
