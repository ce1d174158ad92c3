"""Memory that is used again instead of being given back to the system.

Arrays of a megabyte or more that come and go with every training step are given back by the C
library and asked for again, and the system clears every page of them each time. With two threads,
both of which have to be told, that took longer than the arithmetic of an LSTM.
"""

from __future__ import annotations

import math
import weakref
from typing import Any

import numpy as np

from tinygrad_seq.backend import Array

#: at most this many bytes are kept for later
LIMIT = 256 * 2**20

# Size in bytes → buffers of that size that no array uses.
_free: dict[int, list[memoryview]] = {}
_kept = [0]


def empty(shape: tuple[int, ...], dtype: Any) -> Array:
    """As ``np.empty``, in memory that goes back to a store when the last view of it is gone."""
    count = math.prod(shape)
    if not count:
        return np.empty(shape, dtype)
    size = count * np.dtype(dtype).itemsize
    held = _free.get(size)
    if held:
        buffer = held.pop()
        _kept[0] -= size
    else:
        buffer = np.empty(size, np.uint8).data
    # NumPy lets views of views refer to the first array on the memory. That is this one, as its
    # own base, the memoryview, is no array: it outlives them all.
    first = np.frombuffer(buffer, dtype, count)
    weakref.finalize(first, _store, buffer).atexit = False
    return first.reshape(shape)


def _store(buffer: memoryview) -> None:
    if _kept[0] + buffer.nbytes <= LIMIT:
        _free.setdefault(buffer.nbytes, []).append(buffer)
        _kept[0] += buffer.nbytes


def idle() -> int:
    """How many bytes are kept for later and used by no array now."""
    return _kept[0]


def clear() -> None:
    """Give back what is kept for later."""
    _free.clear()
    _kept[0] = 0
