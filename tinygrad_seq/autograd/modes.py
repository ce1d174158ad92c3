"""Switches that change what the tape does, each per thread and each a ``with`` block."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any


class Listener:
    """Is told of every op that is recorded and of every node that is differentiated."""

    def recorded(self, op: Any, values: Sequence[Any], results: Sequence[Any]) -> None:
        """``op`` computed ``results`` (tensors) from ``values`` (raw), some of which need a
        gradient."""

    def differentiated(self, node: Any, given: Sequence[Any]) -> None:
        """``node``'s rules gave the gradients ``given`` for its inputs."""


class _Modes(threading.local):
    grad_enabled: bool = True
    listeners: tuple[Listener, ...] = ()
    #: both of these in one, since the tape asks it for every op: 0 where nothing is to be
    #: recorded, 1 where it is, 2 where somebody listens
    watch: int = 1
    #: answers detach() while finite differences are taken, see gradcheck
    detach_replay: Any = None
    #: (start, stop, steps) while a part of a sequence is run that bptt has cut into windows, None
    #: otherwise: a layer that needs the whole sequence asks for it
    window: tuple[int, int, int] | None = None


modes = _Modes()


@contextmanager
def switched(name: str, value: Any) -> Iterator[Any]:
    """Set one mode for the length of a block."""
    before = getattr(modes, name)
    _set(name, value)
    try:
        yield value
    finally:
        _set(name, before)


def _set(name: str, value: Any) -> None:
    setattr(modes, name, value)
    modes.watch = 2 if modes.listeners else int(modes.grad_enabled)


@contextmanager
def no_grad() -> Iterator[None]:
    """Record nothing: results do not require grad. Also usable as a decorator."""
    with switched("grad_enabled", False):
        yield


@contextmanager
def enable_grad() -> Iterator[None]:
    """Record again inside a ``no_grad`` block. Also usable as a decorator."""
    with switched("grad_enabled", True):
        yield


def is_grad_enabled() -> bool:
    """Whether ops on tensors that require grad are recorded in this thread."""
    return modes.grad_enabled
