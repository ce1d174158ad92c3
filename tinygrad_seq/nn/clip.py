"""Gradient clipping, in place: by the global norm, or by value."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from tinygrad_seq import ops
from tinygrad_seq.autograd import Tensor, no_grad
from tinygrad_seq.backend import Array, beside, transfer, xp_of
from tinygrad_seq.errors import AnomalyError, ArgumentError, expect


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

    → the norm *before* clipping, a Tensor on the gradients' device: the host does not wait for it
    unless ``error_if_nonfinite``, which raises AnomalyError, gradients unchanged. A norm too large
    for the dtype counts as infinite. Parameters without a gradient are passed over.
    """
    op = "clip_grad_norm_"
    _threshold(op, "max_norm", max_norm)
    expect(norm_type > 0, op, "norm_type > 0", norm_type, ArgumentError)
    grads = _grads(op, parameters)
    if not grads:
        return Tensor(np.float32(0))
    home, dtype = grads[0].device, np.result_type(*(g.dtype for g in grads))
    norms = [transfer(_norm(g.data, norm_type), home) for g in grads]
    with beside(norms[0]):
        xp = xp_of(norms[0])
        total = _norm(xp.stack([n.astype(dtype) for n in norms]), norm_type)
        # max_norm/max_norm is exactly 1, so gradients below the threshold keep every bit.
        factor = max_norm / xp.maximum(total, max_norm or 1) if max_norm < math.inf else None
    if error_if_nonfinite and not math.isfinite(norm := Tensor(total).item()):
        raise AnomalyError(f"{op}: the {norm_type}-norm of the gradients is {norm}")
    if factor is not None:
        with no_grad():
            for g in grads:
                with beside(g.data):
                    g.mul_(transfer(factor, g.device).astype(g.dtype))
    return Tensor(total)


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Cut every element of every gradient off at ±``clip_value``. This can turn the direction."""
    _threshold("clip_grad_value_", "clip_value", clip_value)
    for g in _grads("clip_grad_value_", parameters):
        with no_grad():
            g.copy_(ops.clip(g, -clip_value, clip_value))


def _norm(x: Array, p: float) -> Array:
    """The p-norm of all elements, a 0-d array in the dtype of ``x``."""
    xp = xp_of(x)
    with beside(x):
        flat = x.reshape(-1)
        if not flat.size:
            return xp.zeros((), x.dtype)
        if p == 2:
            out = xp.sqrt(xp.dot(flat, flat))
        elif p == math.inf:
            out = xp.max(xp.abs(flat))
        else:
            out = xp.sum(xp.abs(flat) ** p) ** (1 / p)
        return xp.asarray(out)


def _grads(op: str, parameters: Any) -> list[Tensor]:
    given = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    for p in given:
        expect(isinstance(p, Tensor), op, "parameters", type(p).__name__, ArgumentError)
    unique = {id(p): p.grad for p in given}  # a shared parameter has one gradient
    return [g for g in unique.values() if g is not None]


def _threshold(op: str, name: str, value: float) -> None:
    expect(value >= 0, op, f"{name} ≥ 0", value, ArgumentError)
