"""Clipping the gradients of parameters in place.

Whatever a gradient is multiplied with is min(1, threshold/norm), computed so that it is exactly 1
below the threshold: such gradients keep every bit. Where a norm is not finite this is PyTorch's
rule: an infinite norm turns every finite element into 0 and every infinite one into NaN, and a norm
of NaN turns all into NaN. ``error_if_nonfinite`` raises before anything is changed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from tinygrad_seq import ops
from tinygrad_seq.autograd import Tensor, no_grad
from tinygrad_seq.backend import Array, beside, transfer, xp_of
from tinygrad_seq.errors import AnomalyError, ArgumentError, expect
from tinygrad_seq.nn.clip.norms import joint_norm, row_norms

_NUMBER = (int, float, np.integer, np.floating)


def get_total_norm(
    tensors: Tensor | Iterable[Tensor], norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> Tensor:
    """The common p-norm of all elements of all tensors: (Σ|x|ᵖ)^(1/p), for p = inf the largest |x|.

    → a 0-d Tensor in their common dtype, on the device of the first; the host does not wait for
    it. It is NaN if a NaN is among them, else infinite if an infinity is, or if it is too large for
    the dtype itself; squares that are too large do no harm. Of no tensors it is 0. ``norm_type``
    must be above 0. ``error_if_nonfinite`` raises AnomalyError, and waits for the norm to know.
    """
    op = "get_total_norm"
    given = _tensors(op, tensors)
    _order(op, norm_type)
    return _measured(op, given, norm_type, error_if_nonfinite)


def clip_grads_with_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, total_norm: Tensor
) -> None:
    """Multiply all gradients by min(1, max_norm/total_norm), a norm that is known already.

    The second half of ``clip_grad_norm_``, after ``get_total_norm``. ``max_norm=inf`` leaves the
    gradients as they are, whatever the norm.
    """
    op = "clip_grads_with_norm_"
    _threshold(op, "max_norm", max_norm)
    ok = isinstance(total_norm, Tensor) and total_norm.shape == ()
    got = total_norm.shape if isinstance(total_norm, Tensor) else type(total_norm).__name__
    expect(ok, op, "total_norm, a Tensor of shape ()", got, ArgumentError)
    grads = [g for _, g in _with_grads(op, parameters)]
    if max_norm < math.inf:
        _scale(grads, _factor(total_norm.data, max_norm))


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> Tensor:
    """Scale all gradients by one factor so that their common norm is at most ``max_norm``.

    norm = (Σ|gᵢ|ᵖ)^(1/p) over every element of every gradient, p = ``norm_type`` (inf: the
    largest); the factor is min(1, max_norm/norm). So the norm becomes exactly min(norm, max_norm),
    to rounding, and the direction stays (Pascanu et al. 2013, arXiv:1211.5063). PyTorch divides by
    norm + 1e-6, and ends that little below ``max_norm``.

    → the norm *before* clipping, as ``get_total_norm`` gives it: the host does not wait for it
    unless ``error_if_nonfinite``, which raises AnomalyError, gradients unchanged. Without it, an
    infinite norm makes the finite gradients 0 and the infinite ones NaN, and a norm of NaN all of
    them NaN. ``max_norm=inf`` measures and changes nothing. Parameters without a gradient are
    passed over. A ``max_norm`` below 0 or NaN raises ArgumentError.
    """
    op = "clip_grad_norm_"
    _threshold(op, "max_norm", max_norm)
    _order(op, norm_type)
    grads = [g for _, g in _with_grads(op, parameters)]
    norm = _measured(op, grads, norm_type, error_if_nonfinite)
    if max_norm < math.inf:
        _scale(grads, _factor(norm.data, max_norm))
    return norm


def clip_each_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> Tensor:
    """Scale every gradient by a factor of its own, so that its norm is at most ``max_norm``.

    Each parameter's gradient keeps its direction, but their common one can turn: for that, see
    ``clip_grad_norm_``, whose arguments and errors these are.

    → the norms before clipping, (N,), one for every parameter that has a gradient, in order.
    """
    op = "clip_each_grad_norm_"
    _threshold(op, "max_norm", max_norm)
    _order(op, norm_type)
    grads = [g for _, g in _with_grads(op, parameters)]
    if not grads:
        return Tensor(np.zeros(0, np.float32))
    norms = [joint_norm([g.data], norm_type) for g in grads]
    home, dtype = grads[0].device, np.result_type(*(g.dtype for g in grads))
    with beside(norms[0]):
        stacked = xp_of(norms[0]).stack([transfer(n, home).astype(dtype) for n in norms])
    if error_if_nonfinite:
        for i, norm in enumerate(Tensor(stacked).tolist()):
            if not math.isfinite(norm):
                raise AnomalyError(
                    f"{op}: the {norm_type}-norm of gradient {i}, of shape {grads[i].shape}, "
                    f"is {norm}"
                )
    if max_norm < math.inf:
        for g, norm in zip(grads, norms, strict=True):
            _scale([g], _factor(norm, max_norm))
    return Tensor(stacked)


def adaptive_clip_grad_(
    parameters: Tensor | Iterable[Tensor], clip_factor: float = 0.01, eps: float = 1e-3
) -> None:
    """Keep every unit's gradient small beside its weights: ‖Gᵢ‖ ≤ clip_factor · max(‖Wᵢ‖, eps).

    A unit i is a row of the weight, all that leads into one output; later axes count as one with
    the second, and a vector or scalar is one unit. The norms are Euclidean, each unit is scaled by
    itself, and ``eps`` lets weights that start at zero move at all (Brock et al. 2021,
    arXiv:2102.06171, who leave the last linear layer out). A norm that is not finite concerns its
    own unit alone. A ``clip_factor`` below 0 or an ``eps`` not above 0 raises ArgumentError.
    """
    op = "adaptive_clip_grad_"
    _threshold(op, "clip_factor", clip_factor)
    ok = isinstance(eps, _NUMBER) and 0 < eps < math.inf
    expect(ok, op, "a finite eps > 0", repr(eps), ArgumentError)
    for p, g in _with_grads(op, parameters):
        if clip_factor == math.inf or not g.size:
            continue
        with beside(g.data), np.errstate(over="ignore"):
            xp, limits = xp_of(g.data), np.finfo(g.dtype)
            bound = xp.maximum(row_norms(_units(p.data), 2), eps)
            bound = xp.minimum(bound * min(clip_factor, float(limits.max)), limits.max)
            norm = row_norms(_units(g.data), 2)
            factor = bound / xp.maximum(norm, xp.maximum(bound, limits.tiny))
            shape = (len(factor), *(1,) * (g.ndim - 1)) if g.ndim > 1 else (1,) * g.ndim
            _scale([g], factor.reshape(shape))


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Cut every element of every gradient off at ±``clip_value``. This can turn the direction.

    Infinite elements are cut off too, NaNs stay. A negative or NaN value raises ArgumentError.
    """
    op = "clip_grad_value_"
    _threshold(op, "clip_value", clip_value)
    for _, g in _with_grads(op, parameters):
        if clip_value < math.inf:
            bound = min(clip_value, float(np.finfo(g.dtype).max))
            with no_grad():
                g.copy_(ops.clip(g, -bound, bound))


def _measured(op: str, tensors: list[Tensor], p: float, error_if_nonfinite: bool) -> Tensor:
    """The total norm as a Tensor; AnomalyError if it must be finite and is not."""
    norm = Tensor(joint_norm([t.data for t in tensors], p) if tensors else np.float32(0))
    if error_if_nonfinite and not math.isfinite(found := norm.item()):
        raise AnomalyError(f"{op}: the {p}-norm of the gradients is {found}")
    return norm


def _factor(norm: Array, threshold: float) -> Array:
    """min(1, threshold/norm), 0-d; exactly 1 up to the threshold, 0 for inf, NaN for NaN."""
    limits = np.finfo(norm.dtype)
    threshold = min(threshold, float(limits.max))
    with beside(norm):
        return threshold / xp_of(norm).maximum(norm, max(threshold, float(limits.tiny)))


def _scale(grads: list[Tensor], factor: Array) -> None:
    with no_grad():
        for g in grads:
            with beside(g.data), np.errstate(invalid="ignore"):  # infinity · 0
                g.mul_(transfer(factor, g.device).astype(g.dtype))


def _units(x: Array) -> Array:
    """Every unit of a weight as a row."""
    return x.reshape(len(x), -1) if x.ndim > 1 else x.reshape(1, -1)


def _tensors(op: str, given: Any) -> list[Tensor]:
    """One tensor, or many, as a list; anything else raises."""
    expect(isinstance(given, Iterable), op, "parameters", type(given).__name__, ArgumentError)
    tensors = [given] if isinstance(given, Tensor) else list(given)
    for t in tensors:
        expect(isinstance(t, Tensor), op, "parameters", type(t).__name__, ArgumentError)
    return tensors


def _with_grads(op: str, parameters: Any) -> list[tuple[Tensor, Tensor]]:
    """The parameters that have a gradient, each once, with it."""
    unique = {id(p): p for p in _tensors(op, parameters)}
    return [(p, p.grad) for p in unique.values() if p.grad is not None]


def _threshold(op: str, name: str, value: Any) -> None:
    ok = isinstance(value, _NUMBER) and value >= 0
    expect(ok, op, f"{name} ≥ 0", value, ArgumentError)


def _order(op: str, norm_type: Any) -> None:
    ok = isinstance(norm_type, _NUMBER) and norm_type > 0
    expect(ok, op, "norm_type > 0", norm_type, ArgumentError)
