"""A long stream of tokens as a batch of parallel streams, for truncated BPTT.

The text is cut into B pieces of equal length that are read side by side; row b of window n goes on
where row b of window n − 1 stopped, so a recurrent state can be carried from window to window.

    tokens  a b c d e f g h i j k l m         B = 2, k = 3

    inputs  | a b c | d e f |                 targets  | b c d | e f g |
            | g h i | j k l |                          | h i j | k l m |
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_seq.errors import ArgumentError, DataError, expect


@dataclass(frozen=True)
class Streams:
    """One epoch: inputs and next-token targets, time-major (T, B), in windows of ``window`` steps.

    They are arrays, or Tensors on some device after ``map``. T is a multiple of ``window``; the few
    tokens left over at the end of the text are not used.
    """

    inputs: Any
    targets: Any
    window: int

    @classmethod
    def cut(cls, tokens: np.ndarray, batch: int, window: int) -> Streams:
        """Cut ``tokens`` (N,) into ``batch`` streams of whole windows.

        Raises DataError if the text is too short for one window.
        """
        for name, value in (("batch", batch), ("window", window)):
            expect(value >= 1, "Streams", f"{name} ≥ 1", value, ArgumentError)
        length = (len(tokens) - 1) // batch // window * window
        if length < window:
            raise DataError(
                f"the text is too short: {batch} streams of one window of {window} steps need "
                f"{batch * window + 1} characters to train on, got {len(tokens)}"
            )
        used = length * batch
        inputs, targets = tokens[:used], tokens[1 : used + 1]
        shape = (batch, length)
        return cls(inputs.reshape(shape).T.copy(), targets.reshape(shape).T.copy(), window)

    @property
    def windows(self) -> int:
        """How many windows an epoch has."""
        return len(self.inputs) // self.window

    def map(self, fn: Callable[[Any], Any]) -> Streams:
        """The same with ``fn`` applied to inputs and targets: to move them to a device."""
        return Streams(fn(self.inputs), fn(self.targets), self.window)

    def since(self, window: int) -> tuple[Any, Any]:
        """Inputs and targets from the given window of the epoch on."""
        start = window * self.window
        return self.inputs[start:], self.targets[start:]


def document_starts(documents: Sequence[Any], batch: int, window: int) -> np.ndarray:
    """Where a document begins, (T, B) bool, in the streams cut from the documents joined.

    True at [t, b] where ``Streams.cut(np.concatenate(documents), batch, window).inputs[t, b]`` is
    the first token of a document: there row b's state is to be reset before step t. Empty documents
    have no first token.

        documents  a b c | d e f g h | i j k l m          B = 2, k = 3

        inputs  | a b c | d e f |               starts  | 1 . . | 1 . . |
                | g h i | j k l |                       | . . 1 | . . . |
    """
    lengths = np.array([len(document) for document in documents], np.int64)
    first = np.zeros(int(lengths.sum()), bool)
    first[(np.cumsum(lengths) - lengths)[lengths > 0]] = True
    return np.asarray(Streams.cut(first, batch, window).inputs)
