"""Parameter: a tensor that a Module learns."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_seq.autograd import Tensor, tensor
from tinygrad_seq.backend import Array, as_device, transfer


class Parameter(Tensor):
    """A leaf tensor that a ``Module`` finds among its attributes and an optimiser changes.

    Shares the memory of ``data``. ``copy.deepcopy`` and ``pickle`` keep the values, the device and
    ``requires_grad``, and drop the gradient.
    """

    __slots__ = ()

    def __init__(self, data: Any, requires_grad: bool = True):
        source = data if isinstance(data, Tensor) else tensor(data)
        super().__init__(source.data)
        self.requires_grad = requires_grad

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.numpy(), str(self.device), self.requires_grad)


def _rebuild(kind: type[Parameter], host: np.ndarray, device: str, requires_grad: bool) -> Any:
    array: Array = host if host.flags.writeable else host.copy()
    return kind(transfer(array, as_device(device)), requires_grad)
