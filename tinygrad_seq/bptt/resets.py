"""Rows of the batch whose state is set back, at steps of their own."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_seq import ops
from tinygrad_seq.autograd import Tensor
from tinygrad_seq.backend import is_array, to_host, transfer
from tinygrad_seq.bptt.state import rebuilt, tensors_of
from tinygrad_seq.errors import ArgumentError, DTypeError, expect

OP = "TruncatedBPTT"


class Resets:
    """Before step t, row b goes back to the initial state where ``where[t, b]`` holds.

    s_t ← r_t ⊙ s_init + (1 − r_t) ⊙ s_t: no gradient passes from a row to before its reset; what
    it has after it reaches the initial state.
    """

    def __init__(self, where: Any, steps: int, initial: Any, batch_axis: int):
        where = where.data if isinstance(where, Tensor) else where
        shape = getattr(where, "shape", None)
        got = type(where).__name__ if shape is None else shape
        ok = is_array(where) and len(where.shape) == 2 and where.shape[0] == steps
        expect(ok, OP, f"resets of shape ({steps}, B)", got)
        expect(where.dtype == np.bool_, OP, "boolean resets", where.dtype, DTypeError)
        self.where = where
        self.initial = initial
        self.batch_axis = batch_axis

    def times(self, start: int, stop: int) -> list[int]:
        """The steps from ``start`` to ``stop`` − 1 before which some row is set back."""
        rows = to_host(self.where[start:stop])
        return [start + int(t) for t in np.flatnonzero(rows.any(axis=1))]

    def apply(self, t: int, state: Any) -> Any:
        """The state that step t starts from, given the one that the step before left."""
        rows = to_host(self.where[t])
        held = tensors_of(state, OP)
        if not rows.any() or not held:
            return state
        initial: list[Any] = [0.0] * len(held)
        if self.initial is not None:
            initial = tensors_of(made(self.initial), OP)
            got = f"{len(initial)} and {len(held)}"
            same = len(initial) == len(held)
            expect(same, OP, "initial to have as many tensors as the state", got, ArgumentError)
        masks = [self._mask(rows, tensor) for tensor in held]
        set_back = map(ops.where, masks, initial, held)
        return rebuilt(state, list(set_back))

    def _mask(self, rows: np.ndarray, state: Tensor) -> Any:
        """The rows as a mask that broadcasts along the batch axis of a state tensor."""
        axis, sizes = self.batch_axis, [1] * state.ndim
        ok = -state.ndim <= axis < state.ndim and state.shape[axis] == len(rows)
        expected = f"states with {len(rows)} rows, as resets, along axis {axis} (batch_axis)"
        expect(ok, OP, expected, f"shape {state.shape}")
        sizes[axis] = len(rows)
        return transfer(rows.reshape(sizes), state.device)


def made(state: Any) -> Any:
    """A state as it is, or what a function that makes one returns."""
    return state() if callable(state) else state
