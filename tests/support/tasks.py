"""Every training task at a size that trains in a moment, on data that is made here."""

import numpy as np

from tinygrad_seq.backend import Generator
from tinygrad_seq.data import Chorales
from tinygrad_seq.train.tasks import digits, music, text, translation

TEXT = "she sells sea shells by the sea shore. " * 12
RUN = {"steps": 43, "lr": 0.01, "clip": 0.3, "log_every": 4, "look_every": 20,
       "checkpoint_every": 9}  # fmt: skip
TINY = {
    "char-lm": {**RUN, "embedding": 3, "hidden": 5, "batch": 4, "bptt": 6},
    "digits": {**RUN, "hidden": 5, "batch": 7},
    "adding": {**RUN, "hidden": 5, "batch": 4, "length": 8},
    "copy": {**RUN, "hidden": 5, "batch": 3, "wait": 4},
    "music": {**RUN, "hidden": 5, "batch": 3},
    "translate-dates": {**RUN, "hidden": 6, "embedding": 4, "batch": 9},
    "seq2seq": {**RUN, "hidden": 6, "embedding": 4, "batch": 13},
    "gpt": {**RUN, "layers": 2, "heads": 2, "width": 8, "context": 7, "batch": 4, "warmup": 5},
    "vit": {**RUN, "layers": 2, "heads": 2, "width": 8, "patch": 3, "batch": 7, "warmup": 5},
}


def little_mnist(train=True):
    """Six rows of six pixels; the label is the row with ink."""
    labels = Generator(int(train)).integers(0, 6, (120 if train else 30,))
    images = np.zeros((len(labels), 6, 6), np.uint8)
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


def little_dates():
    """Days of one month, as "7 may" or "may 7": 31 lines of either kind, shuffled."""
    lines = [(form.format(day), f"05-{day:02}") for day in range(1, 32)
             for form in ("{} may", "may {}")]  # fmt: skip
    return [lines[i] for i in Generator(0).permutation(len(lines))]


def little_sums():
    """Sums of two digits, shuffled."""
    lines = [(f"{a}+{b}", str(a + b)) for a in range(10) for b in range(10)]
    return [lines[i] for i in Generator(0).permutation(len(lines))]


def use(monkeypatch):
    """The data sets are those above, and nothing is read or downloaded."""
    monkeypatch.setattr(text, "SAMPLE_LENGTH", 20)
    monkeypatch.setattr(digits, "mnist", little_mnist)
    monkeypatch.setattr(music, "jsb_chorales", little_chorales)
    monkeypatch.setattr(translation, "dates", little_dates)
    monkeypatch.setattr(translation, "addition", little_sums)
