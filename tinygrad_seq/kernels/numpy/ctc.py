"""CTC for NumPy: what the reference computes, in half as many passes over the arrays.

−10³⁰ stands for ln 0. It is finite, so that no sum of three exponentials meets ∞ − ∞ and none has
to be asked whether it is empty: ln 3 more or less is lost in the rounding. Two columns of it beside
the places make what enters a place a slice.
"""

from __future__ import annotations

import numpy as np

from tinygrad_seq.backend import Array

NEVER = -1e30


def forward(
    log_probs: Array, labels: Array, steps: Array, ends: Array
) -> tuple[Array, Array, Array]:
    """→ ln p (B,), −∞ where no path exists, and for ``backward`` ln y_t,l'_s and ln α (T, B, L)."""
    emit = np.take_along_axis(log_probs, labels[np.newaxis], axis=2)
    np.maximum(emit, NEVER, out=emit)
    T, B, L = emit.shape
    barred = _barred(labels, emit.dtype)
    padded = np.full((T, B, L + 2), NEVER, emit.dtype)
    alpha = padded[:, :, 2:]
    alpha[0, :, :2] = emit[0, :, :2]
    paths = np.empty((3, B, L), emit.dtype)
    for t in range(1, T):
        before = padded[t - 1]
        paths[0], paths[1] = before[:, 2:], before[:, 1:-1]
        np.add(before[:, :-2], barred, out=paths[2])
        _log_sum(paths, alpha[t])
        alpha[t] += emit[t]
    rows, last = np.arange(B), np.maximum(steps - 1, 0)
    final = padded[last[:, np.newaxis], rows[:, np.newaxis], ends[:, np.newaxis] + [2, 1]]
    final[steps == 0] = NEVER
    final[(steps == 0) & (ends == 0), 0] = 0  # no frames for no symbols: p = 1
    log_p = np.empty(B, emit.dtype)
    _log_sum(final.T, log_p)
    return np.where(log_p < NEVER / 2, -np.inf, log_p), emit, alpha


def backward(
    labels: Array,
    steps: Array,
    ends: Array,
    log_p: Array,
    emit: Array,
    alpha: Array,
    symbols: int,
) -> Array:
    """→ Γ (T, B, C), C = ``symbols``; zeros where p = 0, and in frames that do not count."""
    T, B, L = emit.shape
    barred = _barred(labels, emit.dtype)
    barred = np.concatenate([barred[:, 2:], np.full((B, min(L, 2)), NEVER, emit.dtype)], axis=1)
    place, last = np.arange(L), ends[:, np.newaxis]
    final = np.where((place == last) | (place == last - 1), 0, np.full_like(emit[0], NEVER))
    after = np.full((B, L + 2), NEVER, emit.dtype)  # y_{t+1} β_{t+1}
    gamma, paths = np.empty_like(emit), np.empty((3, B, L), emit.dtype)
    stops = set(steps.tolist())
    for t in range(T - 1, -1, -1):
        beta = gamma[t]
        paths[0], paths[1] = after[:, :-2], after[:, 1:-1]
        np.add(after[:, 2:], barred, out=paths[2])
        _log_sum(paths, beta)
        if t + 1 in stops:
            np.copyto(beta, final, where=(steps == t + 1)[:, np.newaxis])
        np.add(emit[t], beta, out=after[:, :-2])
    gamma += alpha
    gamma -= np.where(log_p == -np.inf, np.inf, log_p)[:, np.newaxis]
    np.exp(gamma, out=gamma)
    out = np.zeros(T * B * symbols, emit.dtype)
    row = np.arange(T * B).reshape(T, B, 1) * symbols
    odd = np.ascontiguousarray(gamma[:, :, 1::2])
    np.add.at(out, (row + labels[:, 1::2]).ravel(), odd.ravel())
    out.reshape(T, B, symbols)[:, np.arange(B), labels[:, 0]] += gamma[:, :, ::2].sum(axis=2)
    return out.reshape(T, B, symbols)


def _barred(labels: Array, dtype: np.dtype) -> Array:
    """ln 0 (B, L) where two places may not be gone at once, 0 elsewhere."""
    barred = np.full(labels.shape, NEVER, dtype)
    barred[:, 2:][labels[:, 2:] != labels[:, :-2]] = 0
    return barred


def _log_sum(x: Array, out: Array) -> None:
    """out ← ln Σ eˣ over the first axis; x is used up."""
    top = x.max(axis=0)
    x -= top
    np.exp(x, out=x)
    np.sum(x, axis=0, out=out)
    np.log(out, out=out)
    out += top
