"""Making tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_seq.autograd.tensor import Tensor
from tinygrad_seq.backend import (
    Array,
    Device,
    Generator,
    as_device,
    default_generator,
    is_array,
    transfer,
)
from tinygrad_seq.errors import DTypeError

_default_dtype: list[np.dtype[Any]] = [np.dtype(np.float32)]


def default_dtype() -> np.dtype[Any]:
    """The dtype of new floating tensors when nothing else is said (float32 at first)."""
    return _default_dtype[0]


def set_default_dtype(dtype: Any) -> None:
    """Make ``dtype`` (floating) the one that Python floats and new parameters take."""
    kind = np.dtype(dtype)
    if kind.kind != "f":
        raise DTypeError(f"set_default_dtype: expected a floating dtype, got {kind}")
    _default_dtype[0] = kind


def tensor(
    data: Any,
    dtype: Any = None,
    device: str | Device | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor from an array, a number or nested lists.

    Arrays keep their dtype; Python floats take the default dtype, Python integers int64. The
    tensor shares memory with an array that is on ``device`` in ``dtype`` already.
    """
    if isinstance(data, Tensor):
        data = data.detach().data
    array: Array = data
    if not is_array(data):
        array = np.asarray(data)
        if array.dtype.kind == "f" and not isinstance(data, np.generic):
            array = array.astype(default_dtype())
        if array.dtype.kind not in "biufc":
            raise DTypeError(f"tensor: expected numbers, got {array.dtype} ({data!r:.60})")
    if dtype is not None and array.dtype != np.dtype(dtype):
        array = array.astype(dtype)
    if device is not None or not is_array(data):
        array = transfer(array, as_device(device))
    return Tensor(array).requires_grad_(requires_grad)


def _made(host: np.ndarray, device: Any, requires_grad: bool) -> Tensor:
    return Tensor(transfer(host, as_device(device))).requires_grad_(requires_grad)


def _shape(shape: tuple[Any, ...]) -> tuple[int, ...]:
    return tuple(shape[0]) if len(shape) == 1 and not isinstance(shape[0], int) else shape


def full(
    shape: Any, value: float, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A tensor filled with ``value``."""
    return _made(np.full(shape, value, dtype or default_dtype()), device, requires_grad)


def zeros(
    *shape: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A tensor of zeros: ``zeros(2, 3)`` or ``zeros((2, 3))``."""
    return full(_shape(shape), 0, dtype, device, requires_grad)


def ones(*shape: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of ones."""
    return full(_shape(shape), 1, dtype, device, requires_grad)


def arange(*limits: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """Numbers from start (0) up to stop in equal steps (1)."""
    host = np.arange(*limits)
    if dtype is None and host.dtype.kind == "f":
        dtype = default_dtype()
    return _made(host if dtype is None else host.astype(dtype), device, False)


def rand(
    *shape: Any,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """Uniform numbers in [0, 1), drawn on the host: the same on every device."""
    host = (generator or default_generator()).uniform(_shape(shape), dtype or default_dtype())
    return _made(host, device, requires_grad)


def randn(
    *shape: Any,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """Standard normal numbers, drawn on the host: the same on every device."""
    host = (generator or default_generator()).normal(_shape(shape), dtype or default_dtype())
    return _made(host, device, requires_grad)
