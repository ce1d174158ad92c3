"""Kullback–Leibler divergence: how far a distribution is from another."""

from __future__ import annotations

from tinygrad_seq.backend import xp_of
from tinygrad_seq.errors import ArgumentError, DTypeError, ShapeError, expect
from tinygrad_seq.ops.checks import REDUCTIONS, expect_floats
from tinygrad_seq.ops.choosing import where
from tinygrad_seq.ops.exponential import exp, log
from tinygrad_seq.ops.losses import reduced, share
from tinygrad_seq.ops.primitive import primitive
from tinygrad_seq.ops.sample import Bad, Integers, Sample, Uniform

_POSITIVE = Uniform((3, 4), 0.1, 1)


@primitive(
    samples=[
        Sample((3, 4), _POSITIVE),
        Sample((3, 4), _POSITIVE, "batchmean"),
        Sample((3, 4), _POSITIVE, reduction="none"),
        Sample((3, 4), (3, 4), "sum", True),
        Sample((3, 4), (3, 4), "batchmean", log_target=True),
        Sample((), Uniform((), 0.1, 1)),
    ],
    bad=[
        Bad(ShapeError, "target of shape (3, 4)", (3, 4), Uniform((4,))),
        Bad(DTypeError, "x of a floating dtype", Integers((3, 4), 0, 5), _POSITIVE),
        Bad(DTypeError, "target of a floating dtype", (3, 4), Integers((3, 4), 0, 5)),
        Bad(ArgumentError, "reduction mean | sum | none | batchmean", (3, 4), _POSITIVE, "average"),
        Bad(ShapeError, "a batch of one or more", (), Uniform(()), "batchmean"),
        Bad(ShapeError, "at least one element", (0, 4), (0, 4)),
    ],
    bench=Sample((1024, 1024), Uniform((1024, 1024), 0.1, 1)),
)
def kl_div(x, target, reduction="mean", log_target=False):
    """Divergence of exp x from the target t, in nats: t·(ln t − x), elementwise before reduction.

    x: log-probabilities. target: probabilities, or with ``log_target`` their logarithms, of x's
    shape. reduction: ``"batchmean"``, the sum over x.shape[0], gives D(t ‖ exp x) for
    distributions (B, …); ``"mean"`` is over all elements, as PyTorch has it.

    ∂/∂x = −t, ∂/∂t = ln t + 1 − x, where at t = 0 that of t ln t counts as 0 (PyTorch gives NaN);
    ∂/∂ln t = t·(ln t + 1 − x). (Kullback and Leibler 1951, On Information and Sufficiency.)
    """
    expect_floats("kl_div", "x", x)
    expect_floats("kl_div", "target", target)
    expect(x.shape == target.shape, "kl_div", f"target of shape {x.shape}", target.shape)
    known = (*REDUCTIONS, "batchmean")
    ok = reduction in known
    expect(ok, "kl_div", f"reduction {' | '.join(known)}", repr(reduction), ArgumentError)
    xp = xp_of(x, target)
    if log_target:
        loss = xp.exp(target) * (target - x)
    else:
        zero = target == 0
        loss = target * (xp.log(xp.where(zero, 1, target)) - xp.where(zero, 0, x))
    if reduction != "batchmean":
        return reduced("kl_div", loss, reduction)
    expect(loss.ndim and loss.size, "kl_div", "a batch of one or more", loss.shape)
    return loss.sum() / loss.shape[0]


def _share(g, shape, reduction):
    """The gradient of each element's loss."""
    return g / shape[0] if reduction == "batchmean" else share(g, shape, reduction)


def _by_target(g, x, target, reduction, log_target):
    g = _share(g, x.shape, reduction)
    if log_target:
        return g * (exp(target) * (target + 1 - x))
    zero = target == 0
    return g * (where(zero, 0, log(where(zero, 1, target)) + 1) - x)


kl_div.vjp(
    x=lambda g, target, reduction, log_target: (
        -_share(g, target.shape, reduction) * (exp(target) if log_target else target)
    ),
    target=_by_target,
)
