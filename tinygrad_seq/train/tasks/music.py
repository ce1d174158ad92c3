"""Chorales by Bach: which keys sound in the next frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_seq.autograd import Tensor, no_grad
from tinygrad_seq.data import bucketed, jsb_chorales, pad
from tinygrad_seq.models import FrameModel
from tinygrad_seq.train.batches import Epochs
from tinygrad_seq.train.config import RecurrentConfig, option
from tinygrad_seq.train.task import Measure, Score, Task

KEYS = 88

# Frames (T, KEYS) and, for each of their keys, a condition of 0 or 1.
Pair = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class MusicConfig(RecurrentConfig):
    """Options of the chorale model."""

    batch: int = option(16, "Chorales side by side.")
    steps: int = 450
    lr: float = 0.01
    dropout: float = 0.5
    look_every: int = 50


class Music(Task):
    """Chorales by Bach: which keys sound in the next frame.

    Each of 88 keys is on or off by itself. Padding of shorter chorales counts for nothing.
    """

    name = "music"
    Config = MusicConfig
    measures = (Measure("loss", "nats/frame", "nats per frame"),)
    items = ("frames", "frames")
    things = "chorales"
    config: MusicConfig

    def __init__(self, config: MusicConfig):
        super().__init__(config)
        self._rolls = jsb_chorales()
        lengths = [len(roll) for roll in self._rolls.train]
        # Batches of like lengths would pad less, but a tanh net learns 0.1 nats less from them.
        self._epochs = Epochs(lambda g: bucketed(lengths, config.batch, g, pool=1), config.seed)
        self.updates_per_epoch = self._epochs.count
        self.held_out = f"the test set of {len(self._rolls.test)} chorales"

    def describe_data(self) -> str:
        rolls = self._rolls
        return (
            f"JSB chorales: {len(rolls.train)} + {len(rolls.validation)} + {len(rolls.test)} "
            f"pieces, {sum(map(len, rolls.train)):,} frames of {KEYS} keys to train on"
        )

    def new_model(self) -> FrameModel:
        """The read-out starts at the log-odds of each key, so that nothing has to be unlearned.

        From log-odds of 0, half of all keys sounding, training was still more than a nat behind
        after 300 updates.
        """
        model = FrameModel(KEYS, **self.config.net)
        p = _shares(_unconditional(self._rolls.train))[0]
        with no_grad():
            model.head.bias.copy_(self.place(np.log(p / (1 - p)).astype(np.float32)))
        return model

    def batch(self, step: int) -> tuple[Tensor, np.ndarray]:
        return self._padded([self._rolls.train[i] for i in self._epochs.at(step)])

    def _padded(self, rolls: Sequence[np.ndarray]) -> tuple[Tensor, np.ndarray]:
        frames, lengths = pad(rolls)
        return self.place(frames), lengths

    def count(self, frames: Tensor, lengths: np.ndarray) -> int:
        return int((lengths - 1).sum())

    def loss(self, model: Any, frames: Tensor, lengths: np.ndarray) -> Tensor:
        return model.nll(frames, lengths) / self.count(frames, lengths)

    def validate(self, model: Any) -> Score:
        return self._measure(model, self._rolls.validation)

    def test(self, model: Any) -> Score:
        return self._measure(model, self._rolls.test)

    def _measure(self, model: Any, rolls: Sequence[np.ndarray]) -> Score:
        total = frames = 0.0
        for at in bucketed([len(roll) for roll in rolls], 32):
            batch = self._padded([rolls[i] for i in at])
            total += model.nll(*batch).item()
            frames += self.count(*batch)
        return {"loss": total / frames}

    def rivals(self) -> dict[str, Score]:
        train, test = self._rolls.train, self._rolls.test
        return {
            "frequency of each key": {"loss": frequencies(train, test)},
            "frequency, given the last frame": {"loss": repeats(train, test)},
            "RNN (Bai et al. 2018)": {"loss": 8.91},
            "GRU (Bai et al. 2018)": {"loss": 8.43},
            "LSTM (Bai et al. 2018)": {"loss": 8.45},
        }


def frequencies(train: Sequence[np.ndarray], test: Sequence[np.ndarray]) -> float:
    """Nats per frame of keys that are independent of each other and of time; counts add-one."""
    return _counted(_unconditional(train), _unconditional(test))


def repeats(train: Sequence[np.ndarray], test: Sequence[np.ndarray]) -> float:
    """Nats per frame where each key depends on itself in the frame before; counts add-one."""
    return _counted([(x[1:], x[:-1]) for x in train], [(x[1:], x[:-1]) for x in test])


def _unconditional(rolls: Sequence[np.ndarray]) -> list[Pair]:
    return [(x[1:], np.zeros_like(x[1:])) for x in rolls]


def _shares(train: Sequence[Pair]) -> np.ndarray:
    """How often each key sounds under either value of the condition, (2, KEYS); counts add-one."""
    ons, alls = np.ones((2, KEYS)), np.full((2, KEYS), 2.0)
    for keys, condition in train:
        for value in (0, 1):
            ons[value] += (keys * (condition == value)).sum(axis=0)
            alls[value] += (condition == value).sum(axis=0)
    return ons / alls


def _counted(train: Sequence[Pair], test: Sequence[Pair]) -> float:
    """Bernoulli keys, one table of frequencies for each value of a condition, 0 or 1."""
    p = _shares(train)
    total = frames = 0.0
    for keys, condition in test:
        chance = np.where(condition == 1, p[1], p[0])
        total -= np.log(np.where(keys == 1, chance, 1 - chance)).sum()
        frames += len(keys)
    return float(total / frames)
