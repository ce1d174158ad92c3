"""Losses that compare numbers: squared error, and cross entropy of yes-or-no answers.

``reduction`` is ``"mean"``, ``"sum"`` or ``"none"``, over all elements, as in PyTorch.
"""

from __future__ import annotations

import math

from tinygrad_seq.errors import ArgumentError, DTypeError, ShapeError, expect
from tinygrad_seq.ops.activations import sigmoid, softplus
from tinygrad_seq.ops.checks import expect_floats, expect_reduction
from tinygrad_seq.ops.primitive import primitive
from tinygrad_seq.ops.sample import Bad, Integers, Sample, Uniform


def reduced(op, loss, reduction):
    """The losses as they are, their sum or their mean."""
    expect_reduction(op, reduction)
    if reduction == "none":
        return loss
    ok = loss.size or reduction == "sum"
    expect(ok, op, "at least one element to take the mean of", loss.shape)
    return loss.mean() if reduction == "mean" else loss.sum()


def share(g, shape, reduction):
    """The gradient of each single loss, from that of the reduced one."""
    return g / math.prod(shape) if reduction == "mean" else g


def _expect_match(op, x, target):
    expect_floats(op, "x", x)
    expect_floats(op, "target", target)
    expect(x.shape == target.shape, op, f"target of shape {x.shape}", target.shape)


@primitive(
    samples=[
        Sample((3, 4), (3, 4)),
        Sample((3, 4), (3, 4), "sum"),
        Sample((3, 4), (3, 4), reduction="none"),
        Sample((), ()),
    ],
    bad=[
        Bad(ShapeError, "target of shape (3, 4)", (3, 4), (3, 1)),
        Bad(DTypeError, "floating", (3, 4), Integers((3, 4), 0, 5)),
        Bad(ArgumentError, "reduction", (3, 4), (3, 4), "average"),
        Bad(ShapeError, "at least one element", (0, 4), (0, 4)),
    ],
    bench=Sample((1024, 1024), (1024, 1024)),
    analytic=True,
)
def mse_loss(x, target, reduction="mean"):
    """Squared error: (x − target)², averaged, summed or neither; ∂/∂x = 2(x − target)."""
    _expect_match("mse_loss", x, target)
    d = x - target
    return reduced("mse_loss", d * d, reduction)


def _mse_rule(g, x, target, reduction):
    return share(g, x.shape, reduction) * (2 * (x - target))


mse_loss.vjp(
    x=_mse_rule,
    target=lambda g, x, target, reduction: _mse_rule(g, target, x, reduction),
)

_BCE = "binary_cross_entropy_with_logits"


@primitive(
    samples=[
        Sample((3, 4), Uniform((3, 4))),
        Sample((3, 4), Uniform((3, 4)), reduction="sum"),
        Sample((3, 4), Uniform((3, 4)), Uniform((4,)), "none", Uniform((3, 4), 0.5, 2)),
        Sample((3, 4), Uniform((3, 4)), None, "mean", Uniform((4,), 0.5, 2)),
        Sample((), Uniform(())),
    ],
    bad=[
        Bad(ShapeError, "target of shape (3, 4)", (3, 4), Uniform((3,))),
        Bad(DTypeError, "floating", (3, 4), Integers((3, 4), 0, 2)),
        Bad(ArgumentError, "reduction", (3, 4), Uniform((3, 4)), None, "average"),
        Bad(ShapeError, "broadcast", (3, 4), Uniform((3, 4)), Uniform((3,))),
        Bad(ShapeError, "weight that broadcasts", (3, 4), Uniform((3, 4)), Uniform((2, 3, 4))),
    ],
    nondiff=("weight", "pos_weight"),
    bench=Sample((1024, 1024), Uniform((1024, 1024))),
)
def binary_cross_entropy_with_logits(x, target, weight=None, reduction="mean", pos_weight=None):
    """Cross entropy of σ(x) with probabilities t, each a yes-or-no answer, from the logits x:

    w·[(1 − t)·x + (1 + (p − 1)·t)·ln(1 + e⁻ˣ)] = −w·[p·t·ln σ(x) + (1 − t)·ln(1 − σ(x))].

    weight (w) and pos_weight (p, what a yes counts against a no) broadcast to x's shape.
    """
    _expect_match(_BCE, x, target)
    loss = (1 - target) * x + _yes(target, pos_weight) * softplus(-x)
    loss = loss if weight is None else loss * weight
    ok = loss.shape == x.shape
    expect(ok, _BCE, f"a weight that broadcasts to {x.shape}", f"one that gives {loss.shape}")
    return reduced(_BCE, loss, reduction)


def _yes(target, pos_weight):
    """What ln(1 + e⁻ˣ) counts."""
    return 1 if pos_weight is None else 1 + (pos_weight - 1) * target


def _bce_x(g, x, target, weight, reduction, pos_weight):
    g = share(g, x.shape, reduction)
    g = g if weight is None else g * weight
    return g * ((1 - target) - _yes(target, pos_weight) * sigmoid(-x))


def _bce_target(g, x, weight, reduction, pos_weight):
    g = share(g, x.shape, reduction)
    g = g if weight is None else g * weight
    return g * (-x if pos_weight is None else (pos_weight - 1) * softplus(-x) - x)


binary_cross_entropy_with_logits.vjp(x=_bce_x, target=_bce_target)
