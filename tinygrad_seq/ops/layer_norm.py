"""Layer normalisation."""

from __future__ import annotations

import math

from tinygrad_seq.errors import ArgumentError, DTypeError, ShapeError, expect
from tinygrad_seq.kernels import kernel
from tinygrad_seq.ops.checks import expect_floats
from tinygrad_seq.ops.exponential import sqrt
from tinygrad_seq.ops.primitive import primitive
from tinygrad_seq.ops.reductions import mean
from tinygrad_seq.ops.sample import Bad, Integers, Sample


def _composed(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """What ``layer_norm`` computes, in primitives."""
    axes = tuple(range(-len(_axes_shape(normalized_shape)), 0))
    d = x - mean(x, axes, True)
    out = d * (1 / sqrt(mean(d * d, axes, True) + eps))
    out = out if weight is None else out * weight
    return out if bias is None else out + bias


@primitive(
    samples=[
        Sample((3, 4), 4, (4,), (4,)),
        Sample((2, 3, 4), 4),
        Sample((2, 3, 4), [3, 4], (3, 4), (3, 4)),
        Sample((3, 4), 4, (4,)),
        Sample((3, 4), 4, None, (4,), 0.1),
    ],
    bad=[
        Bad(ShapeError, "x of shape (…, 5)", (3, 4), 5),
        Bad(ShapeError, "weight of shape (4,)", (3, 4), 4, (3,)),
        Bad(ShapeError, "bias of shape (4,)", (3, 4), 4, None, (3, 4)),
        Bad(ShapeError, "at least one", (3, 4), []),
        Bad(ShapeError, "at least one", (3, 0), 0),
        Bad(ArgumentError, "eps ≥ 0", (3, 4), 4, eps=-1),
        Bad(DTypeError, "floating", Integers((3, 4), 0, 5), 4),
    ],
    nondiff=("normalized_shape",),
    residuals=("mu", "rate"),
    composition=_composed,
    bench=Sample((2048, 512), 512, (512,), (512,)),
)
def layer_norm(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Each vector brought to mean 0 and variance 1, then scaled and shifted:

    out = x̂·weight + bias, x̂ = (x − μ)/√(σ² + ε), μ and σ² over the last axes.

    normalized_shape: the sizes of those axes, one or several; weight and bias of that shape, or
    None. ∂L/∂x = (h − mean h − x̂·mean(h·x̂))/√(σ² + ε) with h = g·weight. (Ba et al. 2016)
    """
    shape = _axes_shape(normalized_shape)
    expect_floats("layer_norm", "x", x)
    expect(math.prod(shape) and shape, "layer_norm", "at least one element to normalise", shape)
    expect(x.shape[-len(shape) :] == shape, "layer_norm", f"x of shape {_wanted(shape)}", x.shape)
    for name, value in (("weight", weight), ("bias", bias)):
        ok = value is None or value.shape == shape
        expect(ok, "layer_norm", f"{name} of shape {shape}", getattr(value, "shape", value))
    expect(eps >= 0, "layer_norm", "eps ≥ 0", eps, ArgumentError)
    rows, w, b = _flat(shape, x, weight, bias)
    out, mu, rate = kernel("layer_norm", x).forward(rows, w, b, eps)
    return out.reshape(x.shape), mu, rate


def _axes_shape(normalized_shape):
    if isinstance(normalized_shape, (tuple, list)):
        return tuple(normalized_shape)
    return (normalized_shape,)


def _wanted(shape):
    return f"(…, {', '.join(map(str, shape))})"


def _flat(shape, x, *others):
    """x with a row for each vector, and what has the shape of one along one axis."""
    width = math.prod(shape)
    rows = x.reshape(math.prod(x.shape[: len(x.shape) - len(shape)]), width)
    return rows, *(None if a is None else a.reshape(width) for a in others)


@layer_norm.vjp_all
def _layer_norm_rule(g, needs, x, normalized_shape, weight, mu, rate):
    shape = _axes_shape(normalized_shape)
    rows, w = _flat(shape, x, weight)
    (gs,) = _flat(shape, g)
    wanted = (needs[0], needs[2], needs[3])
    by_x, by_weight, by_bias = kernel("layer_norm", x).backward(gs, rows, w, mu, rate, wanted)
    return (None if by_x is None else by_x.reshape(x.shape),
            *(None if d is None else d.reshape(shape) for d in (by_weight, by_bias)))  # fmt: skip
