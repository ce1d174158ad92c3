"""Time spent on training alone, looks and checkpoints left out."""

from __future__ import annotations

import time


class Stopwatch:
    """Runs between ``start`` and ``stop``; knows the total and the time since the last lap."""

    def __init__(self, total: float = 0.0):
        #: seconds in all, those of earlier sessions of a resumed run included
        self.total = total
        self._lap = 0.0
        self._since = 0.0

    def start(self) -> None:
        """Run."""
        self._since = time.perf_counter()

    def stop(self) -> None:
        """Stand still."""
        passed = time.perf_counter() - self._since
        self.total += passed
        self._lap += passed

    def lap(self) -> float:
        """Seconds since the last call."""
        lap, self._lap = self._lap, 0.0
        return lap
