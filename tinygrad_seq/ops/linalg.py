"""Matrix products."""

from __future__ import annotations

import numpy as np

from tinygrad_seq.errors import ShapeError
from tinygrad_seq.ops.primitive import primitive
from tinygrad_seq.ops.sample import Bad, Sample
from tinygrad_seq.ops.shaping import reshape, swapaxes


@primitive(
    numpy=np.matmul,
    samples=[
        Sample((3, 4), (4, 5)),
        Sample((4,), (4,)),
        Sample((3, 4), (4,)),
        Sample((4,), (4, 5)),
        Sample((2, 3, 4), (4, 5)),
        Sample((2, 1, 3, 4), (5, 4, 2)),
        Sample((4,), (2, 4, 3)),
        Sample((2, 3, 4), (4,)),
    ],
    bad=[Bad(ShapeError, "matmul", (3, 4), (3, 4))],
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
    grad = matmul(swapaxes(a, -1, -2) if len(a_shape) > 1 else reshape(a, (-1, 1)), g)
    return reshape(grad, grad.shape[:-1]) if len(b_shape) == 1 else grad


matmul.vjp(a=_matmul_a, b=_matmul_b)
