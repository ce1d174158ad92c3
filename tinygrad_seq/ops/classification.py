"""Losses that compare a distribution over classes with the right class.

Both are −Σ_c q_c·ln p_c for each place, with coefficients q made from the targets: for a label y,
q is the class weight w_y at y and 0 elsewhere; label smoothing s moves a share s of it evenly to
all classes; a place with the label ``ignore_index`` has q = 0. The mean over places divides by the
sum of w_y over those that count, as in PyTorch, and is taken into q.

x is (N, C), (N, C, d₁, …) or (C,): classes on axis 1, or 0 where it is the only one. Labels are
integers of x's shape without the class axis.
"""

from __future__ import annotations

import math

import numpy as np

from tinygrad_seq.backend import to_host, xp_of
from tinygrad_seq.errors import ArgumentError, DTypeError, OutOfRangeError, ShapeError, expect
from tinygrad_seq.ops.checks import expect_floats, expect_integers, expect_reduction
from tinygrad_seq.ops.primitive import primitive
from tinygrad_seq.ops.reductions import sum
from tinygrad_seq.ops.sample import Bad, Integers, Sample, Uniform
from tinygrad_seq.ops.shaping import expand_dims
from tinygrad_seq.ops.softmax import log_softmax, softmax


def _axis(shape):
    """Where the classes are."""
    return 1 if len(shape) > 1 else 0


def _per_class(weight, shape):
    """Class weights, shaped to multiply an array of ``shape``."""
    return weight.reshape((-1,) + (1,) * (len(shape) - 1 - _axis(shape)))


def _check_labels(op, x_shape, target, ignore_index, mean):
    """Refuse labels that are no class; one wait for the device. → which places count."""
    axis = _axis(x_shape)
    places, classes = x_shape[:axis] + x_shape[axis + 1 :], x_shape[axis]
    expect_integers(op, "labels", target)
    expect(target.shape == places, op, f"labels of shape {places}", target.shape)
    xp, counts = xp_of(target), target != ignore_index
    if target.size:
        known = xp.where(counts, target, 0)
        found = to_host(xp.stack([known.min(), known.max(), counts.sum()])).tolist()
    else:
        found = [0, 0, 0]
    least, most, n = found
    wrong = least if least < 0 else most
    expect(0 <= wrong < classes, op, f"labels in [0, {classes})", wrong, OutOfRangeError)
    what = f"at least one label that is not ignored (ignore_index {ignore_index})"
    expect(n or not mean, op, what, "none", ArgumentError)
    return counts


def _from_labels(op, shape, dtype, target, weight, ignore_index, smoothing, mean):
    """The coefficients q for integer labels."""
    counts = _check_labels(op, shape, target, ignore_index, mean)
    xp, axis = xp_of(target), _axis(shape)
    classes = _per_class(xp.arange(shape[axis]), shape)
    hot = (xp.expand_dims(target, axis) == classes) & xp.expand_dims(counts, axis)
    q = hot.astype(dtype)
    if weight is not None:
        q = q * _per_class(weight, shape)
    total = q.sum() if mean else None
    if smoothing:
        everywhere = xp.expand_dims(counts, axis).astype(dtype) * (smoothing / shape[axis])
        q = (1 - smoothing) * q + (
            everywhere if weight is None else everywhere * _per_class(weight, shape)
        )
    return q / total if mean else q


def _coefficients(shape, dtype, target, weight, ignore_index, smoothing, reduction):
    """q for cross_entropy. For probability targets the mean divides by the number of places."""
    mean = reduction == "mean"
    if target.dtype.kind != "f":
        return _from_labels("cross_entropy", shape, dtype, target, weight, ignore_index,
                            smoothing, mean)  # fmt: skip
    q = (1 - smoothing) * target + smoothing / shape[_axis(shape)] if smoothing else target
    return q * _scale(shape, weight, mean)


def _scale(shape, weight, mean):
    """What multiplies probability targets: class weights, and the mean over places."""
    n = math.prod(shape) // shape[_axis(shape)] if mean else 1
    return 1 / n if weight is None else _per_class(weight, shape) / n


def _total(q, log_p, reduction):
    """−Σ q·log p over classes, and over places unless ``"none"``; 0 · −∞ is 0."""
    loss = -(q * xp_of(q).where(q == 0, 0, log_p))
    return loss.sum(axis=_axis(q.shape)) if reduction == "none" else loss.sum()


def _check(op, x, weight, reduction):
    expect_reduction(op, reduction)
    expect_floats(op, "x", x)
    ok = x.ndim and x.shape[_axis(x.shape)]
    expect(ok, op, "x of shape (N, C, …) or (C,) with at least one class", x.shape)
    classes = x.shape[_axis(x.shape)]
    ok = weight is None or weight.shape == (classes,)
    expect(ok, op, f"weight of shape ({classes},)", weight is not None and weight.shape)


def _give(g, shape, reduction):
    """The gradient of each place's loss, with a class axis."""
    return expand_dims(g, _axis(shape)) if reduction == "none" else g


_LABELS = [
    Sample((4, 5), Integers((4,), 0, 5)),
    Sample((5,), Integers((), 0, 5)),
    Sample((2, 5, 3), Integers((2, 3), 0, 5), reduction="sum"),
    Sample((4, 5), Integers((4,), 0, 5), Uniform((5,), 0.5, 2), reduction="none"),
    Sample((4, 5), np.array([1, 2, 1, 4]), Uniform((5,), 0.5, 2), 1),
]
_BAD_LABELS = [
    Bad(OutOfRangeError, "labels in [0, 5), got 5", (2, 5), np.array([5, 0])),
    Bad(OutOfRangeError, "labels in [0, 5), got -1", (2, 5), np.array([0, -1])),
    Bad(ShapeError, "labels of shape (4,)", (4, 5), Integers((5,), 0, 5)),
    Bad(ShapeError, "weight of shape (5,)", (4, 5), Integers((4,), 0, 5), (4,)),
    Bad(ShapeError, "x of shape (N, C, …)", (), Integers((), 0, 1)),
    Bad(ArgumentError, "not ignored", (2, 5), np.array([1, 1]), None, 1),
    Bad(ArgumentError, "reduction", (4, 5), Integers((4,), 0, 5), reduction="average"),
]


@primitive(
    samples=[
        *_LABELS,
        Sample((4, 5), Integers((4,), 0, 5), label_smoothing=0.1),
        Sample((4, 5), np.array([1, 2, 1, 4]), Uniform((5,), 0.5, 2), 1, label_smoothing=0.3),
        Sample((4, 5), Uniform((4, 5))),
        Sample((4, 5, 2), Uniform((4, 5, 2)), reduction="none", label_smoothing=0.2),
        Sample((4, 5), Uniform((4, 5)), Uniform((5,), 0.5, 2), label_smoothing=0.2),
    ],
    bad=[
        *_BAD_LABELS,
        Bad(ShapeError, "target of shape (4, 5)", (4, 5), Uniform((4, 4))),
        Bad(ArgumentError, "label_smoothing in [0, 1]", (2, 5), np.array([1, 0]),
            label_smoothing=1.5),
    ],
    nondiff=("weight",),
    bench=Sample((4096, 256), Integers((4096,), 0, 256)),
)  # fmt: skip
def cross_entropy(x, target, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
    """Cross entropy of softmax(x) with the target, in nats: −Σ_c q_c·ln softmax(x)_c.

    x: logits (N, C), (N, C, d₁, …) or (C,). target: labels in [0, C), integers of x's shape
    without the class axis, or probabilities, floating, of x's shape. weight (C,): what each class
    counts. ignore_index: a label that does not count. ∂L/∂x = softmax(x)·Σ_c q_c − q, see above.

    Raises OutOfRangeError for a label that is no class, and ArgumentError for a mean over no
    labels at all (PyTorch gives NaN).
    """
    _check("cross_entropy", x, weight, reduction)
    ok = 0 <= label_smoothing <= 1
    expect(ok, "cross_entropy", "label_smoothing in [0, 1]", label_smoothing, ArgumentError)
    if getattr(target, "dtype", np.dtype(int)).kind == "f":
        ok = target.shape == x.shape
        expect(ok, "cross_entropy", f"a target of shape {x.shape}", target.shape)
    q = _coefficients(x.shape, x.dtype, target, weight, ignore_index, label_smoothing, reduction)
    return _total(q, log_softmax(x, _axis(x.shape)), reduction)


def _by_logits(g, x, target, weight, ignore_index, reduction, label_smoothing):
    axis = _axis(x.shape)
    q = _coefficients(x.shape, x.dtype, target, weight, ignore_index, label_smoothing, reduction)
    return _give(g, x.shape, reduction) * (softmax(x, axis) * sum(q, axis, True) - q)


def _by_target(g, x, weight, reduction, label_smoothing):
    scale = (1 - label_smoothing) * _scale(x.shape, weight, reduction == "mean")
    return _give(g, x.shape, reduction) * (-scale * log_softmax(x, _axis(x.shape)))


cross_entropy.vjp(x=_by_logits, target=_by_target)


@primitive(
    samples=_LABELS,
    bad=[*_BAD_LABELS, Bad(DTypeError, "labels of an integer dtype", (4, 5), (4, 5))],
    nondiff=("target", "weight"),
    bench=Sample((4096, 256), Integers((4096,), 0, 256)),
)
def nll_loss(log_p, target, weight=None, ignore_index=-100, reduction="mean"):
    """Negative log likelihood: −w_y·log_p[y], for log-probabilities from ``log_softmax``.

    Shapes, options and errors as for ``cross_entropy``.
    """
    _check("nll_loss", log_p, weight, reduction)
    q = _from_labels("nll_loss", log_p.shape, log_p.dtype, target, weight, ignore_index, 0,
                     reduction == "mean")  # fmt: skip
    return _total(q, log_p, reduction)


def _nll_rule(g, log_p_shape, log_p, target, weight, ignore_index, reduction):
    q = _from_labels("nll_loss", log_p_shape, log_p.dtype, target, weight, ignore_index, 0,
                     reduction == "mean")  # fmt: skip
    return -_give(g, log_p_shape, reduction) * q


nll_loss.vjp(log_p=_nll_rule)
