"""Truncation by hand: cutting a recurrent state off in place."""

from __future__ import annotations

from typing import Any

from tinygrad_seq.autograd import unchain as cutting
from tinygrad_seq.bptt.state import tensors_of


def unchain(state: Any) -> None:
    """Make every tensor of a state a constant, in place: gradients end there.

    Unlike with ``detach_state``, what was computed from it before leads no further back either.
    """
    for tensor in tensors_of(state, "unchain"):
        cutting.unchain(tensor)


def unchain_backward(outputs: Any) -> None:
    """Cut off tensors and all the history behind them, in place, and free what it kept.

    After ``loss.backward()`` this is truncated backpropagation through time by hand::

        for t, (x, y) in enumerate(stream):
            out, state = model(x, state)
            loss = loss + mse_loss(out, y)
            if t % 20 == 19:
                loss.backward()
                optimizer.step()
                optimizer.zero_grad()
                unchain_backward((loss, state))
    """
    for tensor in tensors_of(outputs, "unchain_backward"):
        cutting.unchain_backward(tensor)
