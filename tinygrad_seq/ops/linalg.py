"""Products of vectors and matrices."""

from __future__ import annotations

import math

import numpy as np

from tinygrad_seq.errors import ShapeError, expect
from tinygrad_seq.ops.primitive import primitive
from tinygrad_seq.ops.sample import Bad, Sample
from tinygrad_seq.ops.shaping import reshape, swapaxes, transpose


@primitive(
    numpy=np.matmul,
    samples=[
        Sample((3, 4), (4, 5)),
        Sample((4,), (4,)),
        Sample((3, 4), (4,)),
        Sample((4,), (4, 5)),
        Sample((2, 3, 4), (4, 5)),
        Sample((2, 1, 3, 4), (5, 4, 2)),
        Sample((3, 4), (2, 4, 5)),
        Sample((4,), (2, 4, 3)),
        Sample((2, 3, 4), (4,)),
    ],
    bad=[
        Bad(ShapeError, "matmul", (3, 4), (3, 4)),
        Bad(ShapeError, "broadcast", (2, 3, 4), (3, 4, 5)),
        Bad(ShapeError, "matmul: cannot take", (), (4,)),
    ],
    bench=Sample((1024, 1024), (1024, 1024)),
    analytic=True,
)
def matmul(a, b):
    """Matrix product over the last two axes, the others broadcast: out = a @ b.

    ∂L/∂a = g bᵀ, ∂L/∂b = aᵀ g. A vector counts as a row on the left, as a column on the right.
    """
    return a @ b


def _as_matrices(g, a_shape, b_shape):
    """g with the axes back that matmul dropped for vectors."""
    if len(b_shape) == 1:
        g = reshape(g, (*g.shape, 1))
    if len(a_shape) == 1:
        g = reshape(g, (*g.shape[:-1], 1, g.shape[-1]))
    return g


def _matmul_a(g, a_shape, b, b_shape):
    g = _as_matrices(g, a_shape, b_shape)
    grad = matmul(g, swapaxes(b, -1, -2) if len(b_shape) > 1 else reshape(b, (1, -1)))
    return reshape(grad, (*grad.shape[:-2], -1)) if len(a_shape) == 1 else grad


def _matmul_b(g, a, a_shape, b_shape):
    g = _as_matrices(g, a_shape, b_shape)
    if len(b_shape) <= 2 < len(a_shape):
        # One product for the whole batch, not one for each matrix and a sum over them.
        a, g = rows(a), rows(g)
        a_shape = a.shape
    grad = matmul(swapaxes(a, -1, -2) if len(a_shape) > 1 else reshape(a, (-1, 1)), g)
    return reshape(grad, grad.shape[:-1]) if len(b_shape) == 1 else grad


def rows(x):
    """x with all axes but the last made one."""
    return reshape(x, (math.prod(x.shape[:-1]), x.shape[-1]))


matmul.vjp(a=_matmul_a, b=_matmul_b)


@primitive(
    samples=[
        Sample((3, 4), (5, 4), (5,)),
        Sample((2, 3, 4), (5, 4), (5,)),
        Sample((2, 3, 4), (5, 4)),
        Sample((4,), (5, 4), (5,)),
    ],
    bad=[
        Bad(ShapeError, "x of shape (…, 4)", (3, 5), (5, 4), (5,)),
        Bad(ShapeError, "weight of shape (out, in)", (3, 4), (4,)),
        Bad(ShapeError, "bias of shape (5,)", (3, 4), (5, 4), (4,)),
        Bad(ShapeError, "x of shape (…, 4)", (), (5, 4)),
    ],
    bench=Sample((2048, 512), (512, 512), (512,)),
    analytic=True,
)
def linear(x, weight, bias=None):
    """Affine map of the last axis: out = x Wᵀ + b.

    x (…, in), weight (out, in), bias (out,) or None → (…, out). ∂L/∂x = g W, ∂L/∂W = gᵀ x and
    ∂L/∂b = Σ g over all rows; each is one matrix product, whatever the number of axes.
    """
    expect(weight.ndim == 2, "linear", "weight of shape (out, in)", weight.shape)
    n_out, n_in = weight.shape
    ok = x.ndim and x.shape[-1] == n_in
    expect(ok, "linear", f"x of shape (…, {n_in})", x.shape)
    out = rows(x) @ weight.T if x.ndim > 2 else x @ weight.T
    if bias is not None:
        expect(bias.shape == (n_out,), "linear", f"bias of shape ({n_out},)", bias.shape)
        if out.ndim and out.dtype == bias.dtype:
            out += bias
        else:
            out = out + bias
    return out.reshape((*x.shape[:-1], n_out))


linear.vjp(
    x=lambda g, weight: matmul(g, weight),
    weight=lambda g, x: matmul(transpose(rows(g)), rows(x)),
    bias=lambda g: g,
)


@primitive(numpy=np.outer, samples=[Sample((3,), (4,)), Sample((2, 3), (4,))],
           bench=Sample((1024,), (1024,)), analytic=True)  # fmt: skip
def outer(a, b):
    """Outer product of two vectors, longer arrays flattened: out[i, j] = a[i]·b[j]."""
    return a.reshape(-1, 1) * b.reshape(1, -1)


outer.vjp(
    a=lambda g, b, a_shape: reshape(matmul(g, reshape(b, -1)), a_shape),
    b=lambda g, a, b_shape: reshape(matmul(reshape(a, -1), g), b_shape),
)
