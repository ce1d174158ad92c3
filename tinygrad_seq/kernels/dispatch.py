"""Which kernel runs: the backend's own where there is one, the readable reference otherwise.

A kernel is a module of functions, raw arrays in and raw arrays out. ``kernels/reference/lstm.py``
says what is computed and runs on any backend. A faster rival for one backend stands under the same
name in that backend's folder; to add one is to add that file. A rival offers the functions of its
reference, with the same parameters and results.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from tinygrad_seq.backend import Array, backend_of
from tinygrad_seq.errors import ArgumentError

# The folder that holds the kernels of a device type.
_FOLDERS = {"cpu": "numpy", "cuda": "cupy"}


class _Switch(threading.local):
    reference = False


_switch = _Switch()


def kernel(name: str, array: Array) -> ModuleType:
    """The module of kernels called ``name`` for the backend that ``array`` belongs to.

    >>> import numpy as np
    >>> kernel("erf", np.ones(3)).__name__
    'tinygrad_seq.kernels.numpy.erf'

    Raises ArgumentError where not even a reference of that name exists.
    """
    return _find(name, "reference" if _switch.reference else backend_of(array).name)


@contextmanager
def reference_kernels() -> Iterator[None]:
    """Use the readable reference kernels in this thread, on every backend, inside the block."""
    before = _switch.reference
    _switch.reference = True
    try:
        yield
    finally:
        _switch.reference = before


@cache
def _find(name: str, device: str) -> ModuleType:
    for folder in (_FOLDERS.get(device), "reference"):
        path = f"tinygrad_seq.kernels.{folder}.{name}"
        if folder is not None and find_spec(path) is not None:
            return import_module(path)
    raise ArgumentError(f"kernel: expected the name of a reference kernel, got {name!r}")
