"""Every training task at a size that trains in a moment, on data that is made here."""

import numpy as np

from tinygrad_seq.backend import Generator
from tinygrad_seq.data import Chorales
from tinygrad_seq.train.tasks import char_lm, digits, music

TEXT = "she sells sea shells by the sea shore. " * 12
RUN = {"steps": 43, "lr": 0.01, "clip": 0.3, "log_every": 4, "look_every": 20,
       "checkpoint_every": 9}  # fmt: skip
TINY = {
    "char-lm": {**RUN, "embedding": 3, "hidden": 5, "batch": 4, "bptt": 6},
    "digits": {**RUN, "hidden": 5, "batch": 7},
    "adding": {**RUN, "hidden": 5, "batch": 4, "length": 8},
    "copy": {**RUN, "hidden": 5, "batch": 3, "wait": 4},
    "music": {**RUN, "hidden": 5, "batch": 3},
}


def little_mnist(train=True):
    """Six rows of five pixels; the label is the row with ink."""
    labels = Generator(int(train)).integers(0, 6, (120 if train else 30,))
    images = np.zeros((len(labels), 6, 5), np.uint8)
    images[np.arange(len(labels)), labels] = 255
    return images, labels


def little_chorales():
    """Two keys that take turns, in pieces of 3 to 9 frames."""

    def rolls(count, seed):
        made = []
        for length in Generator(seed).integers(3, 10, (count,)).tolist():
            roll = np.zeros((length, 88), np.float32)
            roll[np.arange(length), 40 + np.arange(length) % 2] = 1
            made.append(roll)
        return made

    return Chorales(rolls(20, 0), rolls(5, 1), rolls(6, 2))


def use(monkeypatch):
    """The data sets are those above, and nothing is read or downloaded."""
    monkeypatch.setattr(char_lm, "SAMPLE_LENGTH", 20)
    monkeypatch.setattr(digits, "mnist", little_mnist)
    monkeypatch.setattr(music, "jsb_chorales", little_chorales)
