"""Lengths and sizes of vectors: norms, and the smooth maximum."""

from __future__ import annotations

import math

import numpy as np

from tinygrad_seq.backend import xp_of
from tinygrad_seq.errors import ArgumentError, OutOfRangeError, expect
from tinygrad_seq.ops.arithmetic import abs, sign
from tinygrad_seq.ops.choosing import where
from tinygrad_seq.ops.exponential import exp
from tinygrad_seq.ops.primitive import primitive
from tinygrad_seq.ops.reductions import axes_of, shares, spread
from tinygrad_seq.ops.sample import Bad, Sample

_BENCH = Sample((1024, 1024), axis=1)


def _kind(ord, ndim, axis):
    """1, 2 or ∞: which vector norm is meant. Norms of matrices as operators are refused."""
    axes = axes_of(ndim, axis)
    if ord is None or (ord == "fro" and len(axes) == 2):
        return 2
    expect(len(axes) == 1, "norm", "ord None or 'fro' over several axes, or one axis", repr(ord),
           ArgumentError)  # fmt: skip
    expect(ord in (1, 2, math.inf), "norm", "ord None, 1, 2 or inf", repr(ord), ArgumentError)
    return ord


@primitive(
    numpy=np.linalg.norm,
    samples=[
        Sample((3, 4)),
        Sample((3, 4), "fro"),
        Sample((3, 4), axis=1),
        Sample((3, 4), 1, axis=0),
        Sample((3, 4), 2, axis=-1, keepdims=True),
        Sample((3, 4), math.inf, axis=1),
        Sample((2, 3, 4), "fro", axis=(0, 2), keepdims=True),
        Sample((5,), 1),
    ],
    bad=[
        Bad(ArgumentError, "ord None, 1, 2 or inf", (3, 4), 3, axis=1),
        Bad(ArgumentError, "several axes", (3, 4), 2),
        Bad(OutOfRangeError, "axis", (3, 4), axis=2),
    ],
    bench=_BENCH,
)
def norm(x, ord=None, axis=None, keepdims=False):
    """Norm of the vectors along an axis, or of all elements of several axes (None: of all).

    ord: 2 or None, √Σx², and ``"fro"`` for two axes; 1, Σ|x|; inf, max |x|, one axis each.
    ∂out/∂x = x/out, sign x, and sign x at the largest, shared by equals. Of 0 the gradient is 0.
    """
    kind = _kind(ord, x.ndim, axis)
    xp = xp_of(x)
    if kind == 2:
        return xp.sqrt((x * x).sum(axis=axis, keepdims=keepdims))
    size = xp.abs(x)
    reduce = size.sum if kind == 1 else size.max
    return reduce(axis=axis, keepdims=keepdims)


def _norm_rule(g, x, out, ord, axis, keepdims):
    kind = _kind(ord, x.ndim, axis)
    if kind == 2:
        return spread(g / where(out == 0, 1, out), x.shape, axis, keepdims) * x
    if kind == 1:
        return spread(g, x.shape, axis, keepdims) * sign(x)
    hits = abs(x) == spread(out, x.shape, axis, keepdims)
    return shares(hits, g, x.shape, axis, keepdims) * sign(x)


norm.vjp(x=_norm_rule)


def finite_peak(x, axis):
    """The largest element along an axis, kept, or 0 where all are −∞: what to subtract before exp.

    With it e^(x − peak) overflows nowhere, and is 0, not NaN, where there is nothing but −∞.
    """
    peak = x.max(axis=axis, keepdims=True)
    return xp_of(x).where(peak == -math.inf, 0, peak)


def exp_from(x, peak):
    """e^(x − peak), with no more than one new array."""
    xp, d = xp_of(x), x - peak
    return xp.exp(d, out=d) if d.ndim and d.dtype.kind == "f" else xp.exp(d)


@primitive(
    samples=[
        Sample((3, 4)),
        Sample((3, 4), axis=1),
        Sample((2, 3, 4), axis=(0, -1), keepdims=True),
    ],
    bad=[Bad(OutOfRangeError, "axis", (3, 4), axis=2)],
    bench=_BENCH,
)
def logsumexp(x, axis=None, keepdims=False):
    """Smooth maximum over axes: out = ln Σ eˣ, ∂out/∂x = e^(x − out).

    Overflows nowhere; where all elements are −∞ so is out, and the gradient is 0.
    """
    xp = xp_of(x)
    peak = finite_peak(x, axis)
    total = exp_from(x, peak).sum(axis=axis, keepdims=True)
    out = xp.where(total == 0, -math.inf, xp.log(xp.where(total == 0, 1, total)) + peak)
    return out if keepdims else out.reshape(_reduced(x.shape, axis))


def _reduced(shape, axis):
    axes = axes_of(len(shape), axis)
    return tuple(n for i, n in enumerate(shape) if i not in axes)


def _logsumexp_rule(g, x, out, axis, keepdims):
    out = where(out == -math.inf, 0, out)
    return spread(g, x.shape, axis, keepdims) * exp(x - spread(out, x.shape, axis, keepdims))


logsumexp.vjp(x=_logsumexp_rule)
