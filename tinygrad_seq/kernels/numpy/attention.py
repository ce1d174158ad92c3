"""Attention on the CPU, a tile of the scores at a time.

``kernels/reference/attention.py`` says what is computed and what the names mean.

A tile holds some queries' scores against all keys, for several heads at once where a head is small:
so much as stays in the cache. Nothing of the size L × S is ever kept, and what softmax needs of a
row is in one tile. Going backward a tile is computed again and gives its part of every gradient.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tinygrad_seq.backend import Array
from tinygrad_seq.kernels.numpy.memory import empty
from tinygrad_seq.kernels.reference import attention as reference

#: elements of a tile; more leave the cache, and the C library's store of memory to use again
_TILE = 2**16

Tile = tuple[slice, slice, int]


def _tiles(heads: int, length: int, keys: int, causal: bool) -> Iterator[Tile]:
    """Slices of the heads and of the queries, and how many keys those queries can see at most.

    The last queries of a head come first: no tile of the head sees a key that they do not see.
    """
    rows = max(1, min(length, _TILE // keys))
    together = max(1, _TILE // (rows * keys)) if rows == length else 1
    for first in range(0, heads, together):
        for stop in range(length, 0, -rows):
            start = max(0, stop - rows)
            seen = min(keys, stop) if causal else keys
            yield slice(first, min(first + together, heads)), slice(start, stop), seen


class _Arrays:
    """All arrays with what stands before their last two axes made one axis, the heads."""

    def __init__(self, q: Array, k: Array, v: Array, mask: Array | None, drop: Array | None,
                 causal: bool, scale: float):  # fmt: skip
        self.lead = np.broadcast_shapes(q.shape[:-2], k.shape[:-2], v.shape[:-2])
        self.length, self.keys = q.shape[-2], k.shape[-2]
        self.q, self.k, self.v = (self.flat(a) for a in (q, k, v))
        self.mask = None if mask is None else self.flat(mask, (self.length, self.keys))
        self.drop = None if drop is None else self.flat(drop)
        self.causal, self.scale = causal, q.dtype.type(scale)
        self.heads = len(self.q)

    def flat(self, a: Array, tail: tuple[int, int] | None = None) -> Array:
        """a as (heads, …, …): a view, or a copy where its heads are broadcast unevenly."""
        tail = tail or a.shape[-2:]
        return np.broadcast_to(a, (*self.lead, *tail)).reshape(-1, *tail)

    def unflat(self, a: Array) -> Array:
        return a.reshape(*self.lead, *a.shape[1:])

    def scores(self, heads: slice, rows: slice, seen: int) -> Array:
        """The scores of a tile, −∞ where a query must not look."""
        s = np.matmul(self.q[heads, rows] * self.scale, self.k[heads, :seen].swapaxes(1, 2))
        if self.mask is not None:
            mask = self.mask[heads, rows, :seen]
            if mask.dtype == np.bool_:
                np.copyto(s, -np.inf, where=~mask)
            else:
                s += mask
        if self.causal and seen > rows.start + 1:
            late = np.arange(rows.start + 1, seen) > np.arange(rows.start, rows.stop)[:, None]
            np.copyto(s[:, :, rows.start + 1 :], -np.inf, where=late)
        return s


def forward(
    q: Array, k: Array, v: Array, mask: Array | None, drop: Array | None, causal: bool, scale: float
) -> tuple[Array, Array]:
    """→ O, and log Σ e^S of each row."""
    a = _Arrays(q, k, v, mask, drop, causal, scale)
    out = empty((a.heads, a.length, v.shape[-1]), q.dtype)
    log_total = np.empty((a.heads, a.length, 1), q.dtype)
    for heads, rows, seen in _tiles(a.heads, a.length, a.keys, causal):
        s = a.scores(heads, rows, seen)
        top = s.max(axis=-1, keepdims=True)
        top[top == -np.inf] = 0
        s -= top
        e = np.exp(s, out=s)
        total = e.sum(axis=-1, keepdims=True)
        nothing = total == 0
        total[nothing] = 1
        log_total[heads, rows] = np.log(total) + top
        log_total[heads, rows][nothing] = np.inf
        if a.drop is not None:
            e *= a.drop[heads, rows, :seen]
        np.divide(e @ a.v[heads, :seen], total, out=out[heads, rows])
    return a.unflat(out), a.unflat(log_total)


def backward(
    g: Array,
    q: Array,
    k: Array,
    v: Array,
    mask: Array | None,
    drop: Array | None,
    causal: bool,
    scale: float,
    out: Array,
    log_total: Array,
    needs: Sequence[bool],
) -> tuple[Array | None, ...]:
    """→ δQ, δK, δV and δM, None where not needed."""
    need_q, need_k, need_v, need_mask = needs
    if need_mask:  # it is as large as the scores: a tile would save nothing
        return reference.backward(g, q, k, v, mask, drop, causal, scale, out, log_total, needs)
    a = _Arrays(q, k, v, mask, drop, causal, scale)
    g, out, log_total = (a.flat(x) for x in (g, out, log_total))
    inner = np.einsum("hld,hld->hl", g, out)[:, :, None]  # δO_i · O_i

    def blank(x: Array, need: bool) -> Any:
        return empty((a.heads, *x.shape[-2:]), q.dtype) if need else None

    dq, dk, dv = blank(q, need_q), blank(k, need_k), blank(v, need_v)
    unseen = slice(a.length, None) if causal else slice(0, 0)
    for d in (dk, dv):
        if d is not None:
            d[:, unseen] = 0
    for heads, rows, seen in _tiles(a.heads, a.length, a.keys, causal):
        s = a.scores(heads, rows, seen)
        s -= log_total[heads, rows]
        p = np.exp(s, out=s)
        factors = None if a.drop is None else a.drop[heads, rows, :seen]
        if need_v:
            dropped = p if factors is None else p * factors
            _sum(dropped, g[heads, rows], dv[heads, :seen], rows.stop == a.length)
        if not (need_q or need_k):
            continue
        dp = g[heads, rows] @ a.v[heads, :seen].swapaxes(1, 2)
        if factors is not None:
            dp *= factors
        dp -= inner[heads, rows]
        dp *= p
        dp *= a.scale
        if need_q:
            np.matmul(dp, a.k[heads, :seen], out=dq[heads, rows])
        if need_k:
            _sum(dp, a.q[heads, rows], dk[heads, :seen], rows.stop == a.length)
    return (*(None if x is None else a.unflat(x) for x in (dq, dk, dv)), None)


def _sum(weights: Array, rows: Array, total: Array, first: bool) -> None:
    """total ← weightsᵀ rows for the first tile of a head, and later ones on top of it."""
    if first:
        np.matmul(weights.swapaxes(1, 2), rows, out=total)
    else:
        total += weights.swapaxes(1, 2) @ rows
