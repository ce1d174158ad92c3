"""Connectionist temporal classification, as the equations stand in the paper, in logarithms.

y_tk is the probability of symbol k in frame t. A label sequence of S symbols is written with blanks
around each, l' = (␣, l_1, ␣, l_2, …, ␣), L = 2S + 1 places. A path starts in one of the first two
places, ends in one of the last two, and from frame to frame stays, goes on by one, or by two where
that leaves out a blank between symbols that differ. With → s for "may be followed by s",

    α_1(s) = y_1,l'_s for s = 1, 2         α_t(s) = y_t,l'_s Σ_{r → s} α_{t−1}(r)
    β_T(s) = 1 for s = L − 1, L            β_t(s) = Σ_{s → r} y_{t+1},l'_r β_{t+1}(r)
    p = Σ_s α_t(s) β_t(s) for every t      Γ_tk = Σ_{s: l'_s = k} α_t(s) β_t(s) / p

p is the probability of all paths, and Γ_tk that frame t says k: Γ = ∂ ln p/∂ ln y. β leaves frame t
itself out, which the paper has in both α and β and divides out again.

log_probs: ln y (T, B, C) · labels: l' (B, L), padded with blanks · steps: how many frames count
(B,) · ends: the last place of l', 2S (B,).

Source: Graves, Fernández, Gomez and Schmidhuber, Connectionist Temporal Classification (2006).
"""

from __future__ import annotations

import numpy as np

from tinygrad_seq.backend import Array, xp_of


def forward(
    log_probs: Array, labels: Array, steps: Array, ends: Array
) -> tuple[Array, Array, Array]:
    """→ ln p (B,), −∞ where no path exists, and for ``backward`` ln y_t,l'_s and ln α (T, B, L)."""
    xp = xp_of(log_probs)
    emit = xp.take_along_axis(log_probs, labels[np.newaxis], axis=2)
    skips = labels[:, 2:] != labels[:, :-2]
    alpha = xp.full(emit.shape, -np.inf, emit.dtype)
    alpha[0, :, :2] = emit[0, :, :2]
    for t in range(1, len(emit)):
        alpha[t] = emit[t] + _log_sum(alpha[t - 1], _entering(alpha[t - 1], skips))
    rows, last = xp.arange(len(labels)), xp.maximum(steps - 1, 0)
    final, before = alpha[last, rows, ends], alpha[last, rows, xp.maximum(ends - 1, 0)]
    before = xp.where(ends > 0, before, -np.inf)
    log_p = _log_sum(final, [before])
    nothing = xp.where(ends > 0, -np.inf, xp.zeros_like(log_p))  # no frames for no symbols: p = 1
    return xp.where(steps > 0, log_p, nothing), emit, alpha


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
    xp = xp_of(emit)
    skips = labels[:, 2:] != labels[:, :-2]
    place = xp.arange(labels.shape[1])
    ends = ends[:, np.newaxis]
    never = xp.full_like(emit[0], -np.inf)
    final = xp.where((place == ends) | (place == ends - 1), 0, never)
    log_p = xp.where(log_p == -np.inf, np.inf, log_p)[:, np.newaxis]
    posterior = xp.zeros_like(emit)
    after = never  # y_{t+1} β_{t+1}
    for t in range(len(emit) - 1, -1, -1):
        last = (steps == t + 1)[:, np.newaxis]
        beta = xp.where(last, final, _log_sum(after, _leaving(after, skips)))
        posterior[t] = xp.exp(alpha[t] + beta - log_p)
        after = emit[t] + beta
    return _by_symbol(posterior, labels, symbols)


def _entering(log_a: Array, skips: Array) -> list[Array]:
    """What comes into each place from one place before, and from two: (B, L) each, in logs."""
    xp = xp_of(log_a)
    one, two = xp.full_like(log_a, -np.inf), xp.full_like(log_a, -np.inf)
    one[:, 1:] = log_a[:, :-1]
    two[:, 2:] = xp.where(skips, log_a[:, :-2], -np.inf)
    return [one, two]


def _leaving(log_a: Array, skips: Array) -> list[Array]:
    """What each place gets from one place after it, and from two."""
    xp = xp_of(log_a)
    one, two = xp.full_like(log_a, -np.inf), xp.full_like(log_a, -np.inf)
    one[:, :-1] = log_a[:, 1:]
    two[:, :-2] = xp.where(skips, log_a[:, 2:], -np.inf)
    return [one, two]


def _log_sum(first: Array, others: list[Array]) -> Array:
    """ln Σ eˣ over arrays, −∞ where all are."""
    xp, top = xp_of(first), first
    for x in others:
        top = xp.maximum(top, x)
    top = xp.where(top == -np.inf, 0, top)
    total = xp.exp(first - top)
    for x in others:
        total += xp.exp(x - top)
    empty = total == 0
    return xp.where(empty, -np.inf, xp.log(xp.where(empty, 1, total)) + top)


def _by_symbol(posterior: Array, labels: Array, symbols: int) -> Array:
    """Sum (T, B, L) over the places of each symbol: → (T, B, C)."""
    xp, (steps, batch, _) = xp_of(posterior), posterior.shape
    out = xp.zeros(steps * batch * symbols, posterior.dtype)
    row = xp.arange(steps * batch).reshape(steps, batch, 1) * symbols
    # The blanks of a frame all go to one number: added up first, they do not queue for it.
    odd = posterior[:, :, 1::2]
    xp.add.at(out, (row + labels[:, 1::2]).ravel(), odd.ravel())
    xp.add.at(out, (row + labels[:, :1]).ravel(), posterior[:, :, ::2].sum(axis=2).ravel())
    return out.reshape(steps, batch, symbols)
