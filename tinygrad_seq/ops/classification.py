"""Losses that compare a distribution over classes with the right class.

x is (N, C), (N, C, d₁, …) or (C,): classes on axis 1, or 0 where it is the only one. Labels are
integers of x's shape without the class axis, called the places.

A place with label y counts c = w_y/W: its class weight over the sum of those of all places, which
is the mean; for the other reductions c = w_y. A place with the label ``ignore_index`` counts 0.
Label smoothing s takes a share s of each place and spreads it evenly over all classes, where it
counts w_k/W at class k.
"""

from __future__ import annotations

import math

import numpy as np

from tinygrad_seq.backend import to_host, xp_of
from tinygrad_seq.errors import ArgumentError, DTypeError, OutOfRangeError, ShapeError, expect
from tinygrad_seq.ops.checks import expect_floats, expect_integers, expect_reduction
from tinygrad_seq.ops.norms import logsumexp
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


def _check(op, x, weight, reduction):
    expect_reduction(op, reduction)
    expect_floats(op, "x", x)
    ok = x.ndim and x.shape[_axis(x.shape)]
    expect(ok, op, "x of shape (N, C, …) or (C,) with at least one class", x.shape)
    classes = x.shape[_axis(x.shape)]
    ok = weight is None or weight.shape == (classes,)
    expect(ok, op, f"weight of shape ({classes},)", weight is not None and weight.shape)


def _check_labels(op, x_shape, target, ignore_index, mean):
    """Refuse labels that are no class; one wait for the device. → which places count."""
    axis = _axis(x_shape)
    places, classes = x_shape[:axis] + x_shape[axis + 1 :], x_shape[axis]
    expect_integers(op, "labels", target)
    expect(target.shape == places, op, f"labels of shape {places}", target.shape)
    xp, counts = xp_of(target), target != ignore_index
    least = most = n = 0
    if target.size:
        known = xp.where(counts, target, 0)
        found = xp.stack([known.min(), known.max(), counts.sum()])
        least, most, n = to_host(found).tolist()
    wrong = least if least < 0 else most
    expect(0 <= wrong < classes, op, f"labels in [0, {classes})", wrong, OutOfRangeError)
    what = f"at least one label that is not ignored (ignore_index {ignore_index})"
    expect(n or not mean, op, what, "none", ArgumentError)
    return counts


def _labels(op, x, target, weight, ignore_index, mean):
    """All that labels say, and no gradient depends on, each with a class axis:

    where the label is, what each place counts, what each counts in label smoothing; and a function
    that takes what stands at the labels (0 where one is ignored).
    """
    counts = _check_labels(op, x.shape, target, ignore_index, mean)
    xp, axis = xp_of(target), _axis(x.shape)
    counts = xp.expand_dims(counts, axis)
    known = xp.where(counts, xp.expand_dims(target, axis), 0)
    hot = (known == _per_class(xp.arange(x.shape[axis]), x.shape)) & counts
    c = even = counts.astype(x.dtype)
    if weight is not None:
        c = even * weight.astype(x.dtype)[known]
    if mean:
        total = c.sum()
        c, even = c / total, even / total

    def at_label(values):
        return xp.where(counts, xp.take_along_axis(values, known, axis), 0)

    return hot, c, even, at_label


def _gathered(loss, reduction):
    """The losses of all places, or their sum (the mean is in what they count)."""
    return loss.squeeze(axis=_axis(loss.shape)) if reduction == "none" else loss.sum()


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
    residuals=("hot", "c", "even"),
    bench=Sample((4096, 256), Integers((4096,), 0, 256)),
)  # fmt: skip
def cross_entropy(x, target, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
    """Cross entropy of softmax(x) with the target, in nats: −Σ_k q_k·ln softmax(x)_k.

    x: logits (N, C), (N, C, d₁, …) or (C,). target: labels in [0, C), integers of x's shape
    without the class axis, or probabilities, floating, of x's shape. weight (C,): what each class
    counts. ignore_index: a label that does not count. ∂L/∂x = softmax(x)·Σ_k q_k − q.

    Raises OutOfRangeError for a label that is no class, and ArgumentError for a mean over no
    labels at all (PyTorch gives NaN).
    """
    _check("cross_entropy", x, weight, reduction)
    ok = 0 <= label_smoothing <= 1
    expect(ok, "cross_entropy", "label_smoothing in [0, 1]", label_smoothing, ArgumentError)
    axis = _axis(x.shape)
    if getattr(target, "dtype", np.dtype(int)).kind == "f":
        ok = target.shape == x.shape
        expect(ok, "cross_entropy", f"a target of shape {x.shape}", target.shape)
        q = _probabilities(target, weight, reduction, label_smoothing)
        loss = (q * -xp_of(x).where(q == 0, 0, log_softmax(x, axis))).sum(axis=axis, keepdims=True)
        return _gathered(loss, reduction), None, None, None
    hot, c, even, at_label = _labels("cross_entropy", x, target, weight, ignore_index,
                                     reduction == "mean")  # fmt: skip
    loss = (1 - label_smoothing) * c * (logsumexp(x, axis, keepdims=True) - at_label(x))
    if label_smoothing:
        spread = -log_softmax(x, axis)
        spread = spread if weight is None else spread * _per_class(weight, x.shape)
        loss = loss + label_smoothing * even * spread.mean(axis=axis, keepdims=True)
    return _gathered(loss, reduction), hot, c, even


def _probabilities(target, weight, reduction, smoothing):
    """What each class of each place counts for probability targets: the mean is over places."""
    q = (1 - smoothing) * target + smoothing / target.shape[_axis(target.shape)]
    return (q if smoothing else target) * _scale(target.shape, weight, reduction)


def _scale(shape, weight, reduction):
    n = math.prod(shape) // shape[_axis(shape)] if reduction == "mean" else 1
    return 1 / n if weight is None else _per_class(weight, shape) / n


def _by_logits(g, x, target, weight, reduction, label_smoothing, hot, c, even):
    axis, g, p = _axis(x.shape), _give(g, x.shape, reduction), softmax(x, _axis(x.shape))
    if hot is None:
        q = _probabilities(target, weight, reduction, label_smoothing)
        return g * (p * sum(q, axis, True) - q)
    given = (g * ((1 - label_smoothing) * c)) * (p - hot)
    if not label_smoothing:
        return given
    share = g * (even * (label_smoothing / x.shape[axis]))
    if weight is None:
        return given + share * (x.shape[axis] * p - 1)
    return given + share * (p * weight.sum() - _per_class(weight, x.shape))


def _by_target(g, x, weight, reduction, label_smoothing):
    scale = (1 - label_smoothing) * _scale(x.shape, weight, reduction)
    return _give(g, x.shape, reduction) * (-scale * log_softmax(x, _axis(x.shape)))


cross_entropy.vjp(x=_by_logits, target=_by_target)


@primitive(
    samples=_LABELS,
    bad=[*_BAD_LABELS, Bad(DTypeError, "labels of an integer dtype", (4, 5), (4, 5))],
    nondiff=("target", "weight"),
    residuals=("hot", "c"),
    bench=Sample((4096, 256), Integers((4096,), 0, 256)),
)
def nll_loss(log_p, target, weight=None, ignore_index=-100, reduction="mean"):
    """Negative log likelihood: −w_y·log_p[y], for log-probabilities from ``log_softmax``.

    Shapes, options and errors as for ``cross_entropy``.
    """
    _check("nll_loss", log_p, weight, reduction)
    mean = reduction == "mean"
    hot, c, _, at_label = _labels("nll_loss", log_p, target, weight, ignore_index, mean)
    return _gathered(-c * at_label(log_p), reduction), hot, c


nll_loss.vjp(
    log_p=lambda g, log_p_shape, reduction, hot, c: -(_give(g, log_p_shape, reduction) * c) * hot
)
