"""What an encoder and a decoder may be asked for on the command line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from tinygrad_seq.models import Seq2Seq, TransformerSeq2Seq
from tinygrad_seq.models.attention_decoder import LUONG
from tinygrad_seq.models.teacher_forcing import SHAPES, over_a_run
from tinygrad_seq.train.config import KINDS, RecurrentConfig, option
from tinygrad_seq.train.translator import Languages

ATTENTION = ("none", "additive", *LUONG)
TRANSFORMER = "transformer"


@dataclass(frozen=True, kw_only=True)
class TranslationConfig(RecurrentConfig):
    """Options of an encoder and a decoder, made of recurrent layers or of a Transformer's.

    Some options only one kind of model has. Where they are None they become what ``recurrent`` or
    ``transformer`` says, and for a model that has them not they have to be None.
    """

    kinds: ClassVar[tuple[str, ...]] = (*KINDS, TRANSFORMER)
    recurrent: ClassVar[dict[str, Any]] = {
        "attention": "none", "input_feeding": False, "reverse_source": False,
        "bidirectional": False, "embedding": 16,
    }  # fmt: skip
    transformer: ClassVar[dict[str, Any]] = {"heads": 4}

    attention: str | None = option(
        None, "How a recurrent decoder looks at the source. Default: none.", "|".join(ATTENTION)
    )
    input_feeding: bool | None = option(
        None, "Tell each step what the last one looked at. Default: no."
    )
    reverse_source: bool | None = option(None, "Read the source from its end. Default: no.")
    bidirectional: bool | None = option(None, "Read the source in both directions. Default: no.")
    embedding: int | None = option(
        None, "Size of a recurrent model's character embeddings. Default: 16."
    )
    heads: int | None = option(None, "Heads of a Transformer's attention. Default: 4.")
    teacher_forcing: float = option(
        1.0, "Share of steps that are told the right character.", "RATIO"
    )
    schedule: str = option(
        "constant", "Scheduled sampling: how that share falls from 1 to RATIO.", "|".join(SHAPES)
    )
    label_smoothing: float = option(
        0.0, "Share of the right character's weight that all characters get.", "SHARE"
    )
    model: str = option("gru", "Layers of encoder and decoder.", "|".join(kinds))
    hidden: int = option(128, "Units of each recurrent layer; a Transformer's width.")
    layers: int = option(1, "Layers, one upon the other, of encoder and of decoder.")
    dropout: float = option(0.0, "Share of activations dropped.")
    batch: int = option(128, "Lines side by side.")
    lr: float = 0.005
    clip: float = 5.0

    def __post_init__(self) -> None:
        """Raises ArgumentError, naming the option, for a value out of range."""
        own, others = self.recurrent, self.transformer
        if self.is_transformer:
            own, others = others, own
        for name, value in own.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
        super().__post_init__()
        for name in others:
            other = "--model rnn, lstm or gru" if self.is_transformer else "--model transformer"
            self._check(name, getattr(self, name) is None, f"no such option but for {other}")
        self._check_transformer() if self.is_transformer else self._check_recurrent()
        ratio = self.teacher_forcing
        self._check("teacher_forcing", 0 <= ratio <= 1, "a number from 0 to 1")
        self._check("schedule", self.schedule in SHAPES, f"one of {', '.join(SHAPES)}")
        smooth = 0 <= self.label_smoothing <= 1
        self._check("label_smoothing", smooth, "a number from 0 to 1")
        falls = self.schedule == "constant" or ratio < 1
        self._check("schedule", falls, "constant, or a --teacher-forcing below 1 to fall to")

    def _check_transformer(self) -> None:
        self._at_least_one("heads")
        self._check("hidden", self.hidden % (self.heads or 1) == 0,
                    f"a multiple of {self.heads} heads")  # fmt: skip
        self._check("teacher_forcing", self.teacher_forcing == 1,
                    "1 for a Transformer, which is told all at once")  # fmt: skip

    def _check_recurrent(self) -> None:
        self._at_least_one("embedding")
        self._check("attention", self.attention in ATTENTION, f"one of {', '.join(ATTENTION)}")
        fed = self.attention != "none" or not self.input_feeding
        self._check("input_feeding", fed, "an --attention to feed")
        even = self.hidden % 2 == 0 or not self.bidirectional
        self._check("hidden", even, "an even number for two directions")

    @property
    def is_transformer(self) -> bool:
        """Whether the model is a Transformer."""
        return self.model == TRANSFORMER

    def share_told(self, step: int) -> float:
        """The share of right characters that a decoder is told at training step 0, 1, …"""
        return over_a_run(self.schedule, self.steps, self.teacher_forcing)(step)

    def describe_model(self) -> str:
        """The model in a few words."""
        if self.is_transformer:
            return (f"Transformer, {self.layers} + {self.layers} layers of {self.heads} heads, "
                    f"width {self.hidden}")  # fmt: skip
        units = f"{self.layers} x {self.hidden}" if self.layers > 1 else f"{self.hidden}"
        told = f"told {self.teacher_forcing:g} of the answers"
        notes = {
            f"{self.attention} attention": self.attention != "none",
            "input feeding": self.input_feeding,
            "source reversed": self.reverse_source,
            "both directions": self.bidirectional,
            told: self.teacher_forcing < 1 and self.schedule == "constant",
            f"{told} in the end": self.schedule != "constant",
        }
        said = [note for note, on in notes.items() if on]
        return ", ".join([f"{self.model} with {units} units", *said])

    def new_model(self, languages: Languages) -> Seq2Seq | TransformerSeq2Seq:
        """A freshly initialised model of this size."""
        sizes = len(languages.source), len(languages.target)
        if self.is_transformer:
            assert self.heads is not None
            return TransformerSeq2Seq(
                *sizes, self.hidden, self.heads, self.layers, dropout=self.dropout,
                norm_first=True, device=self.device,
            )  # fmt: skip
        assert self.embedding is not None
        return Seq2Seq(
            *sizes,
            self.embedding,
            **self.net,
            attention=None if self.attention == "none" else self.attention,
            input_feeding=bool(self.input_feeding),
            reverse=bool(self.reverse_source),
            bidirectional=bool(self.bidirectional),
        )
