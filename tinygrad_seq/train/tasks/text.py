"""What all tasks share whose model writes text, character by character."""

from __future__ import annotations

import math
from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from tinygrad_seq.backend import Generator
from tinygrad_seq.data import Vocabulary, baselines, fingerprint, python_topics, read_text, split
from tinygrad_seq.errors import DataError, StateError
from tinygrad_seq.nn import Module
from tinygrad_seq.train.config import option
from tinygrad_seq.train.task import Measure, Score, Task

SAMPLE_LENGTH = 240


def text_option() -> Any:
    """The field of a configuration that names the text; None stands for Python's own reference."""
    return option(None, "Any UTF-8 text. Default: the reference that Python carries.", "FILE")


class TextTask(Task):
    """The next character of a text, from those before it; the last tenth is held out.

    Rivals are count models and a fair guess. The configuration has a field ``text``.
    """

    measures = (
        Measure("loss", "nats", "nats per character"),
        Measure("bits_per_character", "bits/char", "bits per character"),
    )
    items = ("tokens", "tok")
    trial: ClassVar[str] = "sample {} --temperature 0.7"

    def __init__(self, config: Any, text: str | None = None):
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
        self.held_out = f"the last {len(self.validation):,} characters"

    @classmethod
    @abstractmethod
    def model_of(cls, config: Any, vocabulary: Vocabulary) -> Module:
        """A freshly initialised model of the size that the configuration asks for; it can
        ``generate``."""

    def new_model(self) -> Module:
        return self.model_of(self.config, self.vocabulary)

    def describe_data(self) -> str:
        text = self.config.text
        name = "Python's language reference" if text is None else Path(text).name
        return (
            f"{name}: {len(self.training):,} + {len(self.validation):,} characters, "
            f"{len(self.vocabulary)} different"
        )

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


def opening(vocabulary: Vocabulary) -> str:
    """A character for text to begin after: a line break, a blank, or else the first there is."""
    known = vocabulary.characters
    return next((c for c in "\n " if c in known), known[0])


def write(model: Any, vocabulary: Vocabulary, prompt: str, length: int, **how: Any) -> str:
    """Text that the model writes after ``prompt`` (the prompt is not repeated)."""
    tokens = list(model.generate(vocabulary.encode(prompt), length, **how))
    return vocabulary.decode(np.array(tokens, np.int64))
