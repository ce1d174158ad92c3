"""The bytes that backpropagation through time keeps, counted while it runs."""

from __future__ import annotations

import copy
import gc
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

import numpy as np

from tinygrad_seq.autograd import Tensor, checkpoint, enable_grad, zeros
from tinygrad_seq.backend import default_generator
from tinygrad_seq.bptt.truncated import TruncatedBPTT
from tinygrad_seq.kernels.numpy import memory as store

#: step(x, y, state) → (loss, state), as TruncatedBPTT takes it
Step = Callable[[Any, Any, Any], tuple[Tensor, Any]]
#: makes the first state
Start = Callable[[], Any]


def measured(model: Any, steps: int, batch: int, piece: int, window: int) -> list[int]:
    """What a recurrent layer on the CPU keeps for the loss Σ h_t: at once, in checkpointed pieces
    of so many steps, and in truncated windows of so many."""
    x = np.zeros((steps, batch, model.input_size), model.weight_ih_l0.dtype)
    random_state = default_generator().get_state()
    gc.collect()
    try:
        with enable_grad():
            return [
                _fullest(_run_full, model, x, steps, {0}),
                # When the last piece, which is a whole one, has been run again. After that there is
                # one state less, and the weights' gradients wait to be complete.
                _fullest(_run_checkpointed, model, x, piece, {-(-steps // piece)}),
                # All windows after the first are alike.
                _fullest(_run_truncated, model, x, window, {0, 1, 2}),
            ]
    finally:
        default_generator().set_state(random_state)


def _fullest(
    run: Callable[[Step, Start, Any, int], None],
    model: Any,
    x: np.ndarray,
    k: int,
    calls: set[int],
) -> int:
    """The most that is there at the end of those calls of the step, beyond what was before."""
    model = copy.deepcopy(model).requires_grad_()
    model.batch_first = False
    for p in model.parameters():  # gradients are added to these
        p.grad = zeros(p.shape, dtype=p.dtype)
    found: list[int] = []
    made = 0

    def step(x: Any, _: Any, state: Any) -> tuple[Tensor, Any]:
        nonlocal made
        output, state = model(x, state)
        loss = output.sum()
        del output
        if made in calls:
            found.append(_held())
        made += 1
        return loss, state

    def start() -> Any:
        shapes = [(model.num_layers, x.shape[1], width) for width in model._widths()]
        state = tuple(zeros(shape, dtype=x.dtype) for shape in shapes)
        return state if len(state) > 1 else state[0]

    with _traced():
        before = _held()
        run(step, start, x, k)
    return max(found) - before


def _run_full(step: Step, start: Start, x: np.ndarray, _: int) -> None:
    step(x, x, start())


def _run_checkpointed(step: Step, start: Start, x: np.ndarray, k: int) -> None:
    total: Any = 0.0
    state = start()
    for stop in range(len(x), 0, -k)[::-1]:
        part = x[max(0, stop - k) : stop]
        loss, state = checkpoint(step, part, part, state)
        total = total + loss
    del state
    total.backward()


def _run_truncated(step: Step, start: Start, x: np.ndarray, k: int) -> None:
    for _ in islice(TruncatedBPTT(k, k).run(step, x, x, start), 3):
        pass


def _held() -> int:
    """Bytes of NumPy's arrays now, those of memory that is only kept for later left out."""
    domain = tracemalloc.DomainFilter(True, np.lib.tracemalloc_domain)
    traces = tracemalloc.take_snapshot().filter_traces([domain]).traces
    return sum(trace.size for trace in traces) - store.idle()


@contextmanager
def _traced() -> Iterator[None]:
    """tracemalloc at work, and no memory kept from before, which it would not know of."""
    store.clear()
    already = tracemalloc.is_tracing()
    if not already:
        tracemalloc.start()
    try:
        yield
    finally:
        if not already:
            tracemalloc.stop()
