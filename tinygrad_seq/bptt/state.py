"""Recurrent states: a Tensor, None, or a tuple or list of such, nested as deep as you like."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tinygrad_seq.autograd import Tensor
from tinygrad_seq.errors import ArgumentError, expect


def detach_state(state: Any) -> Any:
    """A recurrent state cut off from the tape: same values, no history.

    A Tensor, None, or a tuple or list of such, nested as deep as you like; anything else raises
    ArgumentError.
    """
    return rebuilt(state, [t.detach() for t in tensors_of(state, "detach_state")])


def tensors_of(state: Any, op: str) -> list[Tensor]:
    """The tensors in a state, from left to right."""
    if isinstance(state, Tensor):
        return [state]
    if isinstance(state, (tuple, list)):
        return [tensor for part in state for tensor in tensors_of(part, op)]
    got = type(state).__name__
    expect(state is None, op, "a state made of Tensors, tuples and None", got, ArgumentError)
    return []


def rebuilt(state: Any, tensors: Sequence[Tensor]) -> Any:
    """A state nested as ``state`` is, with ``tensors`` in the place of its own."""
    return _filled(state, iter(tensors))


def _filled(state: Any, tensors: Iterator[Tensor]) -> Any:
    if isinstance(state, Tensor):
        return next(tensors)
    if isinstance(state, (tuple, list)):
        parts = [_filled(part, tensors) for part in state]
        return type(state)(*parts) if hasattr(state, "_fields") else type(state)(parts)
    return state
