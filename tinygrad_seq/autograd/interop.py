"""How tensors meet NumPy and other array libraries.

``np.tanh(t)``, ``ndarray * t`` and every other NumPy function that an op mirrors are
differentiable. What is not mirrored raises: a result without history would be a gradient that is
silently zero.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_seq.errors import DetachError
from tinygrad_seq.ops.primitive import by_numpy

# Questions about a tensor, not computations with it.
_ABOUT = {np.shape: "shape", np.ndim: "ndim", np.size: "size"}


def _not_mirrored(name: str) -> DetachError:
    return DetachError(
        f"np.{name}: no op mirrors this NumPy function, so its result would have no history; "
        f"use tensor.detach().numpy() if that is what you want"
    )


def array_ufunc(self: Any, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
    """NumPy's universal functions: ``np.tanh(t)``, ``ndarray * t``."""
    op = by_numpy.get(ufunc)
    if method != "__call__":
        raise _not_mirrored(f"{ufunc.__name__}.{method}")
    if op is None:
        raise _not_mirrored(ufunc.__name__)
    if kwargs:
        raise DetachError(f"np.{ufunc.__name__}: {', '.join(kwargs)}= cannot be used on a Tensor")
    return op(*inputs)


def array_function(self: Any, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
    """NumPy's other functions: ``np.sum(t, axis=0)``, ``np.concatenate([t, u])``."""
    if func in _ABOUT:
        return getattr(args[0], _ABOUT[func])
    op = by_numpy.get(func)
    if op is None:
        raise _not_mirrored(func.__name__)
    return op(*args, **kwargs)


def array(self: Any, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
    """``np.asarray(t)``: allowed for constants only."""
    if self.requires_grad:
        raise DetachError(
            "np.asarray: this Tensor requires grad and would lose its history; "
            "use tensor.detach().numpy()"
        )
    host = self.numpy()
    return np.array(host, dtype=dtype) if copy else np.asarray(host, dtype=dtype)


def dlpack(self: Any, **kwargs: Any) -> Any:
    """``np.from_dlpack(t)``, ``torch.from_dlpack(t)``: shares memory, constants only."""
    if self.requires_grad:
        raise DetachError(
            "__dlpack__: this Tensor requires grad and would lose its history; use tensor.detach()"
        )
    return self.data.__dlpack__(**kwargs)


def dlpack_device(self: Any) -> Any:
    """The DLPack device of the tensor's memory."""
    return self.data.__dlpack_device__()
