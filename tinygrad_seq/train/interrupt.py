"""Ctrl-C that finishes the step it is in."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Within the block SIGINT and SIGTERM are noted; the function given tells whether one came.

    A second one acts at once, as it would have without this. Signals reach the main thread only;
    in another thread the answer is always no.
    """
    asked = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked = True
        signal.signal(number, before[number])

    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, note)
    try:
        yield lambda: asked
    finally:
        for held, handler in before.items():
            signal.signal(held, handler)
