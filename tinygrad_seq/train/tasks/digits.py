"""Handwritten digits, read row by row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tinygrad_seq import ops
from tinygrad_seq.autograd import Tensor
from tinygrad_seq.data import bucketed, mnist
from tinygrad_seq.errors import OutOfRangeError, expect
from tinygrad_seq.models import RowClassifier
from tinygrad_seq.nn import Module
from tinygrad_seq.train.batches import VALIDATION, Epochs, stream
from tinygrad_seq.train.config import RecurrentConfig, TrainConfig, option
from tinygrad_seq.train.task import Measure, Score, Task, weighted_mean

CLASSES = 10
HELD_BACK = 12  # one training image in so many is for validation


@dataclass(frozen=True, kw_only=True)
class DigitsConfig(RecurrentConfig):
    """Options of the digit reader."""

    batch: int = option(100, "Images side by side.")
    steps: int = 1650


class Digits(Task):
    """Handwritten digits (MNIST), read row by row.

    The class comes from the last state. One in twelve training images is held out for looking.
    """

    name = "digits"
    Config: ClassVar[type[TrainConfig]] = DigitsConfig
    measures = (
        Measure("accuracy", "right", "accuracy", ".2%", more_is_better=True),
        Measure("loss", "nats", "nats per image"),
    )
    items = ("images", "img")
    things = "images"
    config: Any

    def __init__(self, config: Any):
        super().__init__(config)
        images, labels = mnist(train=True)
        held = stream(0, VALIDATION).permutation(len(images))[: len(images) // HELD_BACK]
        self._held, self._kept = held, np.setdiff1d(np.arange(len(images)), held)
        self._train, self._test = (images, labels), mnist(train=False)
        shuffled = lambda generator: bucketed(self._kept, config.batch, generator, pool=1)
        self._epochs = Epochs(shuffled, config.seed)
        self.updates_per_epoch = self._epochs.count
        self.held_out = f"the test set of {len(self._test[0]):,} images"

    def describe_data(self) -> str:
        kept, held = len(self._kept), len(self._held)
        return (
            f"MNIST: {kept:,} + {held:,} + {len(self._test[0]):,} images, {self.describe_steps()}"
        )

    def describe_steps(self) -> str:
        """How an image is read."""
        rows, columns = self._train[0].shape[1:]
        return f"read in {rows} steps of {columns} pixels"

    def new_model(self) -> Module:
        return RowClassifier(self._train[0].shape[-1], CLASSES, **self.config.net)

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        return self._placed(*self._train, self._kept[self._epochs.at(step)])

    def _placed(self, images: np.ndarray, labels: np.ndarray, at: Any) -> tuple[Tensor, Tensor]:
        return self.pixels(images[at]), self.place(labels[at])

    def pixels(self, images: np.ndarray) -> Tensor:
        """Images (N, H, W) of bytes, as models read them: floats from 0 to 1."""
        return self.place(images.astype(np.float32) / np.float32(255))

    def test_image(self, number: int) -> tuple[np.ndarray, int]:
        """Image 0, 1, … of the test set (H, W) and its digit. OutOfRangeError if there is none."""
        images, labels = self._test
        expected = f"a number from 0 to {len(images) - 1}"
        expect(0 <= number < len(images), "image", expected, number, OutOfRangeError)
        return images[number], int(labels[number])

    def loss(self, model: Any, images: Tensor, labels: Tensor) -> Tensor:
        return ops.cross_entropy(model(images), labels)

    def validate(self, model: Any) -> Score:
        return self._measure(model, *self._train, self._held)

    def test(self, model: Any) -> Score:
        return self._measure(model, *self._test, np.arange(len(self._test[0])))

    def _measure(
        self, model: Any, images: np.ndarray, labels: np.ndarray, which: np.ndarray
    ) -> Score:
        scores: list[tuple[Score, int]] = []
        for at in bucketed(which, 500, pool=1):
            x, y = self._placed(images, labels, which[at])
            logits = model(x)
            right = (logits.argmax(axis=-1) == y).numpy().mean()
            loss = ops.cross_entropy(logits, y).item()
            scores.append(({"accuracy": float(right), "loss": loss}, len(at)))
        return weighted_mean(scores)

    def rivals(self) -> dict[str, Score]:
        labels = self._test[1]
        commonest = np.bincount(self._train[1]).argmax()
        return {
            "always the commonest digit": {"accuracy": float(np.mean(labels == commonest))},
            "linear classifier (LeCun et al. 1998)": {"accuracy": 0.88},
            "LeNet-5, convolutions (LeCun et al. 1998)": {"accuracy": 0.9905},
        }
