"""How long a call takes.

A device computes while the host goes on, so the host must wait for it before looking at the clock.
Where a call is short, there must be many between two looks. And the first calls are of another
kind: kernels are compiled, memory pools filled. ``time_call`` sees to all three.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tinygrad_seq.backend import Device, as_device, get_backend
from tinygrad_seq.errors import ArgumentError, expect


@dataclass(frozen=True)
class Timing:
    """Seconds per call: the median over ``repeats`` measurements of ``calls`` calls each.

    ``seconds`` is by the wall clock, from before the first call until the device is done: what a
    user waits for. ``device_seconds`` is by the device's own clock, from its first kernel to its
    last, gaps in which it waited for the host included; None where there is no such clock.
    """

    seconds: float
    #: the quartiles of ``seconds``
    low: float
    high: float
    device_seconds: float | None
    repeats: int
    calls: int

    @property
    def spread(self) -> float:
        """Half the distance between the quartiles, as a share of the median."""
        return (self.high - self.low) / (2 * self.seconds)


def time_call(
    fn: Callable[[], object],
    device: str | Device | None = None,
    *,
    repeats: int = 9,
    warmup: int = 2,
    min_seconds: float = 0.01,
    max_seconds: float = 2.0,
) -> Timing:
    """Time ``fn()``, which computes on ``device`` (default: the default device).

    After ``warmup`` calls, as many calls make one measurement as take ``min_seconds``. There are
    ``repeats`` measurements, but only as many as fit into ``max_seconds``, at least one.
    Raises ArgumentError for fewer than one repeat, or a ``min_seconds`` that is not positive.
    """
    expect(repeats >= 1, "time_call", "repeats ≥ 1", repeats, ArgumentError)
    expect(min_seconds > 0, "time_call", "min_seconds > 0", min_seconds, ArgumentError)
    where = as_device(device)
    for _ in range(warmup):
        fn()
    calls, taken = _enough_calls(fn, where, min_seconds)
    repeats = max(1, min(repeats, int(max_seconds / taken)))
    measured = [_measure(fn, where, calls) for _ in range(repeats)]
    low, middle, high = np.percentile([wall for wall, _ in measured], (25, 50, 75)) / calls
    inside = [seconds for _, seconds in measured if seconds is not None]
    own = float(np.median(inside)) / calls if inside else None
    return Timing(float(middle), float(low), float(high), own, repeats, calls)


def _measure(fn: Callable[[], object], device: Device, calls: int) -> tuple[float, float | None]:
    """Seconds that ``calls`` calls take by the wall clock, and by the device's own."""
    backend = get_backend(device.type)
    backend.synchronize(device)
    start = time.perf_counter()
    read = backend.clock(device)
    for _ in range(calls):
        fn()
    inside = read()
    backend.synchronize(device)
    return time.perf_counter() - start, inside


def _enough_calls(
    fn: Callable[[], object], device: Device, min_seconds: float
) -> tuple[int, float]:
    """How many calls take at least ``min_seconds``, and how long they took."""
    calls = 1
    while True:
        taken, _ = _measure(fn, device, calls)
        if taken >= min_seconds:
            return calls, taken
        # Aim a little beyond; a first measurement may have been lucky or not.
        calls = min(10 * calls, math.ceil(1.2 * calls * min_seconds / max(taken, 1e-9)))
