"""A trained model that turns one text into another, character by character."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_seq.autograd import tensor
from tinygrad_seq.data import SPECIAL, SymbolVocabulary, bucketed, pad
from tinygrad_seq.errors import ArgumentError, OutOfRangeError, expect
from tinygrad_seq.models import Seq2Seq, TransformerSeq2Seq
from tinygrad_seq.models.seq2seq import Answers
from tinygrad_seq.train.which import MEAN, Which

BATCH = 500
UNKNOWN = "�"


@dataclass(frozen=True)
class Languages:
    """The characters that are read and those that are said, and how many are said at most.

    longest: the end symbol counts.
    """

    source: SymbolVocabulary
    target: SymbolVocabulary
    longest: int

    @classmethod
    def of(cls, pairs: Sequence[tuple[str, str]]) -> Languages:
        """Those of pairs of texts."""
        sources, targets = zip(*pairs, strict=True)
        longest = 1 + max(map(len, targets))
        return cls(SymbolVocabulary.of(sources), SymbolVocabulary.of(targets), longest)

    def encode(self, text: str) -> np.ndarray:
        """The tokens of a text to translate. Raises OutOfRangeError for an unknown character."""
        for at, character in enumerate(text):
            if character not in self.source:
                raise OutOfRangeError(
                    f"the character {character!r} at position {at} is not among the "
                    f"{len(self.source.symbols)} that the model reads"
                )
        return self.source.encode(text)

    def decode(self, tokens: np.ndarray) -> str:
        """The text that tokens (T,) stand for, up to the end symbol."""
        symbols = self.target.decode(tokens)
        return "".join(UNKNOWN if symbol in SPECIAL else symbol for symbol in symbols)

    def as_dict(self) -> dict[str, Any]:
        """What a checkpoint holds of them."""
        return {
            "source": "".join(self.source.symbols),
            "target": "".join(self.target.symbols),
            "longest": self.longest,
        }

    @classmethod
    def from_dict(cls, held: dict[str, Any]) -> Languages:
        """What ``as_dict`` gave."""
        source, target = (SymbolVocabulary(tuple(held[name])) for name in ("source", "target"))
        return cls(source, target, held["longest"])


@dataclass(frozen=True)
class Translator:
    """A model, in evaluation mode, with the languages that it knows."""

    model: Seq2Seq | TransformerSeq2Seq
    languages: Languages

    def translate(self, texts: Iterable[str], beams: int = 1) -> list[str]:
        """What the model says to each text; nothing to an empty one.

        beams: 1 takes the likeliest character each time, more search for the likeliest text.
        Raises OutOfRangeError for a character that the model does not know.
        """
        tokens = [self.languages.encode(text) for text in texts]
        expect(beams >= 1, "translate", "beams ≥ 1", beams, ArgumentError)
        said = [""] * len(tokens)
        heard = [i for i, text in enumerate(tokens) if len(text)]
        for chosen in bucketed([len(tokens[i]) for i in heard], BATCH):
            places = [heard[i] for i in chosen]
            answers = self._ask([tokens[i] for i in places], beams=beams)
            for i, column in zip(places, answers.tokens.T, strict=True):
                said[i] = self.languages.decode(column)
        return said

    def look(self, text: str, which: Which = MEAN) -> tuple[str, np.ndarray]:
        """What the model says to a text, and where it looks at each character of it, (S, T).

        Raises ArgumentError for an empty text, for one that the model has no answer to, for a model
        without attention, and for a layer or head of one that has neither.
        """
        expect(text, "attend", "a text of one character or more", "none", ArgumentError)
        tokens = self.languages.encode(text)
        if isinstance(self.model, TransformerSeq2Seq):
            answer = self._ask([tokens])
            both = (tensor(x, device=self._device) for x in (tokens[:, None], answer.tokens))
            weights = which.of(self.model.attention_maps(*both)[:, 0])
        else:
            self._expect_one_map(which)
            answer = self._ask([tokens], return_weights=True)
            assert answer.weights is not None
            weights = answer.weights[0]
        said = self.languages.decode(answer.tokens[:, 0])
        expect(said, "attend", "a text that the model says something to", repr(text), ArgumentError)
        return said, weights[: len(said)]

    def _expect_one_map(self, which: Which) -> None:
        assert isinstance(self.model, Seq2Seq)
        expected = "a model with attention (--attention when it was trained)"
        has = self.model.decoder.attention is not None
        expect(has, "attend", expected, "one without", ArgumentError)
        expected = "a Transformer to choose a layer or a head of"
        expect(which == MEAN, "attend", expected, "a recurrent model", ArgumentError)

    @property
    def _device(self) -> Any:
        return next(self.model.parameters()).device

    def _ask(self, tokens: list[np.ndarray], **how: Any) -> Answers:
        source, lengths = pad(tokens)
        placed = tensor(source, device=self._device)
        return self.model.generate(placed, lengths, length=self.languages.longest, **how)
