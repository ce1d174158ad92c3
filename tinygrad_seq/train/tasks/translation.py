"""Short texts to turn into others, character by character: dates into ISO 8601, sums."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tinygrad_seq.autograd import Tensor
from tinygrad_seq.data import addition, bucketed, collate, dates
from tinygrad_seq.models import Seq2Seq, TransformerSeq2Seq
from tinygrad_seq.train.batches import VALIDATION, Epochs, stream
from tinygrad_seq.train.config import option
from tinygrad_seq.train.task import Measure, Score, Task
from tinygrad_seq.train.tasks.translation_config import ATTENTION, TranslationConfig
from tinygrad_seq.train.translator import Languages, Translator

SHOWN = 4  # translations that one sees while it trains


class Translation(Task):
    """Pairs of short texts, the second to be said to the first.

    The last tenth of the pairs is held out for the end, and one in fifty for looking.
    """

    Config: ClassVar[type[TranslationConfig]] = TranslationConfig
    measures = (
        Measure("exact", "exact", "without a mistake", ".2%", more_is_better=True),
        Measure("loss", "nats", "nats per character", ".4f"),
    )
    items = ("lines", "lines")
    things = "lines"
    config: TranslationConfig

    def __init__(self, config: TranslationConfig):
        super().__init__(config)
        pairs = self.pairs()
        self.languages = Languages.of(pairs)
        test, held = len(pairs) // 10, len(pairs) // 50
        self._train = pairs[: -test - held]
        self._held, self._test = pairs[-test - held : -test], pairs[-test:]
        lengths = [len(source) for source, _ in self._train]
        # Texts of one length are of one kind. A Transformer learns better from all kinds at once.
        pool = {"pool": 1} if config.is_transformer else {}
        self._epochs = Epochs(lambda g: bucketed(lengths, config.batch, g, **pool), config.seed)
        self.updates_per_epoch = self._epochs.count
        self.held_out = f"the last {test:,} lines"

    @abstractmethod
    def pairs(self) -> list[tuple[str, str]]:
        """All there are."""

    def describe_data(self) -> str:
        counts = " + ".join(f"{len(part):,}" for part in (self._train, self._held, self._test))
        source, target = self._train[0]
        return f"{counts} lines, the first {source!r} to {target!r}"

    def describe_model(self) -> str:
        return self.config.describe_model()

    def new_model(self) -> Seq2Seq | TransformerSeq2Seq:
        return self.config.new_model(self.languages)

    def batch(self, step: int) -> tuple[Tensor, Tensor, np.ndarray, float]:
        """Source (T, B), target (S, B), lengths of the sources (B,), and the share of right
        characters that the decoder is told."""
        placed = self._placed([self._train[i] for i in self._epochs.at(step)])
        return *placed, self.config.share_told(step)

    def _placed(self, pairs: list[tuple[str, str]]) -> tuple[Tensor, Tensor, np.ndarray]:
        """Source (T, B), target (S, B), lengths of the sources (B,)."""
        source, target = self.languages.source, self.languages.target
        both = collate([(source.encode(a), target.encode(b)) for a, b in pairs])
        return self.place(both.source), self.place(both.target_out), both.source_lengths

    def count(self, source: Tensor, target: Tensor, lengths: np.ndarray, told: float) -> int:
        return len(lengths)

    def loss(
        self, model: Any, source: Tensor, target: Tensor, lengths: np.ndarray, told: float
    ) -> Tensor:
        how = {"label_smoothing": self.config.label_smoothing}
        if not self.config.is_transformer:
            how["teacher_forcing"] = told
        loss: Tensor = model.loss(source, target, lengths, **how)
        return loss

    def validate(self, model: Any) -> Score:
        return self._measure(model, self._held)

    def test(self, model: Any) -> Score:
        return self._measure(model, self._test)

    def _measure(self, model: Any, pairs: list[tuple[str, str]]) -> Score:
        said = Translator(model, self.languages).translate(source for source, _ in pairs)
        right = sum(one == target for one, (_, target) in zip(said, pairs, strict=True))
        total = symbols = 0
        for at in bucketed([len(source) for source, _ in pairs], 500):
            chosen = [pairs[i] for i in at]
            count = sum(len(target) + 1 for _, target in chosen)
            total += model.loss(*self._placed(chosen)).item() * count
            symbols += count
        return {"exact": right / len(pairs), "loss": total / symbols}

    def show(self, model: Any, step: int) -> str:
        chosen = stream(self.config.seed, VALIDATION, step).integers(0, len(self._held), (SHOWN,))
        pairs = [self._held[i] for i in chosen.tolist()]
        said = Translator(model, self.languages).translate(source for source, _ in pairs)
        width = max(len(source) for source, _ in pairs)
        return "\n".join(
            f"{source:{width}}  {one}" + ("" if one == target else f"  not {target}")
            for (source, target), one in zip(pairs, said, strict=True)
        )

    def rivals(self) -> dict[str, Score]:
        length = np.mean([len(target) + 1 for _, target in self._test])
        answers = {target for _, target in self._train}
        known = dict(self._train)
        looked_up = np.mean([known.get(source) == target for source, target in self._test])
        return {
            "looked up among the lines it learnt": {"exact": float(looked_up)},
            "guessing among their answers": {
                "exact": 1 / len(answers),
                "loss": math.log(len(answers)) / float(length),
            },
        }

    def extra(self) -> dict[str, Any]:
        return self.languages.as_dict()


@dataclass(frozen=True, kw_only=True)
class DatesConfig(TranslationConfig):
    """Options of the translation of dates."""

    recurrent: ClassVar[dict[str, Any]] = {
        **TranslationConfig.recurrent, "attention": "general", "bidirectional": True
    }  # fmt: skip
    attention: str | None = option(
        None, "How a recurrent decoder looks at the source. Default: general.", "|".join(ATTENTION)
    )
    bidirectional: bool | None = option(None, "Read the source in both directions. Default: yes.")
    hidden: int = 64
    steps: int = 1050
    look_every: int = 150


class Dates(Translation):
    """Dates as people write them, into ISO 8601."""

    name = "translate-dates"
    Config = DatesConfig
    trial = 'attend {} "september 27, 1994"'

    def pairs(self) -> list[tuple[str, str]]:
        return dates()


@dataclass(frozen=True, kw_only=True)
class SumsConfig(TranslationConfig):
    """Options of addition."""

    recurrent: ClassVar[dict[str, Any]] = {**TranslationConfig.recurrent, "reverse_source": True}
    reverse_source: bool | None = option(None, "Read the source from its end. Default: yes.")
    hidden: int = 128
    steps: int = 3500


class Sums(Translation):
    """The sum of two numbers below 1000, as a text to a text."""

    name = "seq2seq"
    Config = SumsConfig
    trial = 'translate {} "314+271"'

    def pairs(self) -> list[tuple[str, str]]:
        return addition()
