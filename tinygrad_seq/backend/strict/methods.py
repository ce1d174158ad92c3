"""Array methods that NumPy has not, or has with other manners than CuPy. They see host arrays."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from tinygrad_seq.backend.strict.device import waits
from tinygrad_seq.backend.strict.indexing import scatter


def _get(a: np.ndarray, stream: Any = None, order: str = "C", out: Any = None) -> np.ndarray:
    if out is None:
        return np.array(a, order=order)  # type: ignore[call-overload]
    out[...] = a
    return np.asarray(out)


def _repeat(a: np.ndarray, repeats: Any, axis: int | None = None) -> np.ndarray:
    if isinstance(repeats, np.ndarray):
        raise TypeError("repeats: expected an integer or a list, since they give the shape")
    return np.repeat(a, repeats, axis)


# They bring the values to the host, and so make it wait.
FETCHING: dict[str, Callable[..., Any]] = {
    "get": _get,
    "item": lambda a: a.item(),
    "tobytes": lambda a, order="C": a.tobytes(order),
    "tolist": lambda a: a.tolist(),
}


def _swapaxes(a: np.ndarray, axis1: int, axis2: int) -> np.ndarray:
    if not all(-a.ndim <= axis < a.ndim for axis in (axis1, axis2)):
        raise ValueError("Axis out of range")  # and no IndexError
    return a.swapaxes(axis1, axis2)


METHODS: dict[str, Callable[..., Any]] = {
    "argsort": lambda a, axis=-1, kind=None: np.argsort(a, axis, kind="stable"),
    "compress": partial(waits, "compress", np.ndarray.compress),
    "nonzero": partial(waits, "nonzero", np.ndarray.nonzero),
    "ptp": np.ptp,
    "put": lambda a, indices, values, mode="wrap": np.put(a, indices, values, mode),
    "repeat": _repeat,
    "scatter_add": partial(scatter, np.add),
    "scatter_max": partial(scatter, np.maximum),
    "scatter_min": partial(scatter, np.minimum),
    "swapaxes": _swapaxes,
    "take": lambda a, indices, axis=None, out=None: np.take(a, indices, axis, out, "wrap"),
}
