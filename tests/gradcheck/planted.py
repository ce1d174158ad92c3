"""Ops with a derivative that is wrong in a known way. Their forward is right."""

from __future__ import annotations

import numpy as np

from tinygrad_seq import ops
from tinygrad_seq.backend import xp_of
from tinygrad_seq.ops.primitive import Primitive


def op(forward, **rules):
    """A primitive that no registry knows."""
    return Primitive(forward, name="planted").vjp(**rules)


def _tanh(x):
    return xp_of(x).tanh(x)


def _scaled(factor):
    return op(_tanh, x=lambda g, out: factor * g * (1 - out * out))


class _Stale:
    """A rule that answers with what it saw when it was first called."""

    def __init__(self):
        self.seen = None

    def __call__(self, x):
        out = _tanh(x)
        if self.seen is None:
            self.seen = 1.1 * out
        return out


def _stale():
    kept = _Stale()
    return op(lambda x: kept(x), x=lambda g: g * (1 - kept.seen**2))


def _one_element(g, out):
    right = g * (1 - out * out)
    mask = np.ones(out.shape)
    mask.flat[-1] = -1.0
    return right * mask


def _broken_product(g, a, b):
    return ops.matmul(ops.transpose(g), ops.transpose(b))  # should be g @ bᵀ


def _bilinear(a, b):
    return a * b + b


def _matmul(a, b):
    return a @ b


X = (3, 3)
# name → (function, shapes of its inputs)
WRONG = {
    "sign": (_scaled(-1.0), [X]),
    "scale 1.001": (_scaled(1.001), [X]),
    "scale 2": (_scaled(2.0), [X]),
    "zero": (_scaled(0.0), [X]),
    "missing chain rule": (op(_tanh, x=lambda g: g), [X]),
    "missing term": (op(_bilinear, a=lambda g, b: g * b, b=lambda g, a: g * a), [X, X]),
    "transposed": (
        op(_matmul, a=_broken_product, b=lambda g, a: ops.matmul(ops.transpose(a), g)),
        [X, X],
    ),
    "shifted": (op(_tanh, x=lambda g, out: ops.getitem(g * (1 - out * out), [1, 2, 0])), [X]),
    "mean for sum": (
        op(lambda x: x.sum(axis=0), x=lambda g, x_shape: ops.broadcast_to(g / 3, x_shape)),
        [X],
    ),
    "missing broadcast sum": (
        op(
            lambda a, b: a + b,
            a=lambda g: g,
            b=lambda g, b_shape: ops.broadcast_to(ops.getitem(g, slice(0, 1)), b_shape),
        ),
        [X, (1, 3)],
    ),
    "one element": (op(_tanh, x=_one_element), [X]),
    "stale": (_stale(), [X]),
    "not a number": (op(_tanh, x=lambda g: g * np.nan), [X]),
    "infinite": (op(_tanh, x=lambda g: g * np.inf), [X]),
}


def inputs_of(shapes, seed=0):
    """Standard normal inputs of these shapes."""
    rng = np.random.default_rng(seed)
    return tuple(rng.standard_normal(shape) for shape in shapes)
