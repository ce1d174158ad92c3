"""Count models: what a text model must beat to have learned anything.

An n-gram model with add-α smoothing gives character c after the context u of n − 1 characters

    p(c | u) = (count(u c) + α) / (count(u) + α V),        V = number of characters.

Only the n-grams that occur are kept, so large vocabularies are no obstacle. Source: Jurafsky and
Martin, Speech and Language Processing, chapter 3.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from tinygrad_seq.errors import ArgumentError, DataError, expect

NAMES = {1: "unigram", 2: "bigram", 3: "trigram"}


class NGram:
    """A count model of order n with add-α smoothing, fitted to integer tokens."""

    def __init__(self, tokens: np.ndarray, vocabulary: int, order: int, alpha: float):
        expect(order >= 1, "NGram", "order ≥ 1", order, ArgumentError)
        expect(alpha > 0, "NGram", "alpha > 0", alpha, ArgumentError)
        fits = vocabulary**order < 2**63
        expect(fits, "NGram", f"vocabulary^{order} < 2⁶³", vocabulary, ArgumentError)
        expect(len(tokens) >= order, "NGram", f"{order} tokens or more", len(tokens), DataError)
        self.vocabulary, self.order, self.alpha = vocabulary, order, alpha
        grams = self._codes(tokens)
        self._grams = np.unique(grams, return_counts=True)
        self._contexts = np.unique(grams // vocabulary, return_counts=True)

    def _codes(self, tokens: np.ndarray) -> np.ndarray:
        """Every n-gram as one number in base V, its last character the lowest digit."""
        count = len(tokens) - self.order + 1
        codes = np.zeros(count, np.int64)
        for i in range(self.order):
            codes = codes * self.vocabulary + tokens[i : i + count]
        return codes

    def loss(self, tokens: np.ndarray) -> float:
        """Mean of −ln p(c | u) over the tokens that have a full context: nats per character."""
        few = len(tokens) < self.order
        expect(not few, "NGram", f"{self.order} tokens or more", len(tokens), DataError)
        grams = self._codes(tokens)
        seen = _look_up(*self._grams, grams) + self.alpha
        context = _look_up(*self._contexts, grams // self.vocabulary)
        return float(np.mean(np.log(context + self.alpha * self.vocabulary) - np.log(seen)))


def _look_up(keys: np.ndarray, counts: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[at] == wanted, counts[at], 0)


@dataclass(frozen=True)
class Baseline:
    """The validation loss of a count model, in nats per character."""

    name: str
    loss: float


def baselines(
    train: np.ndarray,
    validation: np.ndarray,
    vocabulary: int,
    smoothing: Iterable[tuple[int, float]] = ((1, 1.0), (2, 1.0), (3, 0.1)),
) -> list[Baseline]:
    """Unigram add-1, bigram add-1 and trigram add-0.1, fitted to one part, tried on the other."""
    return [
        Baseline(f"{NAMES.get(n, f'{n}-gram')} add-{alpha:g}",
                 NGram(train, vocabulary, n, alpha).loss(validation))
        for n, alpha in smoothing
    ]  # fmt: skip
