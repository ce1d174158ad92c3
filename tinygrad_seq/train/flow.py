"""How far back the gradients of a run reach, looked at while it trains."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from tinygrad_seq.bptt import gradient_flow
from tinygrad_seq.errors import ArgumentError, expect
from tinygrad_seq.nn import GRU, LSTM, RNN, Module
from tinygrad_seq.train.log import Event
from tinygrad_seq.train.task import Task

if TYPE_CHECKING:
    from tinygrad_seq.train.run import Run

ROWS = 8  # sequences of the batch that are looked at: all would cost as much as many updates


def recurrent_layer(task: Task, model: Module) -> Any:
    """The recurrent layer of a model, or its stack of them, which goes through time once.

    Raises ArgumentError for a model that has none.
    """
    layer = getattr(model, "rnn", None)
    ok = isinstance(layer, (RNN, LSTM, GRU)) and not layer.bidirectional
    expected = "a task whose model is recurrent in one direction, such as char-lm or adding"
    expect(ok, "flow", expected, task.name, ArgumentError)
    return layer


def flow(run: Run) -> Event:
    """The norm of ∂L_s/∂h_{s−lag}, and for an LSTM of ∂L_s/∂c_{s−lag}, by lag, on the batch or
    window that comes next: see ``bptt.gradient_flow``. To be called in evaluation mode.

    Six digits are kept; None stands for what is too large for a number.
    """
    layer = recurrent_layer(run.task, run.model)
    found = gradient_flow(layer, lambda: run.task.next_loss(run), rows=ROWS)
    norms = {
        name: [float(f"{norm:.6g}") if math.isfinite(norm) else None for norm in by_lag.tolist()]
        for name, by_lag in found.items()
    }
    return {"event": "flow", "step": run.step, "norms": norms}
