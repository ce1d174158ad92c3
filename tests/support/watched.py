"""Arrays that notice when a computation turns to float64."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinygrad_seq.backend import base


class Watched(np.ndarray):
    """A NumPy array whose functions report every float64 they give; so do those of its results."""

    strict = True

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if "out" in kwargs:
            kwargs["out"] = tuple(plain(o) for o in kwargs["out"])
        result = getattr(ufunc, method)(*map(plain, inputs), **kwargs)
        return seen(result, ufunc.__name__)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return seen(func(*plain(args), **plain(kwargs)), func.__name__)


def plain(value: Any) -> Any:
    """Without the watching."""
    if isinstance(value, Watched):
        return value.view(np.ndarray)
    if isinstance(value, (list, tuple)):
        return type(value)(plain(v) for v in value)
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    return value


def seen(result: Any, name: str) -> Any:
    """A result, watched from here on. float64 in it fails the test."""
    if isinstance(result, tuple):
        return tuple(seen(r, name) for r in result)
    if not isinstance(result, (np.ndarray, np.generic)):
        return result
    if Watched.strict and result.dtype in (np.float64, np.complex128):
        raise AssertionError(f"{name} gave {result.dtype} in a float32 computation")
    return np.asarray(result).view(Watched)


class _Arrays:
    @staticmethod
    def watch(array: np.ndarray) -> np.ndarray:
        """``array`` under watch, if it holds floating numbers."""
        return array.view(Watched) if array.dtype.kind == "f" else array


@contextmanager
def float64(forbidden: bool) -> Iterator[_Arrays]:
    """Within the block watched arrays are arrays of the CPU, and raise at float64 if forbidden."""
    before = Watched.strict
    base.array_types[Watched] = np
    Watched.strict = forbidden
    try:
        yield _Arrays()
    finally:
        Watched.strict = before
        del base.array_types[Watched]
