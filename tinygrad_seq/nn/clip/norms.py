"""p-norms that do not overflow or underflow on the way to a result that would not.

Σ|x|ᵖ leaves the range of float32 long before its root does: squares do from |x| ≈ 2e19 on, and
below 1e-19 they lose digits. Dividing all elements by the largest first keeps every sum between 1
and their number, at the cost of more passes. On the host the plain sum is tried first, and these
are made only if it left the range. On a device that look would mean waiting for it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_seq.backend import Array, Device, beside, device_of, transfer, xp_of


def joint_norm(arrays: list[Array], p: float) -> Array:
    """(Σ|x|ᵖ)^(1/p) over all elements of all arrays; for p = ∞ the largest |x|.

    → a 0-d array in their common dtype, on the device of the first. NaN if there is a NaN, else
    infinite if there is an infinity, or if the norm is too large for the dtype.
    """
    on_host = all(isinstance(a, np.ndarray) for a in arrays)
    if on_host and p < math.inf and len({a.dtype for a in arrays}) == 1:
        with np.errstate(over="ignore"):
            sums = sum(_plain_sums(a.reshape(1, -1), p) for a in arrays)
            if _in_range(sums):
                return _root(sums, p).reshape(())
    by_device: dict[Device, list[Array]] = {}
    for a in arrays:
        by_device.setdefault(device_of(a), []).append(a)
    norms = []
    for parts in by_device.values():
        with beside(parts[0]):
            row = xp_of(parts[0]).concatenate([a.reshape(-1) for a in parts]).reshape(1, -1)
            norms.append(row_norms(row, p).reshape(()))
    home = device_of(arrays[0])
    return norms[0] if len(norms) == 1 else joint_norm([transfer(n, home) for n in norms], p)


def row_norms(rows: Array, p: float) -> Array:
    """The p-norm of each row of a matrix: (N, M) → (N, 1)."""
    xp = xp_of(rows)
    if not rows.size:
        return xp.zeros((len(rows), 1), rows.dtype)
    with beside(rows), np.errstate(over="ignore"):
        if isinstance(rows, np.ndarray) and p < math.inf:
            sums = _plain_sums(rows, p)
            if _in_range(sums):
                return _root(sums, p)
        size = xp.abs(rows)
        largest = xp.max(size, axis=1, keepdims=True)
        if p == math.inf:
            return largest
        scalable = (largest > 0) & (largest < math.inf)
        scale = xp.where(scalable, largest, xp.ones_like(largest))
        size /= scale
        wide = np.result_type(rows.dtype, np.float32)  # float16 cannot even count to 70,000
        sums = xp.sum(_power(size, p), axis=1, keepdims=True, dtype=wide)
        return (scale * _root(sums, p)).astype(rows.dtype)


def _plain_sums(rows: np.ndarray, p: float) -> np.ndarray:
    """Σ|x|ᵖ of each row of a host array: (N, M) → (N, 1)."""
    if p == 2:
        return np.asarray(np.vecdot(rows, rows))[:, None]
    return np.asarray(np.sum(_power(np.abs(rows), p), axis=1, keepdims=True))


def _in_range(sums: Any) -> bool:
    """Whether no sum overflowed, or lost more to underflow than it did to rounding."""
    limits = np.finfo(sums.dtype)
    return bool((sums >= limits.tiny / limits.eps).all() and (sums < math.inf).all())


def _power(x: Any, p: float) -> Any:
    return x * x if p == 2 else x**p


def _root(x: Any, p: float) -> Any:
    return xp_of(x).sqrt(x) if p == 2 else x ** (1 / p)
