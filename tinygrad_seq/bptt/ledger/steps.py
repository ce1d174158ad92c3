"""A recurrence recorded one step at a time, each on a tape of its own.

Every step starts from leaves that hold the state before it, so a backward pass ends there: what it
finds is the derivative of that one step. Pulling ∂L_s/∂state_t back through step t gives
∂L_s/∂state_{t−1}, and on the way what step t's use of the parameters adds. That works for whatever
a cell computes, and nothing of the user's has to be replaced.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tinygrad_seq.autograd import Tensor, grad
from tinygrad_seq.backend import device_of, to_host, transfer
from tinygrad_seq.errors import ArgumentError, expect


class Part(NamedTuple):
    """One tensor of the state: its name, and its shape as the model has it."""

    name: str
    shape: tuple[int, ...]

    @property
    def rows(self) -> int:
        """B; 1 for a state without a batch."""
        return self.shape[0] if len(self.shape) == 2 else 1

    @property
    def width(self) -> int:
        """H; 1 for a state that is a number."""
        return self.shape[-1] if self.shape else 1

    def matrix(self, array: np.ndarray) -> np.ndarray:
        """An array of the tensor's shape as (B, H)."""
        return array.reshape(self.rows, self.width)


class Segment(NamedTuple):
    """Step t on its own tape. ``before`` is empty where the cell starts from no state at all."""

    before: Sequence[Tensor]
    after: Sequence[Tensor]
    #: after the step, as leaves, and the loss that was computed from them
    seen: Sequence[Tensor]
    loss: Tensor | None
    gates: Mapping[str, np.ndarray]


@dataclass(eq=False, repr=False)
class Steps:
    """All steps 1 … T of a run, and products of vectors with their derivatives.

    A vector is (B, S): for each row all tensors of the state side by side.
    """

    parts: Sequence[Part]
    initial: Sequence[Tensor]
    segments: Sequence[Segment]
    parameters: Mapping[str, Tensor]

    @property
    def shape(self) -> tuple[int, int]:
        """(B, S)."""
        return self.parts[0].rows, sum(part.width for part in self.parts)

    @property
    def dtype(self) -> np.dtype:
        """What all is computed in."""
        return np.result_type(*(s.dtype for s in self.segments[0].after))

    # ------------------------------------------------------------------ vectors

    def joined(self, arrays: Sequence[np.ndarray]) -> np.ndarray:
        """Arrays shaped as the tensors of the state → (B, S); nothing at all gives zeros."""
        if not arrays:
            return np.zeros(self.shape, self.dtype)
        pairs = zip(self.parts, arrays, strict=True)
        return np.concatenate([part.matrix(array) for part, array in pairs], axis=1)

    def parted(self, vector: np.ndarray, like: Sequence[Tensor]) -> list[Tensor]:
        """(B, S) → tensors shaped as those of the state, beside ``like``."""
        pairs = zip(self._split(vector, like), like, strict=True)
        return [
            Tensor(transfer(piece.astype(t.dtype, copy=False), device_of(t.data)))
            for piece, t in pairs
        ]

    def _split(self, vector: np.ndarray, like: Sequence[Tensor]) -> list[np.ndarray]:
        ends = np.cumsum([part.width for part in self.parts])[:-1]
        pieces = np.split(vector, ends, axis=1)
        return [piece.reshape(t.shape) for piece, t in zip(pieces, like, strict=True)]

    # ------------------------------------------------------------------ derivatives

    def back(self, t: int, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """v = ∂L/∂state_t → ∂L/∂state_{t−1}, and ∂L by each tensor of the state at t through all it
        feeds: within step t, and what comes later."""
        segment = self.segments[t - 1]
        wanted = [*segment.before, *segment.after]
        found = self._pull(segment.after, wanted, v)
        n = len(segment.before)
        # A constant has no place on the tape; within the step it feeds nothing.
        pairs = zip(segment.after, found[n:], self._split(v, segment.after), strict=True)
        total = [g if h.requires_grad else own for h, g, own in pairs]
        return self.joined(found[:n]), self.joined(total)

    def loss_gradient(self, s: int) -> np.ndarray:
        """∂L_s/∂state_s, where L_s is computed from it."""
        segment = self.segments[s - 1]
        if segment.loss is None or not segment.loss.requires_grad:
            return np.zeros(self.shape, self.dtype)
        return self.joined(_gradients([segment.loss], segment.seen, None))

    def share(self, carried: np.ndarray, losses: Iterable[int], t: int) -> dict[str, np.ndarray]:
        """What the given losses add to each parameter's gradient through step t."""
        chosen = list(losses)
        wanted = list(self.parameters.values())
        outputs = self.segments[t - 1].after if t else self.initial
        found = [np.zeros(p.shape, p.dtype) for p in wanted]
        if chosen:
            found = self._pull(outputs, wanted, carried[chosen, t].sum(axis=0))
        if t and t in chosen:
            loss = self.segments[t - 1].loss
            if loss is not None and loss.requires_grad:
                direct = _gradients([loss], wanted, None)
                found = [a + b for a, b in zip(found, direct, strict=True)]
        return dict(zip(self.parameters, found, strict=True))

    def jacobians(self) -> np.ndarray:
        """∂state_t/∂state_{t−1} of each row (T+1, B, S, S), 0 at t = 0.

        One backward pass for each number of the state, for all rows at once.
        """
        rows, size = self.shape
        result = np.zeros((len(self.segments) + 1, rows, size, size), self.dtype)
        for t in range(1, len(result)):
            self._expect_separate_rows(t)
            for j in range(size):
                v = np.zeros(self.shape, self.dtype)
                v[:, j] = 1
                result[t, :, j] = self.back(t, v)[0]
        return result

    def _expect_separate_rows(self, t: int) -> None:
        """What is put in at one row alone must come out at that row alone."""
        if self.shape[0] > 1:
            v = np.zeros(self.shape, self.dtype)
            v[0] = np.linspace(1, 2, self.shape[1])
            ok = not self.back(t, v)[0][1:].any()
            got = f"a step t = {t} that mixes them"
            expect(ok, "ledger", "rows that do not act on each other", got, ArgumentError)

    def _pull(
        self, outputs: Sequence[Tensor], wanted: Sequence[Tensor], v: np.ndarray
    ) -> list[np.ndarray]:
        if not any(output.requires_grad for output in outputs):
            return [np.zeros(w.shape, w.dtype) for w in wanted]
        return _gradients(outputs, wanted, self.parted(v, outputs))


def _gradients(
    outputs: Sequence[Tensor], wanted: Sequence[Tensor], v: Sequence[Tensor] | None
) -> list[np.ndarray]:
    """Gradients on the host, zeros where there is none. The tape is kept for the next time."""
    places = [w for w in wanted if w.requires_grad]
    found = iter(grad(outputs, places, v, retain_graph=True, allow_unused=True))
    results = []
    for w in wanted:
        g = next(found) if w.requires_grad else None
        results.append(np.zeros(w.shape, w.dtype) if g is None else to_host(g.data))
    return results
