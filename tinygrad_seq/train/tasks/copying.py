"""The copy problem: ten symbols to say again, in order, after a long wait."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_seq import ops
from tinygrad_seq.autograd import Tensor
from tinygrad_seq.data import copy_baseline, copy_memory
from tinygrad_seq.models import Tagger
from tinygrad_seq.train.batches import TEST, TRAINING, VALIDATION, stream
from tinygrad_seq.train.config import RecurrentConfig, option
from tinygrad_seq.train.task import Measure, Score, Task

HELD_OUT = 500
SYMBOLS, LENGTH = 8, 10


@dataclass(frozen=True, kw_only=True)
class CopyingConfig(RecurrentConfig):
    """Options of the copy problem."""

    wait: int = option(100, "Steps between hearing and saying (T).", "T")
    model: str = "rnn"
    batch: int = 50
    hidden: int = 64
    steps: int = 1500
    lr: float = 0.003

    def __post_init__(self) -> None:
        """Raises ArgumentError, naming the option, for a value out of range."""
        super().__post_init__()
        self._at_least_one("wait")


class Copying(Task):
    """Ten symbols, to be said again after a long wait.

    There is something to say at every step: blanks, and then what was heard at the beginning. No
    sequence is seen twice.
    """

    name = "copy"
    Config = CopyingConfig
    measures = (
        Measure("loss", "nats", "nats per step", ".4f"),
        Measure("recalled", "recalled", "recalled", ".1%", more_is_better=True),
    )
    items = ("sequences", "seq")
    config: CopyingConfig
    held_out = f"{HELD_OUT:,} new sequences"

    def describe_data(self) -> str:
        return (
            f"copy problem: {LENGTH} of {SYMBOLS} symbols to say again after {self.config.wait} "
            "steps"
        )

    def new_model(self) -> Tagger:
        return Tagger(SYMBOLS + 2, SYMBOLS + 1, **self.config.net)

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        return self._drawn(self.config.batch, TRAINING, step)

    def _drawn(self, count: int, *place: int) -> tuple[Tensor, Tensor]:
        generator = stream(self.config.seed, *place)
        inputs, targets = copy_memory(count, self.config.wait, generator, SYMBOLS, LENGTH)
        one_hot = np.eye(SYMBOLS + 2, dtype=np.float32)[inputs]  # (T, B, symbols + 2)
        return self.place(one_hot), self.place(targets)

    def loss(self, model: Any, x: Tensor, targets: Tensor) -> Tensor:
        logits = model(x)  # (T, B, symbols + 1)
        return ops.cross_entropy(logits.reshape(-1, logits.shape[-1]), targets.reshape(-1))

    def validate(self, model: Any) -> Score:
        return self._measure(model, VALIDATION)

    def test(self, model: Any) -> Score:
        return self._measure(model, TEST)

    def _measure(self, model: Any, place: int) -> Score:
        x, targets = self._drawn(HELD_OUT, place)
        said = model(x)[-LENGTH:].argmax(axis=-1)
        right = (said == targets[-LENGTH:]).numpy().mean()
        return {"loss": self.loss(model, x, targets).item(), "recalled": float(right)}

    def show(self, model: Any, step: int) -> str:
        x, targets = self._drawn(1, VALIDATION, step)
        asked, said = targets.numpy()[-LENGTH:, 0], model(x)[-LENGTH:, 0].argmax(axis=-1).numpy()
        return f"asked {_written(asked)}\nsaid  {_written(said)}"

    def rivals(self) -> dict[str, Score]:
        loss = copy_baseline(self.config.wait, SYMBOLS, LENGTH)
        return {"no memory": {"loss": loss, "recalled": 1 / SYMBOLS}}


def _written(symbols: np.ndarray) -> str:
    """Symbols as digits, the blank as a dot."""
    return " ".join("." if symbol == SYMBOLS else str(symbol) for symbol in symbols.tolist())
