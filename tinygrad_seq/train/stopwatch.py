"""Time spent on training alone, looks and checkpoints left out."""

from __future__ import annotations

import time


class Stopwatch:
    """Runs between ``start`` and ``stop``; knows the total, and time and items of this lap."""

    def __init__(self, total: float = 0.0):
        #: seconds in all, those of earlier sessions of a resumed run included
        self.total = total
        self._lap = 0.0
        self._items = 0
        self._since = 0.0

    def start(self) -> None:
        """Run."""
        self._since = time.perf_counter()

    def stop(self, items: int = 0) -> None:
        """Stand still; so many items were done since the start."""
        passed = time.perf_counter() - self._since
        self.total += passed
        self._lap += passed
        self._items += items

    def lap(self) -> tuple[float, int]:
        """Seconds and items since the last call."""
        lap = self._lap, self._items
        self._lap, self._items = 0.0, 0
        return lap
