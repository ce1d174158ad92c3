"""The CPU: NumPy."""

from __future__ import annotations

import sys

import numpy as np

from tinygrad_seq.backend.base import Array, Backend, Device, Memory, register_backend


class NumpyBackend(Backend):
    """NumPy arrays on the host. Everything is synchronous and there is one device."""

    name = "cpu"
    xp = np
    array_type = np.ndarray

    def device_count(self) -> int:
        return 1

    def device_of(self, array: Array) -> Device:
        return _CPU

    def from_host(self, array: np.ndarray, device: Device) -> Array:
        return array

    def to_host(self, array: Array) -> np.ndarray:
        return np.asarray(array)

    def memory(self, device: Device) -> Memory:
        """Peak resident set of this process; NumPy keeps no pool of its own."""
        try:
            import resource
        except ImportError:  # Windows
            return Memory(used=None, pool=None, total=None)
        unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss: bytes on macOS, KiB on Linux
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
        return Memory(used=peak, pool=None, total=None)


_CPU = Device("cpu")
register_backend(NumpyBackend())
