"""The stand-in's devices, and the count of how often the host waits for one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_current = [0]  # a stack of device numbers; the last is the current one


def current() -> int:
    """The number of the device that new arrays are made on."""
    return _current[-1]


class StrictDevice:
    """A device of the stand-in; within ``with`` it is the current one (``cupy.cuda.Device``)."""

    def __init__(self, id: int):
        self.id = id

    def __enter__(self) -> StrictDevice:
        _current.append(self.id)
        return self

    def __exit__(self, *_: object) -> None:
        _current.pop()


class SyncCount:
    """How often the host waited for the device, and why each time."""

    def __init__(self) -> None:
        self.causes: list[str] = []

    @property
    def count(self) -> int:
        """The number of waits so far."""
        return len(self.causes)

    def __repr__(self) -> str:
        return f"SyncCount({self.count}: {', '.join(self.causes)})"


_counters: list[SyncCount] = []


@contextmanager
def count_syncs() -> Iterator[SyncCount]:
    """Count device-to-host synchronisations within ``with``; blocks may be nested."""
    counter = SyncCount()
    _counters.append(counter)
    try:
        yield counter
    finally:
        _counters.remove(counter)


def synchronised(cause: str) -> None:
    """Note that the host waited for the device."""
    for counter in _counters:
        counter.causes.append(cause)


def waits(cause: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call ``function``, noting that its result makes the host wait for the device."""
    synchronised(cause)
    return function(*args, **kwargs)
