"""Layer normalisation."""

from __future__ import annotations

import math

from tinygrad_seq.errors import ArgumentError, DTypeError, ShapeError, expect
from tinygrad_seq.ops.checks import expect_floats
from tinygrad_seq.ops.exponential import sqrt
from tinygrad_seq.ops.primitive import primitive
from tinygrad_seq.ops.reductions import mean
from tinygrad_seq.ops.sample import Bad, Integers, Sample


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
    bench=Sample((2048, 512), 512, (512,), (512,)),
    analytic=True,
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
    out, _ = _normalised(x, shape, eps)
    out = out if weight is None else out * weight
    return out if bias is None else out + bias


def _axes_shape(normalized_shape):
    if isinstance(normalized_shape, (tuple, list)):
        return tuple(normalized_shape)
    return (normalized_shape,)


def _wanted(shape):
    return f"(…, {', '.join(map(str, shape))})"


def _normalised(x, shape, eps):
    """x̂, and 1/√(σ² + ε)."""
    axes = tuple(range(-len(shape), 0))
    d = x - mean(x, axes, True)
    rate = 1 / sqrt(mean(d * d, axes, True) + eps)
    return d * rate, rate


@layer_norm.vjp_all
def _layer_norm_rule(g, needs, x, normalized_shape, weight, eps):
    # Computed again rather than kept: so it is right to every order, and holds less memory.
    shape = _axes_shape(normalized_shape)
    axes = tuple(range(-len(shape), 0))
    x_hat, rate = _normalised(x, shape, eps)
    h = g if weight is None else g * weight
    by_x = by_weight = None
    if needs[0]:
        by_x = rate * (h - mean(h, axes, True) - x_hat * mean(h * x_hat, axes, True))
    if needs[2]:
        by_weight = g * x_hat
    return by_x, by_weight, g
