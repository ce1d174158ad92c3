"""Truncated backpropagation through time: a long sequence, one window at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tinygrad_seq.autograd import Tensor
from tinygrad_seq.errors import ArgumentError, expect

Step = Callable[[Any, Any, Any], tuple[Tensor, Any]]


@dataclass(frozen=True, slots=True)
class Window:
    """What became of steps ``start`` … ``stop`` − 1: their loss, and the state after them.

    Neither has a history: the window's graph is gone by now.
    """

    start: int
    stop: int
    loss: Tensor
    state: Any


class TruncatedBPTT:
    """Backpropagation through time, cut off after k2 steps (Williams and Peng 1990).

    Every k1 steps the losses of the last k1 steps are differentiated through the last k2, the state
    before them held constant. Here k1 = k2 = k: the sequence is cut into windows of k steps, the
    last of which may be shorter. Values flow from window to window, gradients do not. With k ≥ T it
    is full backpropagation through time. Memory is that of one window, however long the sequence.

    ::

        for window in TruncatedBPTT(20, 20).run(step, inputs, targets, state):
            clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()

    Raises ArgumentError unless k1 and k2 are equal integers ≥ 1.
    """

    def __init__(self, k1: int, k2: int):
        for name, k in {"k1": k1, "k2": k2}.items():
            ok = isinstance(k, int) and not isinstance(k, bool) and k >= 1
            expect(ok, "TruncatedBPTT", f"{name} to be an integer ≥ 1", repr(k), ArgumentError)
        got = f"k1 = {k1}, k2 = {k2}"
        expect(k1 <= k2, "TruncatedBPTT", "k1 ≤ k2", got, ArgumentError)
        expect(k1 == k2, "TruncatedBPTT", "k1 = k2 (windows that do not overlap)", got,
               ArgumentError)  # fmt: skip
        self.k1 = k1
        self.k2 = k2

    def __repr__(self) -> str:
        return f"TruncatedBPTT(k1={self.k1}, k2={self.k2})"

    def run(self, step: Step, inputs: Any, targets: Any, state: Any = None) -> Iterator[Window]:
        """Go through a sequence, and after each window wait for the caller to use its gradients.

        step(x, y, state) → (loss, new state) runs the model over one window: x and y are slices of
        ``inputs`` and ``targets`` along their first axis, time. When a window is handed out, the
        gradients of its loss have been added to ``.grad`` of whatever the loss depends on.

        state: a Tensor, a tuple of states (nested, if need be), or None. The first window gets it
        as it is, so that a gradient can reach it; later ones get what ``step`` returned, detached.

        Raises ShapeError where there is no step at all or inputs and targets differ in length, and
        ArgumentError where ``step`` does not return a pair of a scalar loss and a state.
        """
        steps = _length("inputs", inputs)
        expect(steps > 0, "TruncatedBPTT", "at least one step in inputs", f"shape {inputs.shape}")
        found = _length("targets", targets)
        expect(found == steps, "TruncatedBPTT", f"targets of {steps} steps, as inputs", found)
        return self._windows(step, inputs, targets, state, steps)

    def _windows(
        self, step: Step, inputs: Any, targets: Any, state: Any, steps: int
    ) -> Iterator[Window]:
        for start in range(0, steps, self.k1):
            stop = min(start + self.k1, steps)
            # The graph lives only as long as this call: nothing here may keep it until the next.
            loss, state = _differentiated(step(inputs[start:stop], targets[start:stop], state))
            yield Window(start, stop, loss, state)


def _differentiated(result: Any) -> tuple[Tensor, Any]:
    """Run backward from a step's loss; → the loss and the state, both detached."""
    pair = isinstance(result, tuple) and len(result) == 2
    got = type(result).__name__
    expect(pair, "TruncatedBPTT", "step to return a pair (loss, state)", got, ArgumentError)
    loss, state = result
    scalar = isinstance(loss, Tensor) and loss.size == 1
    got = f"shape {loss.shape}" if isinstance(loss, Tensor) else type(loss).__name__
    expect(scalar, "TruncatedBPTT", "step to return a scalar loss", got, ArgumentError)
    state = detach_state(state)
    loss.backward()
    return loss.detach(), state


def detach_state(state: Any) -> Any:
    """A recurrent state cut off from the tape: same values, no history.

    A Tensor, None, or a tuple or list of such, nested as deep as you like; anything else raises
    ArgumentError.
    """
    if isinstance(state, Tensor):
        return state.detach()
    if isinstance(state, (tuple, list)):
        parts = [detach_state(part) for part in state]
        return type(state)(*parts) if hasattr(state, "_fields") else type(state)(parts)
    expected = "a state made of Tensors, tuples and None"
    expect(state is None, "detach_state", expected, type(state).__name__, ArgumentError)
    return None


def _length(name: str, sequence: Any) -> int:
    """The number of steps of a tensor or array whose first axis is time."""
    shape = getattr(sequence, "shape", None)
    got = type(sequence).__name__ if shape is None else f"shape {shape}"
    expect(shape, "TruncatedBPTT", f"{name} with time as its first axis", got)
    return int(sequence.shape[0])
