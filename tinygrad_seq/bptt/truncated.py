"""Truncated backpropagation through time: a long sequence, one window at a time."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from tinygrad_seq.autograd import Tensor
from tinygrad_seq.bptt.resets import Resets, made
from tinygrad_seq.bptt.state import detach_state
from tinygrad_seq.bptt.window import LongSequence, Step, Window
from tinygrad_seq.errors import ArgumentError, expect


class TruncatedBPTT:
    """Backpropagation through time, cut off after k2 steps (Williams and Peng 1990).

    Every k1 steps the losses of the last k1 steps are differentiated through the last k2 ≥ k1, the
    state before them held constant. For the losses of steps a … a + k1 − 1 the gradient is

        Σ_t ∂L_t/∂θ,  t = a … a + k1 − 1,  with s_w constant,  w = max(0, a + k1 − k2)

    * k1 = k2: the sequence is cut into windows that do not overlap, each step is run once.
    * k1 = 1: a window that slides; each loss is differentiated through just k2 steps.
    * k1 = k2 ≥ T: full backpropagation through time. With k1 < T ≤ k2 each window reaches back to
      the beginning.

    A sequence whose length is no multiple of k1 ends with fewer losses in the last window, which
    reaches back as far as it would have if the sequence had gone on.

    Where windows overlap (k1 < k2) each is run again, with the weights as they are now, from the
    state at its beginning; the window before computed that state as it passed there, and it is kept
    without its history. So the gradient is always exactly that of the window's losses at the
    current weights. Each step is run k2/k1 times; memory is that of one window and one state,
    however long the sequence.

    A step that is run again draws random numbers again, and layers that keep running statistics
    count it again: with dropout the window's forward pass is another sample of the same net, and
    the gradient is exact for the masks it drew.

    ::

        for window in TruncatedBPTT(20, 40).run(step, inputs, targets, state):
            clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()

    Values flow from window to window, gradients do not; stacked layers and states of several
    tensors work as they are. A bidirectional layer reads the whole sequence: it raises in a window
    that is only a part of it. Raises ArgumentError unless k1 ≤ k2 are integers ≥ 1.
    """

    def __init__(self, k1: int, k2: int):
        for name, k in {"k1": k1, "k2": k2}.items():
            ok = isinstance(k, int) and not isinstance(k, bool) and k >= 1
            expect(ok, "TruncatedBPTT", f"{name} to be an integer ≥ 1", repr(k), ArgumentError)
        got = f"k1 = {k1}, k2 = {k2}"
        expect(k1 <= k2, "TruncatedBPTT", "k1 ≤ k2", got, ArgumentError)
        self.k1 = k1
        self.k2 = k2

    def __repr__(self) -> str:
        return f"TruncatedBPTT(k1={self.k1}, k2={self.k2})"

    def run(
        self,
        step: Step,
        inputs: Any,
        targets: Any,
        state: Any = None,
        *,
        reduction: str = "mean",
        resets: Any = None,
        initial: Any = None,
        batch_axis: int = -2,
        first: int = 0,
    ) -> Iterator[Window]:
        """Go through a sequence, and after each window wait for the caller to use its gradients.

        step(x, y, state) → (loss, new state) runs the model over some steps: x and y are slices of
        ``inputs`` and ``targets`` along their first axis, time. When a window is handed out, the
        gradients of its loss have been added to ``.grad`` of whatever the loss depends on.

        state: a Tensor, a tuple of states (nested, if need be), or None. Windows that begin at the
        first step get it as it is, so that a gradient can reach it; later ones start from a
        constant. reduction: what step's loss is over its steps, "mean" or "sum"; the losses of a
        window that is run in pieces are put together accordingly, means weighted by their steps.

        resets: (T, B) booleans; row b of the state is set back before step t where resets[t, b]
        holds, and no gradient passes there. A window is run in pieces between its resets. initial:
        what rows are set back to, nested as the state; zeros by default. It is also what the
        sequence starts from where there is no ``state``. batch_axis: the axis of each state tensor
        that counts the rows; −2 fits (B, H) and (layers, B, H).

        ``state`` and ``initial`` may be functions that make a state: they are called whenever one
        is needed, so that a learned one follows its weights.

        first: the step from which on losses count; those before it are only passed through. A run
        that was left after a window goes on, exactly, with ``inputs`` and ``targets`` from step
        w = max(0, window.stop + k1 − k2) on, window.boundary as state and first = window.stop − w.

        Raises ShapeError where there is no step at all, inputs and targets differ in length, or
        resets do not fit, DTypeError for resets that are not boolean, and ArgumentError for another
        reduction, or where ``step`` does not return a pair of a scalar loss and a state.
        """
        sequence = LongSequence.of("TruncatedBPTT", step, inputs, targets)
        known = reduction in ("mean", "sum")
        expect(known, "TruncatedBPTT", "reduction mean or sum", repr(reduction), ArgumentError)
        given = None
        if resets is not None:
            given = Resets(resets, sequence.steps, initial, batch_axis)
        ok = 0 <= first < sequence.steps
        expect(ok, "TruncatedBPTT", f"first in [0, {sequence.steps})", first, ArgumentError)
        state = initial if state is None else state
        return self._windows(_Windows(sequence, given, reduction == "mean"), state, first)

    def _windows(self, windows: _Windows, state: Any, first: int) -> Iterator[Window]:
        steps, since = windows.sequence.steps, 0
        for start in range(first, steps, self.k1):
            stop = min(start + self.k1, steps)
            following = stop if stop == steps else max(0, stop + self.k1 - self.k2)
            # The graph lives only as long as this call: nothing here may keep it until the next.
            loss, boundary, last = windows.differentiate(since, start, stop, following, state)
            yield Window(start, stop, loss, last, since, boundary=boundary)
            since, state = following, boundary


class _Windows:
    """Windows of one sequence, run in pieces where something happens between two steps."""

    def __init__(self, sequence: LongSequence, resets: Resets | None, mean: bool):
        self.sequence = sequence
        self.resets = resets
        self.mean = mean

    def differentiate(
        self, since: int, start: int, stop: int, following: int, state: Any
    ) -> tuple[Tensor, Any, Any]:
        """Run steps ``since`` … ``stop`` − 1 and go back from the losses of ``start`` and later.

        → the loss, the state at ``following``, where the next window begins, and the last state.
        Where that is at the first step again, the state stays as the user gave it.
        """
        losses: list[tuple[int, Tensor]] = []
        boundary, current = state, made(state) if since == 0 else state
        for here, there in pairwise(self._cuts(since, start, stop, following)):
            if here == following != since:
                boundary = detach_state(current)
            if self.resets is not None:
                current = self.resets.apply(here, current)
            loss, current = self.sequence.run(here, there, current)
            if here >= start:
                losses.append((there - here, loss))
        last = detach_state(current)
        loss = self._total(losses)
        # What made the user's state is needed again if the next window begins with it too.
        loss.backward(retain_graph=following == 0)
        return loss.detach(), last if following == stop else boundary, last

    def _cuts(self, since: int, start: int, stop: int, following: int) -> list[int]:
        """Where the pieces of a window begin and end."""
        cuts = {since, start, following, stop}
        if self.resets is not None:
            cuts.update(self.resets.times(since, stop))
        return sorted(cuts)

    def _total(self, losses: list[tuple[int, Tensor]]) -> Tensor:
        """The loss of all pieces, each given with its number of steps."""
        (count, total), *rest = losses
        if not rest:
            return total
        steps = sum(count for count, _ in losses)
        for i, (count, loss) in enumerate(losses):
            part = loss * (count / steps) if self.mean else loss
            total = part if i == 0 else total + part
        return total
