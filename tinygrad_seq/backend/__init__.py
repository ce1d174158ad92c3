"""Where arrays live: devices, transfer, synchronisation, random streams.

``xp_of(array)`` gives the array namespace to compute with; it is all that most code needs.
"""

from tinygrad_seq.backend import numpy as _numpy  # registers the CPU
from tinygrad_seq.backend.base import (
    Array,
    Backend,
    Device,
    Memory,
    array_types,
    as_array,
    as_device,
    backend_of,
    beside,
    default_device,
    device_of,
    get_backend,
    is_array,
    memory,
    owner,
    register_backend,
    set_default_device,
    several_devices,
    synchronize,
    to_host,
    transfer,
    xp_of,
)
from tinygrad_seq.backend.random import Generator, default_generator, manual_seed

__all__ = [
    "Array",
    "Backend",
    "Device",
    "Generator",
    "Memory",
    "array_types",
    "as_array",
    "as_device",
    "backend_of",
    "beside",
    "default_device",
    "default_generator",
    "device_of",
    "get_backend",
    "is_array",
    "manual_seed",
    "memory",
    "owner",
    "register_backend",
    "set_default_device",
    "several_devices",
    "synchronize",
    "to_host",
    "transfer",
    "xp_of",
]
