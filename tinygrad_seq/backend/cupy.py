"""NVIDIA GPUs: CuPy. Imported only when a CUDA device is asked for."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import cast

import numpy as np

from tinygrad_seq.backend.base import Array, Backend, Device, Memory, register_backend
from tinygrad_seq.errors import DeviceError, MissingDependencyError

try:
    import cupy
except ImportError as error:
    raise MissingDependencyError(
        f"device 'cuda' needs CuPy: pip install 'tinygrad-seq[cuda13]' (or [cuda12]); {error}"
    ) from error


def _count_devices() -> int:
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise DeviceError(
            f"device 'cuda': CuPy {cupy.__version__} is installed but no GPU can be used; "
            f"is the NVIDIA driver installed and new enough? The driver says: {error}"
        ) from error
    if count == 0:
        raise DeviceError("device 'cuda': the NVIDIA driver reports no GPU")
    return cast(int, count)


class CupyBackend(Backend):
    """CuPy arrays on CUDA devices."""

    name = "cuda"
    xp = cupy
    array_type = cupy.ndarray

    def device_count(self) -> int:
        return _count_devices()

    def device_of(self, array: Array) -> Device:
        return Device("cuda", array.device.id)

    def from_host(self, array: np.ndarray, device: Device) -> Array:
        with self.on(device):
            return cupy.asarray(array)

    def to_host(self, array: Array) -> np.ndarray:
        return cast(np.ndarray, cupy.asnumpy(array))

    def memory(self, device: Device) -> Memory:
        with self.on(device):
            pool = cupy.get_default_memory_pool()
            _, total = cupy.cuda.runtime.memGetInfo()
            return Memory(used=pool.used_bytes(), pool=pool.total_bytes(), total=total)

    def synchronize(self, device: Device) -> None:
        with self.on(device):
            cupy.cuda.get_current_stream().synchronize()

    def on(self, device: Device) -> AbstractContextManager[object]:
        return cast(AbstractContextManager[object], cupy.cuda.Device(device.index))

    def clock(self, device: Device) -> Callable[[], float | None]:
        with self.on(device):
            start, stop = cupy.cuda.Event(), cupy.cuda.Event()
            start.record()

        def read() -> float:
            with self.on(device):
                stop.record()
                stop.synchronize()
                return float(cupy.cuda.get_elapsed_time(start, stop)) / 1e3

        return read

    def describe(self, device: Device) -> dict[str, str | int]:
        runtime = cupy.cuda.runtime
        found = runtime.getDeviceProperties(device.index)
        return {
            "name": bytes(found["name"]).decode(),
            "compute_capability": f"{found['major']}.{found['minor']}",
            "multiprocessors": found["multiProcessorCount"],
            "memory": found["totalGlobalMem"],
            "cuda_driver": runtime.driverGetVersion(),
            "cuda_runtime": runtime.runtimeGetVersion(),
        }


register_backend(CupyBackend())
