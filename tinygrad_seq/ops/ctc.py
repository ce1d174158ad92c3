"""Connectionist temporal classification: the loss of a labelling whose timing is not known."""

from __future__ import annotations

import math

import numpy as np

from tinygrad_seq.backend import device_of, is_array, to_host, transfer, xp_of
from tinygrad_seq.errors import ArgumentError, DTypeError, OutOfRangeError, ShapeError, expect
from tinygrad_seq.kernels import kernel
from tinygrad_seq.ops.arithmetic import add, mul, neg
from tinygrad_seq.ops.checks import expect_floats, expect_integers, expect_reduction
from tinygrad_seq.ops.choosing import where
from tinygrad_seq.ops.indexing import getitem, take_along_axis
from tinygrad_seq.ops.norms import logsumexp
from tinygrad_seq.ops.primitive import primitive
from tinygrad_seq.ops.reductions import sum
from tinygrad_seq.ops.sample import Bad, Integers, Sample
from tinygrad_seq.ops.shaping import concatenate, reshape, stack

_OP = "ctc_loss"


def _composed(
    log_probs, targets, input_lengths, target_lengths, blank=0, reduction="mean",
    zero_infinity=False,
):  # fmt: skip
    """What ``ctc_loss`` computes, in primitives: α alone, whose gradient is what β is for."""
    raw, asked, frames, sizes = (
        a if is_array(a) else getattr(a, "data", a)
        for a in (log_probs, targets, input_lengths, target_lengths)
    )
    labels, steps, ends = _prepared(raw, asked, frames, sizes, blank)
    xp, (B, L) = xp_of(labels), labels.shape
    T, C = log_probs.shape[0], log_probs.shape[-1]
    at = xp.broadcast_to(labels, (T, B, L))
    emit = take_along_axis(reshape(log_probs, (T, B, C)), at, 2)
    place, never = xp.arange(L), xp.full((B, 2), -math.inf, raw.dtype)
    skips = xp.concatenate([xp.zeros((B, 2), bool), labels[:, 2:] != labels[:, :-2]], axis=1)
    alpha = where(place < 2, getitem(emit, 0), -math.inf)
    for t in range(1, T):
        behind = concatenate([never, alpha], axis=1)
        one, two = (getitem(behind, np.s_[:, i : i + L]) for i in (1, 0))
        came = logsumexp(stack([alpha, one, where(skips[:, :L], two, -math.inf)]), axis=0)
        alpha = where((steps > t)[:, None], add(getitem(emit, t), came), alpha)
    over = (place == ends[:, None]) | (place == ends[:, None] - 1)
    log_p = logsumexp(where(over, alpha, -math.inf), axis=1)
    log_p = where((steps == 0) & (ends > 0), -math.inf, log_p)
    log_p = where((steps == 0) & (ends == 0), 0, log_p)
    return _gathered(neg(log_p), ends, reduction, zero_infinity, len(log_probs.shape) == 3)


_SIZES = {"input_lengths": [4, 5], "target_lengths": [1, 2]}
_LABELS = np.array([[1, 0], [2, 2]])
_ONE = Sample((3, 4), np.array([3, 1]), 3, 2)


@primitive(
    samples=[
        Sample((5, 2, 3), np.array([[1, 2], [2, 2]]), [5, 4], [2, 2]),
        Sample((5, 2, 3), _LABELS, **_SIZES, reduction="none"),
        Sample((5, 2, 3), np.array([0, 1, 1]), **_SIZES, blank=2, reduction="sum"),
        Sample((4, 3, 3), np.array([1, 1, 1]), np.array([2, 4, 0]), np.array([2, 1, 0]),
               zero_infinity=True),
        _ONE,
        Sample((3, 4), np.array([3, 1]), 3, 2, reduction="none"),
    ],
    bad=[
        Bad(ShapeError, "log_probs of shape (T, B, C) or (T, C)", (5,), _LABELS, **_SIZES),
        Bad(ShapeError, "log_probs of shape (T, B, C) or (T, C)", (0, 2, 3), _LABELS, **_SIZES),
        Bad(DTypeError, "targets of an integer dtype", (5, 2, 3), (2, 2), **_SIZES),
        Bad(ShapeError, "targets of shape (2, S) or all in a row", (5, 2, 3),
            np.array([[1, 2]]), **_SIZES),
        Bad(ShapeError, "3 targets in a row", (5, 2, 3), np.array([1, 2]), **_SIZES),
        Bad(ShapeError, "2 input_lengths", (5, 2, 3), _LABELS, [5], [1, 2]),
        Bad(DTypeError, "target_lengths of integers", (5, 2, 3), _LABELS, [5, 5], [1.0, 2.0]),
        Bad(OutOfRangeError, "input_lengths in [0, 5], got 6", (5, 2, 3), _LABELS, [5, 6], [1, 2]),
        Bad(OutOfRangeError, "target_lengths in [0, 2], got -1", (5, 2, 3), _LABELS, [5, 4],
            [-1, 2]),
        Bad(OutOfRangeError, "targets in [0, 3), got 7", (5, 2, 3), np.array([7, 1, 2]), **_SIZES),
        Bad(ArgumentError, "targets without the blank 2", (5, 2, 3), _LABELS, **_SIZES, blank=2),
        Bad(OutOfRangeError, "blank in [0, 3), got 3", (5, 2, 3), _LABELS, **_SIZES, blank=3),
        Bad(ArgumentError, "reduction", (5, 2, 3), _LABELS, **_SIZES, reduction="average"),
    ],
    bench=Sample((100, 16, 40), Integers((16, 20), 1, 40), [100] * 16, [20] * 16),
    nondiff=("targets", "input_lengths", "target_lengths"),
    residuals=("labels", "steps", "ends", "log_p", "emit", "alpha"),
    composition=_composed,
)  # fmt: skip
def ctc_loss(
    log_probs, targets, input_lengths, target_lengths, blank=0, reduction="mean",
    zero_infinity=False,
):  # fmt: skip
    """Minus the log of the probability of all paths that spell the targets, in nats: −ln p.

    A path says one symbol in each frame, or nothing (``blank``); what it spells is that without
    repeats, then without blanks. log_probs: from ``log_softmax``, (T, B, C), or (T, C) for one
    sequence. targets: labels (B, S), padded with anything, or those of all sequences in a row
    (Σ target_lengths,). input_lengths and target_lengths (B,): how much of each counts; arrays,
    lists, or numbers for one sequence.

    reduction: ``"none"`` (B,), ``"sum"``, or ``"mean"`` of −ln p over the number of labels (at
    least 1). A sequence too short for its labels has p = 0, loss ∞ (0 with ``zero_infinity``) and
    zero gradient. ∂(−ln p)/∂log_probs is minus the probability that frame t says k, which through
    ``log_softmax`` becomes softmax minus it.

    Raises for lengths or labels out of range, and for a blank among the labels. (Graves, Fernández,
    Gomez and Schmidhuber 2006, Connectionist Temporal Classification.)
    """
    expect_reduction(_OP, reduction)
    labels, steps, ends = _prepared(log_probs, targets, input_lengths, target_lengths, blank)
    batch = log_probs.reshape(len(log_probs), len(labels), -1)
    log_p, emit, alpha = kernel("ctc", batch).forward(batch, labels, steps, ends)
    loss = _gathered(-log_p, ends, reduction, zero_infinity, log_probs.ndim == 3)
    return loss, labels, steps, ends, log_p, emit, alpha


def _gathered(losses, ends, reduction, zero_infinity, batched):
    """The losses (B,) of all sequences, as they were asked for."""
    if zero_infinity:
        losses = where(losses == math.inf, 0, losses)
    if reduction == "none":
        return losses if batched else reshape(losses, ())
    return sum(losses if reduction == "sum" else mul(losses, _share(ends, losses.dtype)))


def _share(ends, dtype):
    """What each sequence counts in the mean: 1/(B·S_b)."""
    return 1 / (xp_of(ends).maximum(ends // 2, 1) * len(ends)).astype(dtype)


@ctc_loss.vjp_all
def _rule(g, log_probs_shape, reduction, labels, steps, ends, log_p, emit, alpha):
    symbols = log_probs_shape[-1]
    posterior = kernel("ctc", emit).backward(labels, steps, ends, log_p, emit, alpha, symbols)
    each = g * _share(ends, emit.dtype) if reduction == "mean" else g
    each = each.reshape(-1, 1) if each.ndim else each
    return ((posterior * -each).reshape(log_probs_shape),)


# ---------------------------------------------------------------------- what is asked


def _prepared(log_probs, targets, input_lengths, target_lengths, blank):
    """Check everything on the host → labels with blanks around them (B, 2S + 1), the number of
    frames and the last place of each sequence (B,), beside ``log_probs``."""
    expect_floats(_OP, "log_probs", log_probs)
    ok = len(log_probs.shape) in (2, 3) and min(log_probs.shape) > 0
    expect(ok, _OP, "log_probs of shape (T, B, C) or (T, C), none of them 0", log_probs.shape)
    batch = log_probs.shape[1] if len(log_probs.shape) == 3 else 1
    symbols = log_probs.shape[-1]
    ok = isinstance(blank, (int, np.integer)) and 0 <= blank < symbols
    expect(ok, _OP, f"blank in [0, {symbols})", blank, OutOfRangeError)
    expect_integers(_OP, "targets", targets)
    padded = len(targets.shape) == 2
    ok = targets.shape[:1] == (batch,) if padded else len(targets.shape) == 1
    expect(ok, _OP, f"targets of shape ({batch}, S) or all in a row", targets.shape)
    steps = _lengths("input_lengths", input_lengths, batch, log_probs.shape[0])
    sizes = _lengths("target_lengths", target_lengths, batch, targets.shape[-1])
    given = to_host(targets)
    if padded:
        given = given[np.arange(targets.shape[1]) < sizes[:, None]]
    expect(len(given) == sizes.sum(), _OP, f"{sizes.sum()} targets in a row", len(given))
    wrong = given[(given < 0) | (given >= symbols)]
    expect(not wrong.size, _OP, f"targets in [0, {symbols})", wrong[:1].sum(), OutOfRangeError)
    expect((given != blank).all(), _OP, f"targets without the blank {blank}", blank, ArgumentError)
    labels = np.full((batch, 2 * sizes.max() + 1), blank)
    labels[:, 1::2][np.arange(sizes.max()) < sizes[:, None]] = given
    return [transfer(a, device_of(log_probs)) for a in (labels, steps, 2 * sizes)]


def _lengths(name, value, batch, most):
    """Lengths on the host (B,), each in [0, most]."""
    lengths = to_host(value) if is_array(value) else np.asarray(value)
    ok = lengths.dtype.kind in "iu" and lengths.ndim <= 1
    expect(ok, _OP, f"{name} of integers", lengths.dtype, DTypeError)
    expect(lengths.size == batch, _OP, f"{batch} {name}", lengths.size)
    wrong = lengths[(lengths < 0) | (lengths > most)]
    expect(not wrong.size, _OP, f"{name} in [0, {most}]", wrong[:1].sum(), OutOfRangeError)
    return lengths.reshape(-1).astype(np.int64)
