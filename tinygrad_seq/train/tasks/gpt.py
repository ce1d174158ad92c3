"""A Transformer that writes text, unless told otherwise in nanoGPT's configuration for a CPU.

But for the learning rate: twice nanoGPT's 0.001 ends 0.09 nats lower on tiny Shakespeare.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_seq.autograd import Tensor
from tinygrad_seq.data import Vocabulary
from tinygrad_seq.errors import DataError, expect
from tinygrad_seq.models import GPT
from tinygrad_seq.nn import Module
from tinygrad_seq.optim import AdamW, Optimizer
from tinygrad_seq.train.batches import TRAINING, stream
from tinygrad_seq.train.config import TransformerConfig, option
from tinygrad_seq.train.task import Score, weighted_mean
from tinygrad_seq.train.tasks.text import TextTask, text_option

BETAS = (0.9, 0.99)


@dataclass(frozen=True, kw_only=True)
class GPTConfig(TransformerConfig):
    """Options of a GPT. ``text`` None stands for Python's own reference."""

    text: str | None = text_option()
    context: int = option(64, "Characters that it can look back on.", "T")
    batch: int = option(12, "Pieces of the text read side by side.")
    steps: int = 2000
    lr: float = 0.002

    def __post_init__(self) -> None:
        """Raises ArgumentError, naming the option, for a value out of range."""
        super().__post_init__()
        self._at_least_one("context")


class GPTTask(TextTask):
    """The next character of a text, by a Transformer.

    It looks back on those before it. An update sees pieces of the text that begin anywhere. The
    last tenth is held out; it is cut into pieces too, each read from nothing, so that on average
    half a context is known of what comes before a character.
    """

    name = "gpt"
    Config = GPTConfig
    config: GPTConfig

    def __init__(self, config: GPTConfig, text: str | None = None):
        """text: read already. Raises DataError for one that cannot be read or is too short."""
        super().__init__(config, text)
        needed, found = config.context + 1, len(self.training)
        expected = f"{needed} characters or more to train on (--context and one)"
        expect(found >= needed, "text", expected, found, DataError)

    @classmethod
    def model_of(cls, config: GPTConfig, vocabulary: Vocabulary) -> GPT:
        """Without biases, as in nanoGPT's configurations."""
        c = config
        return GPT(len(vocabulary), c.context, c.layers, c.heads, c.width, c.dropout, bias=False,
                   device=c.device)  # fmt: skip

    def describe_model(self) -> str:
        c = self.config
        return f"GPT, {c.layers} layers of {c.heads} heads, width {c.width}"

    def describe_updates(self) -> str:
        return f"updates on {self.config.batch} x {self.config.context} characters each"

    def optimizer(self, model: Module) -> Optimizer:
        """AdamW, which lets only matrices decay."""
        assert isinstance(model, GPT)
        groups = model.param_groups(self.config.weight_decay)
        return AdamW(groups, lr=self.config.lr, betas=BETAS)

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Inputs and targets (B, T)."""
        count, context = self.config.batch, self.config.context
        generator = stream(self.config.seed, TRAINING, step)
        starts = generator.integers(0, len(self.training) - context, (count, 1))
        tokens = self.training[starts + np.arange(context + 1)]  # (B, T + 1)
        return self.place(tokens[:, :-1]), self.place(tokens[:, 1:])

    def count(self, tokens: Tensor, targets: Tensor) -> int:
        return targets.size

    def loss(self, model: Any, tokens: Tensor, targets: Tensor) -> Tensor:
        loss: Tensor = model.loss(tokens, targets)
        return loss

    def validate(self, model: Any) -> Score:
        """All of what is held out but its first character, in pieces of a context each."""
        tokens, context = self.validation, self.config.context
        whole = (len(tokens) - 1) // context * context
        inputs, targets = (tokens[i : i + whole].reshape(-1, context) for i in (0, 1))
        blocks = [(inputs[i : i + 32], targets[i : i + 32]) for i in range(0, len(inputs), 32)]
        if whole < len(tokens) - 1:
            blocks.append((tokens[np.newaxis, whole:-1], tokens[np.newaxis, whole + 1 :]))
        return weighted_mean(
            [(self.score(model.loss(self.place(x), self.place(y)).item()), x.size)
             for x, y in blocks]
        )  # fmt: skip

    def test(self, model: Any) -> Score:
        return self.validate(model)
