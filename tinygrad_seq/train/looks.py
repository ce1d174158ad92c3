"""What a trained model looks at: attention maps out of checkpoints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_seq.autograd import tensor
from tinygrad_seq.errors import ArgumentError, expect
from tinygrad_seq.train.sample import expect_task, saved_digits, saved_model, saved_translator
from tinygrad_seq.train.tasks import GPTTask
from tinygrad_seq.train.which import MEAN, Which


@dataclass(frozen=True)
class Look:
    """weights (S, T): how much each character of ``said`` looked at each of ``read``."""

    weights: np.ndarray
    read: str
    said: str


@dataclass(frozen=True)
class Glance:
    """A digit (H, W), the weights (G, G) with which the class token looked at its patches, what
    digit it is and as what it was read."""

    image: np.ndarray
    weights: np.ndarray
    label: int
    said: int


def look_at_source(
    saved: dict[str, Any], text: str, which: Which = MEAN, device: str = "cpu"
) -> Look:
    """Where a translator looks in a text while it says what that means. Raises what
    ``Translator.look`` raises."""
    said, weights = saved_translator(saved, "attend", device).look(text, which)
    return Look(weights, text, said)


def look_back(saved: dict[str, Any], text: str, which: Which = MEAN, device: str = "cpu") -> Look:
    """How much each character of a text looks at itself and those before it, in a GPT.

    Raises ArgumentError for an empty text and one longer than the GPT can look back on, and
    OutOfRangeError for a character, a layer or a head that it does not have.
    """
    expect_task(saved, "attend", GPTTask, "whose model looks back")
    model, vocabulary = saved_model(saved, device)
    ok, expected = 0 < len(text) <= model.context, f"a text of 1 to {model.context} characters"
    expect(ok, "attend", expected, f"one of {len(text)}", ArgumentError)
    tokens = tensor(vocabulary.encode(text)[np.newaxis], device=device)  # (1, T)
    return Look(which.of(model.attention_maps(tokens)[:, 0]), text, text)


def look_at_digit(
    saved: dict[str, Any], number: int, which: Which = MEAN, device: str = "cpu"
) -> Glance:
    """What the class token of a ViT looks at in image ``number`` of the test set, counted from 0.

    Raises OutOfRangeError for an image, a layer or a head that is not there, and DataError where
    MNIST cannot be had.
    """
    task, model = saved_digits(saved, "attend", device)
    image, label = task.test_image(number)
    placed = task.pixels(image[np.newaxis])  # (1, H, W)
    weights = which.of(model.attention_maps(placed)[:, 0])[0, 1:]  # (1 + G·G)² → (G·G,)
    said = int(model(placed).argmax(axis=-1).item())
    return Glance(image, weights.reshape(model.grid, model.grid), label, said)
