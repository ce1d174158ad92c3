"""Symbols as numbers: a vocabulary with places for padding, begin, end, and what is not in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tinygrad_seq.backend import to_host
from tinygrad_seq.data.padding import Padded, pad
from tinygrad_seq.errors import ArgumentError, DataError, OutOfRangeError, expect

PAD, BOS, EOS, UNK = range(4)
#: the symbols that every vocabulary begins with, in the order of their tokens
SPECIAL = ("<pad>", "<bos>", "<eos>", "<unk>")


@dataclass(frozen=True)
class SymbolVocabulary:
    """Symbols (characters, words, …) and their tokens.

    0 is ``<pad>``, which fills a batch up, 1 ``<bos>``, 2 ``<eos>``, 3 ``<unk>``, which stands for
    any symbol not in the vocabulary; symbol i of ``symbols`` has token 4 + i.
    """

    symbols: tuple[str, ...]

    pad, bos, eos, unk = PAD, BOS, EOS, UNK

    def __post_init__(self) -> None:
        object.__setattr__(self, "symbols", tuple(self.symbols))
        twice = [s for s, n in Counter((*SPECIAL, *self.symbols)).items() if n > 1]
        expect(not twice, "SymbolVocabulary", "distinct symbols, none of them special", twice,
               DataError)  # fmt: skip

    @classmethod
    def of(
        cls, sequences: Iterable[Iterable[str]], min_count: int = 1, size: int | None = None
    ) -> SymbolVocabulary:
        """The symbols of ``sequences``: texts, for one of characters, or lists of words.

        min_count, size: as in ``from_counts``.
        """
        counts: Counter[str] = Counter()
        for sequence in sequences:
            counts.update(sequence)
        return cls.from_counts(counts, min_count, size)

    @classmethod
    def from_counts(
        cls, counts: Mapping[str, int], min_count: int = 1, size: int | None = None
    ) -> SymbolVocabulary:
        """The symbols that occur ``min_count`` times or more, the most frequent first, equals in
        order; at most ``size`` tokens, the four special ones among them."""
        op = "SymbolVocabulary"
        expect(min_count >= 1, op, "min_count ≥ 1", min_count, ArgumentError)
        ok = size is None or size >= len(SPECIAL)
        expect(ok, op, f"size ≥ {len(SPECIAL)}", size, ArgumentError)
        kept = sorted((-n, s) for s, n in counts.items() if n >= min_count and s not in SPECIAL)
        return cls(tuple(s for _, s in kept[: None if size is None else size - len(SPECIAL)]))

    def __len__(self) -> int:
        return len(SPECIAL) + len(self.symbols)

    @cached_property
    def _tokens(self) -> dict[Hashable, int]:
        return {s: i for i, s in enumerate(self.symbols, len(SPECIAL))}

    def __contains__(self, symbol: object) -> bool:
        return symbol in self._tokens

    def encode(self, sequence: Iterable[str], bos: bool = False, eos: bool = False) -> np.ndarray:
        """The token of each symbol, int64 (T,), after ``<bos>`` and before ``<eos>`` if asked for.

        A symbol that reads like a special one is unknown like any other.
        """
        tokens = [self._tokens.get(s, UNK) for s in sequence]
        return np.array([BOS] * bos + tokens + [EOS] * eos, np.int64)

    def decode(self, tokens: Any) -> list[str]:
        """The symbols that ``tokens`` (T,) stand for, up to the first ``<eos>``; ``<pad>`` and
        ``<bos>`` say nothing. Raises OutOfRangeError for a token that is none."""
        found = known_tokens("decode", tokens, len(self))
        names = (*SPECIAL, *self.symbols)
        return [names[i] for i in until_end(found) if i not in (PAD, BOS)]

    def encode_batch(
        self, sequences: Sequence[Iterable[str]], bos: bool = False, eos: bool = False
    ) -> Padded:
        """Sequences side by side, time-major (T, B), padded with ``<pad>``; and their lengths."""
        return pad([self.encode(sequence, bos, eos) for sequence in sequences], PAD)

    def decode_batch(self, tokens: Any) -> list[list[str]]:
        """The symbols of each of the sequences in (T, B)."""
        found = known_tokens("decode_batch", tokens, len(self), ndim=2)
        return [self.decode(column) for column in found.T]


def known_tokens(op: str, tokens: Any, size: int, ndim: int = 1) -> np.ndarray:
    """``tokens``, an array, list or Tensor, on the host; raises unless they are in [0, size)."""
    raw = getattr(tokens, "data", tokens) if hasattr(tokens, "detach") else tokens
    found = to_host(raw) if hasattr(raw, "dtype") else np.array(raw, np.int64)
    wanted = f"integer tokens of {ndim} axis" if ndim == 1 else f"integer tokens of {ndim} axes"
    ok = found.dtype.kind in "iu" and found.ndim == ndim
    expect(ok, op, wanted, f"{found.dtype}{list(found.shape)}", ArgumentError)
    wrong = found[(found < 0) | (found >= size)]
    expect(not wrong.size, op, f"tokens in [0, {size})", wrong[:1].sum(), OutOfRangeError)
    return found


def until_end(tokens: np.ndarray) -> list[int]:
    """The tokens (T,) before the first ``<eos>``."""
    listed: list[int] = tokens.tolist()
    return listed[: listed.index(EOS)] if EOS in listed else listed
