"""Pairs of a source and a target sequence, as batches that a model learns to translate from.

    source   c a t          target in   ␂ c h a t        what the decoder reads
                            target out  c h a t ␃        what it has to say

␂ and ␃ are ``<bos>`` and ``<eos>``. Time comes first; shorter sequences are padded with ``<pad>``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_seq.backend import Generator
from tinygrad_seq.data.padding import bucketed, pad, step_mask
from tinygrad_seq.data.symbols import BOS, EOS, PAD
from tinygrad_seq.errors import ArgumentError, ShapeError, expect

Pair = tuple[Sequence[int] | np.ndarray, Sequence[int] | np.ndarray]


@dataclass(frozen=True)
class PairBatch:
    """B pairs side by side: source (S, B), target_in and target_out (T, B), lengths (B,)."""

    source: Any
    source_lengths: np.ndarray
    target_in: Any
    target_out: Any
    target_lengths: np.ndarray

    def __len__(self) -> int:
        return len(self.source_lengths)

    @property
    def source_mask(self) -> np.ndarray:
        """True (S, B) where there is a symbol, False at padding."""
        return step_mask(self.source_lengths, len(self.source))

    @property
    def target_mask(self) -> np.ndarray:
        """True (T, B) where there is a symbol to say, False at padding."""
        return step_mask(self.target_lengths, len(self.target_out))

    @property
    def source_padding(self) -> np.ndarray:
        """True (B, S) at padding: a ``key_padding_mask``."""
        return ~self.source_mask.T

    @property
    def target_padding(self) -> np.ndarray:
        """True (B, T) at padding: a ``key_padding_mask``."""
        return ~self.target_mask.T

    def map(self, fn: Callable[[Any], Any]) -> PairBatch:
        """The same with ``fn`` applied to the tokens: to move them to a device."""
        return PairBatch(fn(self.source), self.source_lengths, fn(self.target_in),
                         fn(self.target_out), self.target_lengths)  # fmt: skip


def collate(pairs: Sequence[Pair], reverse: bool = False) -> PairBatch:
    """Pairs of tokens, without ``<bos>`` and ``<eos>``, as one batch.

    reverse: the sources backwards, each within its own length, so that what is said first was read
    last (Sutskever, Vinyals and Le 2014, arXiv:1409.3215). Raises ArgumentError if there are none,
    ShapeError for one that is no (T,).
    """
    expect(len(pairs) > 0, "collate", "one pair or more", "none", ArgumentError)
    rows = [tuple(np.asarray(part, np.int64) for part in pair) for pair in pairs]
    for i, row in enumerate(rows):
        shapes = [part.shape for part in row]
        ok = len(row) == 2 and all(len(shape) == 1 for shape in shapes)
        expect(ok, "collate", "pairs of tokens (S,) and (T,)", f"{shapes} at {i}", ShapeError)
    source = pad([s[::-1] if reverse else s for s, _ in rows], PAD)
    target_in = pad([np.concatenate([[BOS], t]) for _, t in rows], PAD)
    target_out = pad([np.concatenate([t, [EOS]]) for _, t in rows], PAD)
    return PairBatch(*source, target_in.data, *target_out)


def pair_batches(
    pairs: Sequence[Pair],
    batch: int,
    generator: Generator | None = None,
    reverse: bool = False,
    pool: int = 8,
) -> Iterator[PairBatch]:
    """One epoch of batches with sources of like lengths: ``collate`` over ``bucketed``."""
    lengths = [len(source) for source, _ in pairs]
    for chosen in bucketed(lengths, batch, generator, pool):
        yield collate([pairs[i] for i in chosen], reverse)
