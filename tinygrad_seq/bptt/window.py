"""What all ways of running a long sequence share: the step function, and what is handed out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tinygrad_seq.autograd import Tensor
from tinygrad_seq.autograd.modes import modes
from tinygrad_seq.errors import ArgumentError, expect

#: step(x, y, state) → (loss, new state), over as many steps as x and y have
Step = Callable[[Any, Any, Any], tuple[Tensor, Any]]


@dataclass(frozen=True, slots=True)
class Window:
    """What became of steps ``start`` … ``stop`` − 1: their loss, and the state after them.

    Neither has a history: the window's graph is gone by now. ``since`` is the first step that the
    gradients of the loss reached back to. ``boundary`` is the state that the next window starts
    from, for going on another time; it is ``state`` unless windows overlap.
    """

    start: int
    stop: int
    loss: Tensor
    state: Any
    since: int
    boundary: Any = field(default=None, kw_only=True)


@dataclass(frozen=True, slots=True)
class LongSequence:
    """A step function and the sequence it is to run over, piece by piece."""

    op: str
    step: Step
    inputs: Any
    targets: Any
    steps: int

    @classmethod
    def of(cls, op: str, step: Step, inputs: Any, targets: Any) -> LongSequence:
        """Raises ShapeError where there is no step or inputs and targets differ in length."""
        steps = _length(op, "inputs", inputs)
        expect(steps > 0, op, "at least one step in inputs", f"shape {inputs.shape}")
        found = _length(op, "targets", targets)
        expect(found == steps, op, f"targets of {steps} steps, as inputs", found)
        return cls(op, step, inputs, targets, steps)

    def run(self, start: int, stop: int, state: Any) -> tuple[Tensor, Any]:
        """The loss of steps ``start`` … ``stop`` − 1 and the state after them.

        Raises ArgumentError where ``step`` does not return a pair of a scalar loss and a state.
        """
        x, y = self.inputs[start:stop], self.targets[start:stop]
        whole = stop - start == self.steps
        around = modes.window
        modes.window = around if whole else (start, stop, self.steps)
        try:
            result = self.step(x, y, state)
        finally:
            modes.window = around
        pair = isinstance(result, tuple) and len(result) == 2
        got = type(result).__name__
        expect(pair, self.op, "step to return a pair (loss, state)", got, ArgumentError)
        loss = result[0]
        scalar = isinstance(loss, Tensor) and loss.size == 1
        got = f"shape {loss.shape}" if isinstance(loss, Tensor) else type(loss).__name__
        expect(scalar, self.op, "step to return a scalar loss", got, ArgumentError)
        return result


def _length(op: str, name: str, sequence: Any) -> int:
    """The number of steps of a tensor or array whose first axis is time."""
    shape = getattr(sequence, "shape", None)
    got = type(sequence).__name__ if shape is None else f"shape {shape}"
    expect(shape, op, f"{name} with time as its first axis", got)
    return int(sequence.shape[0])
