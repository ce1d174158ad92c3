"""What tensors can do: the ops as operators and as methods."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_seq import ops
from tinygrad_seq.autograd.record import record, recorders
from tinygrad_seq.autograd.tape import Traced
from tinygrad_seq.backend import Device, as_device, device_of
from tinygrad_seq.errors import expect


class TensorMethods(Traced):
    """Operators and methods, every one of them an op.

    An op in a class body is a method, as a function is; operators, which are called most, skip the
    question whom to hand over to.
    """

    __slots__ = ()

    #: compute an op on tensors and put it on the tape; see ops/primitive.py
    __primitive__ = staticmethod(record)

    # ------------------------------------------------------------------ operators

    __add__ = recorders[ops.add]

    def __radd__(self, other: Any) -> Any:
        return ops.add(other, self)

    __sub__ = recorders[ops.sub]

    def __rsub__(self, other: Any) -> Any:
        return ops.sub(other, self)

    __mul__ = recorders[ops.mul]

    def __rmul__(self, other: Any) -> Any:
        return ops.mul(other, self)

    __truediv__ = recorders[ops.div]

    def __rtruediv__(self, other: Any) -> Any:
        return ops.div(other, self)

    __pow__ = recorders[ops.pow]

    def __rpow__(self, other: Any) -> Any:
        return ops.pow(other, self)

    __matmul__ = recorders[ops.matmul]

    def __rmatmul__(self, other: Any) -> Any:
        return ops.matmul(other, self)

    def __neg__(self) -> Any:
        return ops.neg(self)

    def __pos__(self) -> Any:
        return self

    def __abs__(self) -> Any:
        return ops.abs(self)

    @property
    def T(self) -> Any:
        """All axes reversed."""
        return ops.transpose(self)

    @property
    def mT(self) -> Any:
        """The last two axes exchanged: each matrix transposed."""
        shape = self.data.shape
        expect(len(shape) > 1, "mT", "a tensor with at least two axes", f"shape {shape}")
        return ops.swapaxes(self, -1, -2)

    def __getitem__(self, index: Any) -> Any:
        return ops.getitem(self, raw_index(index))

    # Comparisons and logic give boolean tensors, through which no gradient flows.
    __eq__ = ops.equal
    __ne__ = ops.not_equal
    __lt__ = ops.less
    __le__ = ops.less_equal
    __gt__ = ops.greater
    __ge__ = ops.greater_equal
    __and__ = __rand__ = ops.bitwise_and
    __or__ = __ror__ = ops.bitwise_or
    __xor__ = __rxor__ = ops.bitwise_xor
    __invert__ = ops.invert

    # ------------------------------------------------------------------ ops as methods

    abs = ops.abs
    all = ops.all
    any = ops.any
    argmax = ops.argmax
    argmin = ops.argmin
    astype = ops.astype
    clip = ops.clip
    copy = ops.copy
    cumsum = ops.cumsum
    exp = ops.exp
    expand_dims = ops.expand_dims
    flip = ops.flip
    log = ops.log
    log_softmax = ops.log_softmax
    logsumexp = ops.logsumexp
    masked_fill = ops.masked_fill
    max = ops.max
    mean = ops.mean
    min = ops.min
    norm = ops.norm
    pad = ops.pad
    prod = ops.prod
    relu = ops.relu
    repeat = ops.repeat
    roll = ops.roll
    sigmoid = ops.sigmoid
    softmax = ops.softmax
    sqrt = ops.sqrt
    square = ops.square
    squeeze = ops.squeeze
    std = ops.std
    sum = ops.sum
    swapaxes = ops.swapaxes
    take_along_axis = ops.take_along_axis
    tanh = ops.tanh
    tile = ops.tile
    tril = ops.tril
    triu = ops.triu
    var = ops.var

    def split(self, indices_or_sections: Any, axis: int = 0) -> Any:
        """Parts of it along an axis: n equal ones, or cut before each of the indices given."""
        return ops.split(self, indices_or_sections, axis)

    def reshape(self, *shape: Any) -> Any:
        """The same numbers in another shape: ``t.reshape(2, -1)`` or ``t.reshape((2, -1))``."""
        return ops.reshape(self, shape[0] if len(shape) == 1 else shape)

    def transpose(self, *axes: Any) -> Any:
        """Axes in another order; all reversed if none are given."""
        order = axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes or None
        return ops.transpose(self, order)

    def flatten(self) -> Any:
        """All elements along one axis."""
        return self.reshape(-1)

    def to(self, device: str | Device | None = None, dtype: Any = None) -> Any:
        """On another device, in another dtype, or both; the same tensor if it is so already."""
        moved: Any = self
        if device is not None and as_device(device) != device_of(self.data):
            moved = ops.to_device(moved, as_device(device))
        if dtype is not None and np.dtype(dtype) != moved.data.dtype:
            moved = ops.astype(moved, np.dtype(dtype))
        return moved


def raw(value: Any) -> Any:
    """The raw array of a tensor; anything else as it is."""
    return value.data if isinstance(value, Traced) else value


def raw_index(index: Any) -> Any:
    """An index expression with the tensors in it replaced by their arrays."""
    return tuple([raw(i) for i in index]) if isinstance(index, tuple) else raw(index)
