"""A language model of characters, trained by truncated BPTT on a text of any kind."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_seq.autograd import Tensor
from tinygrad_seq.backend import Generator
from tinygrad_seq.bptt import TruncatedBPTT
from tinygrad_seq.data import (
    Streams,
    Vocabulary,
    baselines,
    fingerprint,
    python_topics,
    read_text,
    split,
)
from tinygrad_seq.errors import DataError, StateError
from tinygrad_seq.models import CharLM
from tinygrad_seq.train.config import RecurrentConfig, option
from tinygrad_seq.train.evaluate import evaluate
from tinygrad_seq.train.task import Measure, Score, Task

if TYPE_CHECKING:
    from tinygrad_seq.train.run import Run

SAMPLE_LENGTH = 240


@dataclass(frozen=True, kw_only=True)
class CharConfig(RecurrentConfig):
    """Options of a character model. ``text`` None stands for Python's own reference."""

    text: str | None = option(
        None, "Any UTF-8 text. Default: the reference that Python carries.", "FILE"
    )
    embedding: int = option(64, "Size of the character embedding.")
    bptt: int = option(64, "Steps between updates of the weights (k1).", "K")
    k2: int | None = option(None, "Steps that gradients reach back. Default: as --bptt.", "K")
    batch: int = option(32, "Pieces of the text read side by side.")
    steps: int = option(1500, "Windows to train on.")
    hidden: int = 256
    clip: float = 0.5

    def __post_init__(self) -> None:
        """Raises ArgumentError, naming the option, for a value out of range."""
        super().__post_init__()
        self._at_least_one("embedding", "bptt")
        ok = self.k2 is None or self.k2 >= self.bptt
        self._check("k2", ok, f"a whole number ≥ {self.bptt}, that of --bptt")


class CharTask(Task):
    """The next character of a text, from all that came before it.

    The last tenth of the text is held out. Rivals are count models and a fair guess.
    """

    name = "char-lm"
    Config = CharConfig
    measures = (
        Measure("loss", "nats", "nats per character"),
        Measure("bits_per_character", "bits/char", "bits per character"),
    )
    items = ("tokens", "tok")
    writes = True
    config: CharConfig

    def __init__(self, config: CharConfig, text: str | None = None):
        """text: read already. Raises DataError for one that cannot be read or is too short."""
        super().__init__(config)
        if text is None:
            text = python_topics() if config.text is None else read_text(config.text)
        if len(text) < 20:
            raise DataError(
                f"the text is too short: its last tenth is held out and needs 2 characters or "
                f"more, but the text has {len(text)} in all"
            )
        self.fingerprint = fingerprint(text)
        self.vocabulary = Vocabulary.of(text)
        self.training, self.validation = split(self.vocabulary.encode(text))
        streams = Streams.cut(self.training, config.batch, config.bptt)
        self.streams = streams.map(self.place)
        self.bptt = TruncatedBPTT(config.bptt, config.k2 or config.bptt)
        self.updates_per_epoch = streams.windows
        self.held_out = f"the last {len(self.validation):,} characters"

    def describe_data(self) -> str:
        text = self.config.text
        name = "Python's language reference" if text is None else Path(text).name
        return (
            f"{name}: {len(self.training):,} + {len(self.validation):,} characters, "
            f"{len(self.vocabulary)} different"
        )

    def describe_updates(self) -> str:
        k1, k2 = self.bptt.k1, self.bptt.k2
        reach = f", gradients over {k2}" if k2 > k1 else ""
        return f"windows of {self.config.batch} x {k1} characters{reach}"

    def new_model(self) -> CharLM:
        return char_model(self.config, self.vocabulary)

    def updates(self, run: Run) -> Iterator[tuple[Tensor, int]]:
        """Windows from the present position to the end of the text."""
        k1, k2 = self.bptt.k1, self.bptt.k2
        here = run.step % self.streams.windows * k1
        since = max(0, here + k1 - k2)  # where the state was left
        x, y = self.streams.inputs[since:], self.streams.targets[since:]
        model: Any = run.model
        for window in self.bptt.run(model.loss, x, y, run.state, first=here - since):
            # The text begins again after its last window, with a state of zeros.
            last = window.stop == len(x)
            run.state = None if last else window.boundary
            yield window.loss, k1 * self.config.batch

    def validate(self, model: Any) -> Score:
        return self.score(evaluate(model, self.validation, self.config.batch))

    def test(self, model: Any) -> Score:
        return self.score(evaluate(model, self.validation))

    def score(self, loss: float) -> Score:
        return {"loss": loss, "bits_per_character": loss / math.log(2)}

    def rivals(self) -> dict[str, Score]:
        counted = baselines(self.training, self.validation, len(self.vocabulary))
        held = {rival.name: self.score(rival.loss) for rival in counted}
        return {**held, "uniform": self.score(math.log(len(self.vocabulary)))}

    def show(self, model: Any, step: int) -> str:
        generator = Generator(self.config.seed + step)  # of its own: training must not notice
        prompt = opening(self.vocabulary)
        return write(model, self.vocabulary, prompt, SAMPLE_LENGTH, generator=generator)

    def extra(self) -> dict[str, Any]:
        return {"vocabulary": self.vocabulary.characters}

    def check_data(self, fingerprint: str) -> None:
        if fingerprint != self.fingerprint:
            name = self.config.text or "Python's reference (this is another version of Python?)"
            raise StateError(f"the text has changed since the run was started: {name}")


def char_model(config: CharConfig, vocabulary: Vocabulary, device: str | None = None) -> CharLM:
    """A freshly initialised model of the size that the configuration asks for."""
    net = config.net if device is None else {**config.net, "device": device}
    return CharLM(len(vocabulary), config.embedding, **net)


def opening(vocabulary: Vocabulary) -> str:
    """A character for text to begin after: a line break, a blank, or else the first there is."""
    known = vocabulary.characters
    return next((c for c in "\n " if c in known), known[0])


def write(model: CharLM, vocabulary: Vocabulary, prompt: str, length: int, **how: Any) -> str:
    """Text that the model writes after ``prompt`` (the prompt is not repeated)."""
    tokens = list(model.generate(vocabulary.encode(prompt), length, **how))
    return vocabulary.decode(np.array(tokens, np.int64))
