"""What a backend is: one array library, the devices it serves, and the few things that differ.

A backend is picked by the *type* of an array (``xp_of``) or by the *name* of a device
(``get_backend("cuda")``). Nothing else in the package asks which library it is running on.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_seq.errors import ArgumentError, DeviceError

# A raw array of any backend. The libraries share no useful static type.
Array = Any


@dataclass(frozen=True, slots=True)
class Device:
    """Where an array lives: a backend's device name and an index, written ``"cuda:1"``."""

    type: str
    index: int = 0

    def __str__(self) -> str:
        return self.type if self.type == "cpu" else f"{self.type}:{self.index}"


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes on a device: ``used`` now, held in the ``pool``, and the ``total`` (None: unknown)."""

    used: int | None
    pool: int | None
    total: int | None


class Backend(ABC):
    """One array library and its devices."""

    #: the device type this backend serves, as in ``"cuda:1"``
    name: str
    #: the array namespace (``numpy``, ``cupy``)
    xp: Any
    #: the class of its arrays
    array_type: type

    @abstractmethod
    def device_count(self) -> int:
        """How many devices can be used."""

    @abstractmethod
    def device_of(self, array: Array) -> Device:
        """The device that holds ``array``."""

    @abstractmethod
    def from_host(self, array: np.ndarray, device: Device) -> Array:
        """Copy a NumPy array to ``device``."""

    @abstractmethod
    def to_host(self, array: Array) -> np.ndarray:
        """Bring ``array`` back as a NumPy array, waiting for it if need be."""

    @abstractmethod
    def memory(self, device: Device) -> Memory:
        """What is in use on ``device``."""

    def owner(self, array: Array) -> object:
        """What holds the memory that ``array`` is a view of; ``array`` itself if it is no view."""
        while isinstance(array.base, self.array_type):
            array = array.base
        return array

    def synchronize(self, device: Device) -> None:  # noqa: B027 - nothing to wait for is a fine default
        """Wait until everything queued on ``device`` has been computed."""

    def on(self, device: Device) -> AbstractContextManager[object]:
        """A context in which new arrays are made on ``device``."""
        return nullcontext()

    def clock(self, device: Device) -> Callable[[], float | None]:
        """Start the device's own clock → what waits for the device and says how many seconds it
        took, or None: this device has no clock of its own."""
        return lambda: None

    def describe(self, device: Device) -> dict[str, str | int]:
        """The make of ``device`` and of the software that runs it, for records of measurements."""
        return {}


# Modules that register a backend when imported; imported on first use only.
_HOMES = {
    "cpu": "tinygrad_seq.backend.numpy",
    "cuda": "tinygrad_seq.backend.cupy",
    "strict": "tinygrad_seq.backend.strict",
}
_by_name: dict[str, Backend] = {}
_by_type: dict[type, Backend] = {}
array_types: dict[type, Any] = {}  #: array type → array namespace: the one look-up on the hot path


def register_backend(backend: Backend) -> Backend:
    """Make a backend known by its device name and by the type of its arrays."""
    _by_name[backend.name] = backend
    _by_type[backend.array_type] = backend
    array_types[backend.array_type] = backend.xp
    return backend


def get_backend(name: str) -> Backend:
    """The backend that serves device type ``name``, imported now if it has not been."""
    if name not in _by_name:
        if name not in _HOMES:
            raise ArgumentError(f"device: expected one of {', '.join(_HOMES)}, got {name!r}")
        importlib.import_module(_HOMES[name])
    return _by_name[name]


def backend_of(array: Array) -> Backend:
    """The backend that an array belongs to; Python numbers and NumPy scalars count as NumPy's."""
    backend = _by_type.get(type(array))
    if backend is not None:
        return backend
    for kind, candidate in _by_type.items():  # a subclass, such as numpy.memmap
        if isinstance(array, kind):
            return candidate
    return get_backend("cpu")


def xp_of(array: Array, *others: Array) -> Any:
    """The array namespace of the first argument that is an array (``numpy`` if none is)."""
    xp = array_types.get(type(array))
    if xp is not None:
        return xp
    return xp_of(*others) if others else backend_of(array).xp


def as_array(value: Any) -> Array:
    """``value`` itself if it is an array; a 0-d array for the scalars that NumPy hands out."""
    return value if type(value) in array_types else np.asarray(value)


def is_array(value: object) -> bool:
    """Whether ``value`` is an array of some registered backend (scalars are not)."""
    return type(value) in _by_type or isinstance(value, tuple(_by_type))


def as_device(device: str | Device | None) -> Device:
    """Read ``"cuda:1"`` (or a Device, or None for the default device) and check that it exists."""
    if device is None:
        return default_device()
    if isinstance(device, str):
        kind, colon, number = device.partition(":")
        if colon and not number.isdecimal():
            raise ArgumentError(f"device: expected a name such as 'cuda:1', got {device!r}")
        device = Device(kind, int(number or 0))
    if not isinstance(device, Device):
        raise ArgumentError(f"device: expected a name such as 'cuda:1', got {device!r}")
    count = get_backend(device.type).device_count()
    if not 0 <= device.index < count:
        got = f"{device.type}:{device.index}"
        raise DeviceError(f"device: expected an index below {count}, got '{got}'")
    if device.index > 0 and not several_devices:
        several_devices.append(True)
    return device


#: empty until a device other than the first of its kind is asked for; so long, nobody switches
several_devices: list[bool] = []


def beside(*values: Any) -> AbstractContextManager[object]:
    """A context in which the device of the first array among ``values`` is the current one."""
    for value in values:
        if isinstance(value, (list, tuple)) and value:
            value = value[0]
        if is_array(value):
            backend = backend_of(value)
            return backend.on(backend.device_of(value))
    return nullcontext()


def device_of(array: Array) -> Device:
    """The device that holds ``array``."""
    return backend_of(array).device_of(array)


def owner(array: Array) -> object:
    """What holds the memory that ``array`` is a view of; the same for all views of it."""
    return backend_of(array).owner(array)


def transfer(array: Array, device: Device) -> Array:
    """``array`` on ``device``; the same object if it is there already."""
    here = backend_of(array)
    if here.name == device.type and here.device_of(array) == device:
        return array
    return get_backend(device.type).from_host(here.to_host(array), device)


def to_host(array: Array) -> np.ndarray:
    """``array`` as a NumPy array (no copy if it is one)."""
    return backend_of(array).to_host(array)


def synchronize(device: str | Device | None = None) -> None:
    """Wait until everything queued on ``device`` (default: the default device) is computed."""
    device = as_device(device)
    get_backend(device.type).synchronize(device)


def memory(device: str | Device | None = None) -> Memory:
    """Bytes in use on ``device`` (default: the default device)."""
    device = as_device(device)
    return get_backend(device.type).memory(device)


_default: list[Device] = [Device("cpu")]


def default_device() -> Device:
    """Where new tensors are made when nothing else is said."""
    return _default[0]


def set_default_device(device: str | Device) -> None:
    """Make ``device`` the one that new tensors, parameters and layers use."""
    _default[0] = as_device(device)
