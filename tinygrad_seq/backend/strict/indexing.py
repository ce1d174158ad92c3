"""Indexing as CuPy does it: index arrays wrap around, and a mask makes the host wait."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_seq.backend.strict.device import synchronised

# What CUDA's atomic operations take; int64 is not among them.
_ATOMIC = (np.int32, np.float16, np.float32, np.float64, np.uint32, np.uint64)


def prepare(key: Any, shape: tuple[int, ...]) -> tuple[tuple[Any, ...], bool]:
    """NumPy's index for CuPy's ``key`` on host values, and whether the result is a copy.

    Out-of-range integers in arrays wrap around, since a kernel cannot raise. How many elements
    a mask selects is known only on the device, so the host has to ask.
    """
    entries = list(key) if isinstance(key, tuple) else [key]
    copied = False
    for i, entry in enumerate(entries):
        if isinstance(entry, (list, tuple, bool, np.bool_)):
            entry = np.array(entry)
            entries[i] = entry.astype(np.int32) if not entry.size else entry
        if isinstance(entries[i], np.ndarray):
            copied = True
    if copied:
        _wrap_around(entries, shape)
    return tuple(entries), copied


def _wrap_around(entries: list[Any], shape: tuple[int, ...]) -> None:
    """Reduce integer arrays modulo the length of the axis that each of them indexes."""
    taken = sum(_axes_of(entry) for entry in entries)
    axis = 0
    for i, entry in enumerate(entries):
        if entry is Ellipsis:
            axis += len(shape) - taken
            continue
        if isinstance(entry, np.ndarray) and entry.dtype.kind == "b":
            synchronised("boolean mask")
        elif isinstance(entry, np.ndarray) and axis < len(shape) and shape[axis]:
            entries[i] = entry % shape[axis]
        axis += _axes_of(entry)


def _axes_of(entry: Any) -> int:
    """How many axes of the array one entry of an index stands for."""
    if entry is None or entry is Ellipsis:
        return 0
    return entry.ndim if isinstance(entry, np.ndarray) and entry.dtype.kind == "b" else 1


def scatter(ufunc: np.ufunc, target: np.ndarray, key: Any, value: Any) -> None:
    """``ufunc.at``: for index arrays CuPy has only what CUDA's atomic operations take."""
    index, atomic = prepare(key, target.shape)
    if atomic and target.dtype.type not in _ATOMIC:
        raise TypeError(f"{ufunc.__name__}.at does not support {target.dtype} on a CUDA device")
    ufunc.at(target, index, np.asarray(value).astype(target.dtype))
