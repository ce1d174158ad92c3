"""The adding problem: two numbers to remember over many steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_seq import ops
from tinygrad_seq.autograd import Tensor
from tinygrad_seq.data import ADDING_BASELINE, adding
from tinygrad_seq.models import Reader
from tinygrad_seq.train.batches import TEST, TRAINING, VALIDATION, stream
from tinygrad_seq.train.config import RecurrentConfig, option
from tinygrad_seq.train.task import Measure, Score, Task

HELD_OUT = 1000
NEAR = 0.04  # an answer this close counts as right, as in Hochreiter and Schmidhuber (1997)


@dataclass(frozen=True, kw_only=True)
class AddingConfig(RecurrentConfig):
    """Options of the adding problem."""

    length: int = option(100, "Steps of a sequence (T).", "T")
    batch: int = 50
    hidden: int = 64
    steps: int = 2000
    lr: float = 0.02

    def __post_init__(self) -> None:
        """Raises ArgumentError, naming the option, for a value out of range."""
        super().__post_init__()
        self._check("length", self.length >= 2, "a whole number ≥ 2")


class Adding(Task):
    """The sum of the two marked numbers in a long row.

    It comes from the last state. No sequence is seen twice.
    """

    name = "adding"
    Config = AddingConfig
    measures = (
        Measure("loss", "MSE", "mean squared error", ".5f"),
        Measure("near", f"within {NEAR}", f"within {NEAR}", ".1%", more_is_better=True),
    )
    items = ("sequences", "seq")
    config: AddingConfig
    held_out = f"{HELD_OUT:,} new sequences"

    def describe_data(self) -> str:
        return f"adding problem: rows of {self.config.length} numbers, two of them marked"

    def new_model(self) -> Reader:
        # A gate that starts open lets the first number live until the end.
        options: dict[str, Any] = {"forget_bias": 1.0} if self.config.model == "lstm" else {}
        return Reader(2, 1, **self.config.net, **options)

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        return self._drawn(self.config.batch, TRAINING, step)

    def _drawn(self, count: int, *place: int) -> tuple[Tensor, Tensor]:
        x, y = adding(count, self.config.length, stream(self.config.seed, *place))
        return self.place(x), self.place(y)

    def loss(self, model: Any, x: Tensor, y: Tensor) -> Tensor:
        return ops.mse_loss(model(x), y)

    def validate(self, model: Any) -> Score:
        return self._measure(model, VALIDATION)

    def test(self, model: Any) -> Score:
        return self._measure(model, TEST)

    def _measure(self, model: Any, place: int) -> Score:
        x, y = self._drawn(HELD_OUT, place)
        error = (model(x) - y).numpy().astype(np.float64)
        return {"loss": float(np.mean(error**2)), "near": float(np.mean(abs(error) < NEAR))}

    def show(self, model: Any, step: int) -> str:
        x, _ = self._drawn(3, VALIDATION, step)
        numbers = x.numpy()[..., 0].T[x.numpy()[..., 1].T == 1].reshape(-1, 2).tolist()
        said = model(x).numpy()[:, 0].tolist()
        return "\n".join(
            f"{a:.3f} + {b:.3f} = {a + b:.3f}, said {y:.3f}"
            for (a, b), y in zip(numbers, said, strict=True)
        )

    def rivals(self) -> dict[str, Score]:
        held: dict[str, Score] = {"always 1, their mean": {"loss": ADDING_BASELINE}}
        if self.config.length == 100:  # 1 of 2560 answers was wrong
            held["LSTM (Hochreiter, Schmidhuber 1997)"] = {"near": 2559 / 2560}
        return held
