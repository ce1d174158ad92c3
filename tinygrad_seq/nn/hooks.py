"""Hooks: functions called before or after a module's forward, until they are taken off."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from tinygrad_seq.errors import ArgumentError, expect

Hook = Callable[..., Any]
# Hooks in the order they were hung up, each with whether it wants the keyword arguments too.
Hooks = dict[int, tuple[Hook, bool]]

_numbers = itertools.count()


class RemovableHandle:
    """Takes a hook off again: by ``remove()``, or at the end of a ``with`` block."""

    def __init__(self, hooks: Hooks, key: int):
        self._hooks, self._key = hooks, key

    def remove(self) -> None:
        """Take the hook off. Doing it twice does no harm."""
        self._hooks.pop(self._key, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


def hang(hooks: Hooks, hook: Hook, with_kwargs: bool) -> RemovableHandle:
    """Add ``hook`` to ``hooks``; → what takes it off again."""
    expect(callable(hook), "register hook", "a function", type(hook).__name__, ArgumentError)
    key = next(_numbers)
    hooks[key] = (hook, with_kwargs)
    return RemovableHandle(hooks, key)
