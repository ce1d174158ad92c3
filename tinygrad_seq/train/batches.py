"""Which examples an update sees: a function of the seed and the step, so that nothing is saved."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tinygrad_seq.backend import Generator

#: the first number of the ``place`` of a stream: what it is for
TRAINING, VALIDATION, TEST = range(3)


def stream(seed: int, *place: int) -> Generator:
    """A random stream of its own for each ``place``: another for every step, say."""
    state = np.random.SeedSequence(seed, spawn_key=place).generate_state(1, np.uint64)
    return Generator(int(state[0]))


class Epochs:
    """Batches of a finite data set, each example once an epoch, in an order drawn anew for each.

    cut(generator) → the batches of an epoch, arrays of indices; always the same number of them.
    """

    def __init__(self, cut: Callable[[Generator], list[np.ndarray]], seed: int):
        self._cut = cut
        self._seed = seed
        self._epoch = 0
        self._batches = cut(stream(seed, TRAINING, 0))
        #: batches in an epoch
        self.count = len(self._batches)

    def at(self, step: int) -> np.ndarray:
        """The indices of the examples of step 0, 1, …"""
        epoch, index = divmod(step, self.count)
        if epoch != self._epoch:
            self._epoch, self._batches = epoch, self._cut(stream(self._seed, TRAINING, epoch))
        return self._batches[index]
