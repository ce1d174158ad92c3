"""The strict stand-in device: CuPy's behaviour without a GPU, for tests.

Devices ``"strict:0"`` and ``"strict:1"`` hold their arrays in NumPy but behave as CuPy 14 does
wherever the two differ (see ``array``), and offer only the functions and keywords that CuPy has
(see ``namespace``). ``with count_syncs() as syncs:`` counts how often the host had to wait.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

import numpy as np

from tinygrad_seq.backend.base import Array, Backend, Device, Memory, register_backend
from tinygrad_seq.backend.strict.array import StrictArray
from tinygrad_seq.backend.strict.device import StrictDevice, SyncCount, count_syncs
from tinygrad_seq.backend.strict.namespace import xp

__all__ = ["StrictArray", "StrictBackend", "StrictDevice", "SyncCount", "count_syncs", "xp"]


class StrictBackend(Backend):
    """Two devices, so that mixing them can be tested."""

    name = "strict"
    xp = xp
    array_type = StrictArray

    def device_count(self) -> int:
        return 2

    def device_of(self, array: Array) -> Device:
        return Device("strict", array.device.id)

    def from_host(self, array: np.ndarray, device: Device) -> Array:
        return StrictArray(np.array(array), device.index)

    def to_host(self, array: Array) -> np.ndarray:
        host: np.ndarray = array.get()
        return host

    def owner(self, array: Array) -> object:
        host = array._host
        while isinstance(host.base, np.ndarray):
            host = host.base
        return host

    def memory(self, device: Device) -> Memory:
        return Memory(used=None, pool=None, total=None)

    def on(self, device: Device) -> AbstractContextManager[object]:
        return StrictDevice(device.index)


register_backend(StrictBackend())
