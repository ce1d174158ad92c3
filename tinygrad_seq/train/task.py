"""What a task has to say for itself, so that one loop, one log and one command serve them all."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from tinygrad_seq.autograd import Tensor, tensor
from tinygrad_seq.errors import StateError, expect
from tinygrad_seq.nn import Module
from tinygrad_seq.optim import Adam, Optimizer
from tinygrad_seq.train.config import TrainConfig

if TYPE_CHECKING:
    from tinygrad_seq.train.run import Run

#: What was measured: each measure's value by its key; ``"loss"`` is always among them.
Score = dict[str, float]


@dataclass(frozen=True)
class Measure:
    """A number that tells how good a model is, and how it is written."""

    #: its name in scores and in the log: ``bits_per_character``
    key: str
    #: behind the number where there is little room: ``bits/char``
    short: str
    #: behind the number where there is more: ``bits per character``
    words: str
    form: str = ".3f"
    more_is_better: bool = False

    def show(self, value: float, unit: str) -> str:
        """The number and its unit."""
        return f"{value:{self.form}} {unit}"


class Task(ABC):
    """Data, model, loss, measures and rivals of one kind of run; a subclass fills them in.

    It holds what follows from its configuration alone. What changes while it trains (weights, step,
    recurrent state) belongs to the ``Run``.
    """

    #: as the command line calls it, and its folder
    name: ClassVar[str]
    Config: ClassVar[type[TrainConfig]]
    #: the first is what results are sorted by
    measures: ClassVar[tuple[Measure, ...]]
    #: what is counted while training: ``tokens``, and their short name
    items: ClassVar[tuple[str, str]]
    #: what a batch is made of
    things: ClassVar[str] = "sequences"
    #: a command that lets the trained model do something, {} its folder: ``sample {}``
    trial: ClassVar[str] = ""
    #: what was held out for the end: ``test set of 10,000 images``
    held_out: str
    #: tells the data of this run from other data; empty where the configuration decides it
    fingerprint: str = ""
    #: updates in which all training data is seen once; None where it never ends
    updates_per_epoch: int | None = None

    def __init__(self, config: Any):
        """Read or make the data. Raises DataError where that cannot be done."""
        self.config = config

    @abstractmethod
    def describe_data(self) -> str:
        """The data in a line."""

    def describe_model(self) -> str:
        """The model in a few words."""
        c = self.config
        units = f"{c.layers} x {c.hidden}" if c.layers > 1 else f"{c.hidden}"
        return f"{c.model} with {units} units"

    def describe_updates(self) -> str:
        """What all the updates see, after their number: ``updates on 100 images each``."""
        epochs = self.config.steps / (self.updates_per_epoch or math.inf)
        times = f" ({epochs:.3g} epochs)" if epochs else ""
        return f"updates on {self.config.batch} {self.things} each{times}"

    @abstractmethod
    def new_model(self) -> Module:
        """A freshly initialised model."""

    def optimizer(self, model: Module) -> Optimizer:
        """What makes the steps; the configuration sets the rate of each, for all its groups."""
        return Adam(model.parameters(), lr=self.config.lr)

    def batch(self, step: int) -> tuple[Any, ...]:
        """What update number ``step`` trains on: a function of ``step`` and the seed alone.

        This and ``loss`` are all that is needed where ``updates`` stays what it is.
        """
        raise NotImplementedError

    def loss(self, model: Any, *batch: Any) -> Tensor:
        """The mean loss on a batch."""
        raise NotImplementedError

    def next_loss(self, run: Run) -> Tensor:
        """The loss that the next update will go down, as the run stands; nothing changes."""
        return self.loss(run.model, *self.batch(run.step))

    def count(self, *batch: Any) -> int:
        """How many ``items`` a batch holds."""
        return int(self.config.batch)

    def updates(self, run: Run) -> Iterator[tuple[Tensor, int]]:
        """Put the gradients of one update after the other into ``.grad``; → loss, items.

        Where the iterator ends the loop asks for another. ``run.state`` is the task's to set.
        """
        batch = self.batch(run.step)
        loss = self.loss(run.model, *batch)
        loss.backward()
        yield loss.detach(), self.count(*batch)

    @abstractmethod
    def validate(self, model: Any) -> Score:
        """How good the model is on data held out for looking. The model is in evaluation mode."""

    @abstractmethod
    def test(self, model: Any) -> Score:
        """How good the model is on data that nothing was chosen by."""

    @abstractmethod
    def rivals(self) -> dict[str, Score]:
        """What others reach on the test data, by name: what needs no net, and published figures."""

    def score(self, loss: float) -> Score:
        """A loss with the measures that follow from it."""
        return {"loss": loss}

    def show(self, model: Any, step: int) -> str | None:
        """Something that the model does, to look at while it trains."""
        return None

    def extra(self) -> dict[str, Any]:
        """What the trained model cannot be used without, besides its weights."""
        return {}

    def check_data(self, fingerprint: str) -> None:
        """Raise StateError if the run was started with other data than there is now."""
        expect(fingerprint == self.fingerprint, self.name, "the data the run was started with",
               "other data", StateError)  # fmt: skip

    def place(self, array: np.ndarray) -> Tensor:
        """An array on the device of the run."""
        return tensor(array, device=self.config.device)


def weighted_mean(scores: list[tuple[Score, int]]) -> Score:
    """The mean of scores, each with the number of items it is the mean of."""
    total = sum(count for _, count in scores)
    keys = scores[0][0] if scores else ()
    return {key: sum(score[key] * count for score, count in scores) / total for key in keys}
