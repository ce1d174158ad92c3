"""Beam search: the K best texts so far, each tried with every next symbol, of which K stay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_seq.autograd import Tensor, no_grad, tensor
from tinygrad_seq.errors import ArgumentError, expect
from tinygrad_seq.models.decoding import Step, Writer, best


class Beams(NamedTuple):
    """The texts that a search found in each row, the best first.

    tokens (T, B, K), of which ``tokens[:, :, 0]`` are the best; their log-probabilities and their
    scores (B, K). Where there are fewer than K texts the rest is padding with score −∞.
    """

    tokens: np.ndarray
    log_probs: np.ndarray
    scores: np.ndarray


def beam_search(
    step: Step,
    start: Any,
    state: Any = None,
    *,
    length: int,
    eos: int,
    beams: int = 4,
    alpha: float = 0.6,
    pad: int | None = None,
    forbidden: Sequence[int] = (),
    batch_axis: Any = 0,
) -> Beams:
    """The texts Y of greatest score, as far as keeping K = ``beams`` at a time can find them:

        score(Y) = ln p(Y) / ((5 + |Y|)/6)^alpha,      |Y| counting the end symbol

    (Wu et al. 2016, arXiv:1609.08144). alpha = 0 takes the likeliest, which are short; one beam is
    ``greedy``. A text that has ended keeps its place until better ones push it out; the search is
    over when all K have ended, or after ``length`` symbols, where unfinished texts count as they
    are. p is that of the symbols that are not forbidden.

    step, start, eos, pad, forbidden: see the module ``decoding``; step is called with B·K rows.
    batch_axis: on which axis of the state's tensors the rows are: a number for all of them, or
    nested like the state, as in ``(1, 0)`` for a pair.
    """
    expect(beams >= 1, "beam_search", "beams ≥ 1", beams, ArgumentError)
    expect(np.isfinite(alpha), "beam_search", "a finite alpha", alpha, ArgumentError)
    expect(eos is not None, "beam_search", "an eos", eos, ArgumentError)
    writer = Writer(step, start, length, eos, pad, forbidden)
    pool = _Pool(writer.batch, beams, length, eos, alpha)
    state = reordered(state, np.repeat(np.arange(writer.batch), beams), batch_axis)
    tokens = writer.read(np.repeat(writer.start.numpy(), beams))
    for t in range(length):
        logits, state = writer.logits(tokens, state)
        origin = pool.extend(t, _log_softmax(logits))
        if pool.ended.all():
            break
        state = reordered(state, origin, batch_axis)
        tokens = writer.read(pool.tokens[t].reshape(-1))
    return pool.result(writer.pad)


class _Pool:
    """K texts for each of B rows: what they say, how likely they are, and which have ended."""

    def __init__(self, batch: int, beams: int, length: int, eos: int, alpha: float):
        self.eos, self.alpha = eos, alpha
        self.tokens = np.full((length, batch, beams), eos, np.int64)
        self.log_probs = np.full((batch, beams), -np.inf)  # −∞: no text at all
        self.log_probs[:, 0] = 0  # one text at first, the empty one
        self.sizes = np.zeros((batch, beams), np.int64)
        self.ended = np.zeros((batch, beams), bool)

    def extend(self, t: int, log_p: np.ndarray) -> np.ndarray:
        """Keep the K best of all texts with one more symbol, ln p (B·K, V), and of those that have
        ended. → of which row of B·K each goes on (B·K,)."""
        batch, beams = self.ended.shape
        log_p = log_p.reshape(batch, beams, -1)
        symbols = log_p.shape[2]
        over = np.where(np.arange(symbols) == self.eos, 0, -np.inf)  # an ended text stays, once
        log_p = np.where(self.ended[:, :, np.newaxis], over, log_p)
        total = self.log_probs[:, :, np.newaxis] + log_p  # (B, K, V)
        sizes = np.where(self.ended, self.sizes, t + 1)
        scores = total / self._penalty(sizes)[:, :, np.newaxis]
        chosen = best(scores.reshape(batch, -1), beams)  # (B, K)
        parent, symbol = np.divmod(chosen, symbols)
        self.log_probs = np.take_along_axis(total.reshape(batch, -1), chosen, 1)
        self.sizes = np.take_along_axis(sizes, parent, 1)
        self.tokens[:t] = np.take_along_axis(self.tokens[:t], parent[np.newaxis], 2)
        self.tokens[t] = symbol
        dead = self.log_probs == -np.inf
        self.ended = (symbol == self.eos) | dead
        self.tokens[t][dead] = self.eos
        return (np.arange(batch)[:, np.newaxis] * beams + parent).reshape(-1)

    def _penalty(self, sizes: np.ndarray) -> np.ndarray:
        return ((5 + sizes) / 6) ** self.alpha

    def result(self, pad: int) -> Beams:
        """The texts, in the order they are in: the best first."""
        longest = int(self.sizes.max(initial=0, where=self.log_probs > -np.inf))
        after = np.arange(longest)[:, np.newaxis, np.newaxis] >= self.sizes
        after |= self.log_probs == -np.inf
        tokens = np.where(after, pad, self.tokens[:longest])
        return Beams(tokens, self.log_probs, self.log_probs / self._penalty(self.sizes))


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def reordered(state: Any, rows: np.ndarray, axis: Any = 0) -> Any:
    """``state`` with row i what was row ``rows[i]``; axis: see ``beam_search``.

    Tensors are new, objects with ``select(rows)`` change in place. Raises ArgumentError for a state
    of another kind.
    """
    if state is None:
        return None
    if isinstance(state, Tensor):
        with no_grad():
            places = tensor(rows, device=state.device)
            return state[(slice(None),) * axis + (places,)]
    if hasattr(state, "select"):
        state.select(rows)
        return state
    if isinstance(state, dict):
        named = axis if isinstance(axis, dict) else dict.fromkeys(state, axis)
        return {key: reordered(part, rows, named[key]) for key, part in state.items()}
    wanted = "a state of None, Tensors, tuples, lists, dicts or what has select(rows)"
    ok = isinstance(state, (tuple, list))
    expect(ok, "beam_search", wanted, type(state).__name__, ArgumentError)
    axes = axis if isinstance(axis, (tuple, list)) else [axis] * len(state)
    expect(len(axes) == len(state), "beam_search", f"{len(state)} axes", axis, ArgumentError)
    parts = [reordered(part, rows, a) for part, a in zip(state, axes, strict=True)]
    if hasattr(state, "_fields"):  # a named tuple
        return type(state)(*parts)
    return type(state)(parts)
