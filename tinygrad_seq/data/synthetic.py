"""Made-up tasks that only a memory over many steps can solve, with what one scores without it.

Batches are time-major and drawn from a ``Generator``, so that its seed fixes every number.
"""

from __future__ import annotations

from math import log

import numpy as np

from tinygrad_seq.backend import Generator
from tinygrad_seq.errors import ArgumentError, expect

#: mean squared error on the adding problem of always saying 1: the variance of the sum, 2/12
ADDING_BASELINE = 1 / 6


def adding(count: int, steps: int, generator: Generator) -> tuple[np.ndarray, np.ndarray]:
    """The adding problem: the sum of the two numbers that are marked in a long row of numbers.

    Returns x (T, B, 2) and y (B, 1), float32, for T = ``steps`` and B = ``count``. x[..., 0] is
    uniform on [0, 1); x[..., 1] marks with 1 one step of the first half, ⌊T/2⌋ steps, and one of
    the second, all else being 0. y is the sum of the two marked numbers. Always saying 1, their
    mean, gives a mean squared error of 1/6 = 0.1667 (``ADDING_BASELINE``).

    Raises ArgumentError for count < 1 or steps < 2. Source: Hochreiter and Schmidhuber, Long
    Short-Term Memory (1997), in the form of Arjovsky, Shah and Bengio, Unitary Evolution Recurrent
    Neural Networks (2016).
    """
    _at_least("adding", count=(count, 1), steps=(steps, 2))
    half, rows = steps // 2, np.arange(count)
    first = generator.integers(0, half, (count,))
    second = generator.integers(half, steps, (count,))
    x = np.zeros((steps, count, 2), np.float32)
    x[..., 0] = generator.uniform((steps, count), np.float32)
    x[first, rows, 1] = x[second, rows, 1] = 1
    y = x[first, rows, 0] + x[second, rows, 0]
    return x, y[:, np.newaxis]


def copy_memory(
    count: int, steps: int, generator: Generator, symbols: int = 8, length: int = 10
) -> tuple[np.ndarray, np.ndarray]:
    """The copy problem: say the symbols again, in order, after a long wait.

    Returns inputs and targets (T + 2·length, B) int64 for T = ``steps`` and B = ``count``. Symbols
    are 0 … symbols − 1; then come blank and delimiter, so there are symbols + 2 in all:

        inputs   | length symbols | T − 1 blanks | delimiter | length blanks       |
        targets  | T + length blanks                         | the symbols again   |

    Without memory one gets the blanks right and guesses the rest: ``copy_baseline``.

    Raises ArgumentError for a size below 1. Source: Hochreiter and Schmidhuber, Long Short-Term
    Memory (1997), in the form of Arjovsky, Shah and Bengio, Unitary Evolution Recurrent Neural
    Networks (2016).
    """
    _at_least("copy_memory", count=(count, 1), steps=(steps, 1))
    _at_least("copy_memory", symbols=(symbols, 1), length=(length, 1))
    blank, delimiter = symbols, symbols + 1
    remember = generator.integers(0, symbols, (length, count))
    inputs = np.full((steps + 2 * length, count), blank, np.int64)
    targets = inputs.copy()
    inputs[:length] = targets[-length:] = remember
    inputs[length + steps - 1] = delimiter
    return inputs, targets


def copy_baseline(steps: int, symbols: int = 8, length: int = 10) -> float:
    """Cross-entropy of the copy problem without memory, in nats per step.

    length · ln symbols / (T + 2·length): 10·ln 8/(T + 20), which is 0.1733 for T = 100.

    >>> round(copy_baseline(100), 4)
    0.1733
    """
    return length * log(symbols) / (steps + 2 * length)


def _at_least(task: str, **sizes: tuple[int, int]) -> None:
    for name, (value, least) in sizes.items():
        expect(value >= least, task, f"{name} ≥ {least}", value, ArgumentError)
