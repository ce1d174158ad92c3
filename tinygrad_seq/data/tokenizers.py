"""Texts as tokens and back: one token a character, or one for each frequent run of bytes.

Both kinds number ``<pad>``, ``<bos>``, ``<eos>`` and ``<unk>`` 0 … 3, and text that merely reads
like one of these is text. ``encode`` gives int64 (T,), ``decode`` stops at the first ``<eos>``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_seq.data.symbols import (
    BOS,
    EOS,
    PAD,
    SPECIAL,
    UNK,
    SymbolVocabulary,
    known_tokens,
    until_end,
)
from tinygrad_seq.errors import ArgumentError, DataError, MissingDependencyError, expect


class CharTokenizer:
    """One token for each character that the training text uses; others are ``<unk>``."""

    pad, bos, eos, unk = PAD, BOS, EOS, UNK

    def __init__(self, vocabulary: SymbolVocabulary):
        long = [s for s in vocabulary.symbols if len(s) != 1]
        expect(not long, "CharTokenizer", "a vocabulary of characters", long[:3], DataError)
        self.vocabulary = vocabulary

    @classmethod
    def train(cls, texts: Iterable[str], min_count: int = 1) -> CharTokenizer:
        """The characters that occur ``min_count`` times or more in ``texts``."""
        return cls(SymbolVocabulary.of(_texts("CharTokenizer", texts), min_count))

    def __len__(self) -> int:
        return len(self.vocabulary)

    def encode(self, text: str, bos: bool = False, eos: bool = False) -> np.ndarray:
        """The token of each character."""
        return self.vocabulary.encode(text, bos, eos)

    def decode(self, tokens: Any) -> str:
        """The text that tokens (T,) stand for; ``<unk>`` is written �."""
        return "".join("�" if s == SPECIAL[UNK] else s for s in self.vocabulary.decode(tokens))

    def save(self, path: str | Path) -> None:
        """Write the characters to a JSON file."""
        Path(path).write_text(json.dumps({"characters": self.vocabulary.symbols}), "utf-8")

    @classmethod
    def load(cls, path: str | Path) -> CharTokenizer:
        """Read what ``save`` wrote. Raises DataError for anything else."""
        try:
            symbols = json.loads(Path(path).read_text("utf-8"))["characters"]
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise DataError(f"{path}: expected a saved CharTokenizer: {error}") from error
        ok = isinstance(symbols, list) and all(isinstance(s, str) for s in symbols)
        expect(ok, str(path), "a list of characters", type(symbols).__name__, DataError)
        return cls(SymbolVocabulary(tuple(symbols)))


class BytePairTokenizer:
    """Byte pairs: the bytes of UTF-8, and runs of them that training found to be frequent.

    Nothing is unknown, and decoding gives back every text. The work is done by the library
    ``tokenizers`` (the extra ``tokenizers``). (Sennrich, Haddow and Birch 2016, arXiv:1508.07909;
    over bytes: Radford et al. 2019, Language Models are Unsupervised Multitask Learners.)
    """

    pad, bos, eos, unk = PAD, BOS, EOS, UNK

    def __init__(self, tokenizer: Any):
        found = tuple(tokenizer.id_to_token(i) for i in range(len(SPECIAL)))
        wanted = f"a tokenizer whose first tokens are {', '.join(SPECIAL)}"
        expect(found == SPECIAL, "BytePairTokenizer", wanted, found, DataError)
        tokenizer.encode_special_tokens = True  # "<eos>" in a text is no end
        self.tokenizer = tokenizer

    @classmethod
    def train(cls, texts: Iterable[str], size: int = 1000) -> BytePairTokenizer:
        """Merge the most frequent pairs of ``texts`` until there are ``size`` tokens, or no pair
        occurs twice; never across the spaces between words. 260 tokens are there from the start:
        the special ones and the bytes. Raises ArgumentError for a smaller size, DataError without
        text, MissingDependencyError without the library.
        """
        library = _library()
        least = len(SPECIAL) + 256
        expect(size >= least, "BytePairTokenizer", f"size ≥ {least}", size, ArgumentError)
        tokenizer = library.Tokenizer(library.models.BPE())
        tokenizer.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = library.decoders.ByteLevel()
        trainer = library.trainers.BpeTrainer(
            vocab_size=size,
            min_frequency=2,
            special_tokens=list(SPECIAL),
            initial_alphabet=library.pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        tokenizer.train_from_iterator(_texts("BytePairTokenizer", texts), trainer)
        return cls(tokenizer)

    def __len__(self) -> int:
        return int(self.tokenizer.get_vocab_size())

    def encode(self, text: str, bos: bool = False, eos: bool = False) -> np.ndarray:
        """The tokens of a text. Raises DataError for what UTF-8 cannot write: half a surrogate."""
        try:
            tokens = self.tokenizer.encode(text).ids
        except TypeError as error:
            raise DataError(f"encode: expected text, got {text!r:.60}") from error
        return np.array([BOS] * bos + tokens + [EOS] * eos, np.int64)

    def decode(self, tokens: Any) -> str:
        """The text that tokens (T,) stand for; bytes that are no UTF-8 are written �."""
        found = until_end(known_tokens("decode", tokens, len(self)))
        return str(self.tokenizer.decode(found, skip_special_tokens=True))

    def save(self, path: str | Path) -> None:
        """Write a ``tokenizer.json``, which other programs read too."""
        Path(path).write_text(self.tokenizer.to_str(), "utf-8")

    @classmethod
    def load(cls, path: str | Path) -> BytePairTokenizer:
        """Read what ``save`` wrote. Raises DataError for anything else, MissingDependencyError
        without the library."""
        library = _library()
        try:
            tokenizer = library.Tokenizer.from_str(Path(path).read_text("utf-8"))
        except Exception as error:  # the library raises bare Exceptions
            raise DataError(f"{path}: expected a saved BytePairTokenizer: {error}") from error
        return cls(tokenizer)


def _texts(op: str, texts: Iterable[str]) -> list[str]:
    """A list of texts with something in them; one text is no list of texts."""
    expect(not isinstance(texts, str), op, "a list of texts", "one text", ArgumentError)
    found = list(texts)
    expect(any(found), op, "some text to train on", "none", DataError)
    return found


def _library() -> Any:
    try:
        import tokenizers
    except ImportError as error:
        raise MissingDependencyError(
            "byte pairs need tokenizers: pip install 'tinygrad-seq[tokenizers]'"
        ) from error
    return tokenizers
