"""What the units of a trained character model do while it reads a text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_seq.autograd import no_grad, tensor
from tinygrad_seq.errors import ArgumentError, DataError, OutOfRangeError, expect
from tinygrad_seq.train.sample import expect_task, saved_model
from tinygrad_seq.train.tasks import CharTask


@dataclass(frozen=True)
class Activations:
    """values (T, H): what each unit of one layer was right after each character of ``text``.

    layer: which one of how many, counted from 1. what: "h", or "tanh c" of an LSTM's cell.
    """

    text: str
    values: np.ndarray
    layer: int
    layers: int
    what: str

    def liveliest(self) -> list[int]:
        """All units, counted from 1, by how much they vary over the text, the most first."""
        order = np.argsort(-self.values.std(axis=0), kind="stable")
        return [int(unit) + 1 for unit in order]

    def of(self, unit: int) -> np.ndarray:
        """What one unit did (T,), units counted from 1. Raises OutOfRangeError for one that is not
        there."""
        count = self.values.shape[1]
        expect(1 <= unit <= count, "color", f"a unit from 1 to {count}", unit, OutOfRangeError)
        return self.values[:, unit - 1]


def read_activations(
    saved: dict[str, Any],
    text: str,
    layer: int | None = None,
    cell: bool = False,
    device: str = "cpu",
) -> Activations:
    """Let the model in a checkpoint read a text from a state of zeros, and note what it holds.

    layer: counted from 1, the top one by default. cell: tanh c_t instead of h_t, as Karpathy et al.
    (arXiv:1506.02078) look at. Raises StateError for the checkpoint of another task than char-lm,
    DataError for no text, OutOfRangeError for a character or a layer that is not there,
    ArgumentError for the cell of what has none.
    """
    expect_task(saved, "color", CharTask, "whose model is recurrent")
    model, vocabulary = saved_model(saved, device)
    expect(text, "color", "a text of one character or more", "none", DataError)
    layers, kind = model.rnn.num_layers, type(model.rnn).__name__
    layer = layers if layer is None else layer
    expected = f"a layer from 1 to {layers}"
    expect(1 <= layer <= layers, "color", expected, layer, OutOfRangeError)
    ok = kind == "LSTM" or not cell
    expect(ok, "color", "--cell only for an lstm", kind.lower(), ArgumentError)
    held, state = [], None
    with no_grad():
        for token in vocabulary.encode(text):
            x = model.embedding(tensor(np.array([[token]]), device=device))  # (1, 1, E)
            _, state = model.rnn(x, state)
            part = state[int(cell)] if kind == "LSTM" else state  # (layers, 1, H)
            held.append(part[layer - 1, 0].numpy())
    values = np.stack(held)
    return Activations(text, np.tanh(values) if cell else values, layer, layers,
                       "tanh c" if cell else "h")  # fmt: skip
