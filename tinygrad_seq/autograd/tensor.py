"""Tensor: an array that remembers how it was computed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tinygrad_seq import ops
from tinygrad_seq.autograd import interop
from tinygrad_seq.autograd.backward import run_backward
from tinygrad_seq.autograd.changes import stamp_change
from tinygrad_seq.autograd.modes import modes
from tinygrad_seq.autograd.record import record, recorders
from tinygrad_seq.autograd.tape import (
    Extras,
    Leaf,
    Node,
    Output,
    Place,
    Traced,
)
from tinygrad_seq.backend import (
    Array,
    Device,
    as_device,
    beside,
    device_of,
    is_array,
    to_host,
)
from tinygrad_seq.errors import DTypeError, GraphError, expect


class Tensor(Traced, result=True):
    """An array of any backend with its place on the tape.

    Make one with ``tg.tensor(...)``. ``data`` is the raw array; writing into it goes unseen by
    the tape, ``copy_`` and its like do not. A tensor requires grad exactly if it has a place on
    the tape: as a leaf (made by the user) or as the output of a recorded op.
    """

    __slots__ = ()
    __array_priority__ = 1000

    def __init__(self, data: Array, node: Place | None = None):
        self.data = data if is_array(data) else np.asarray(data)
        self._node = node

    #: compute an op on tensors and put it on the tape; see ops/primitive.py
    __primitive__ = staticmethod(record)

    # ------------------------------------------------------------------ what it is

    @property
    def shape(self) -> tuple[int, ...]:
        """The size of each axis."""
        return self.data.shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.data.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return self.data.size

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the elements."""
        return self.data.dtype

    @property
    def device(self) -> Device:
        """Where the elements live."""
        return device_of(self.data)

    @property
    def T(self) -> Tensor:
        """All axes reversed."""
        return ops.transpose(self)

    @property
    def mT(self) -> Tensor:
        """The last two axes exchanged: each matrix transposed."""
        expect(self.ndim > 1, "mT", "a tensor with at least two axes", f"shape {self.shape}")
        return ops.swapaxes(self, -1, -2)

    # ------------------------------------------------------------------ its place on the tape

    @property
    def requires_grad(self) -> bool:
        """Whether gradients flow to this tensor. Can be set on leaves."""
        return self._node is not None

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if value == self.requires_grad:
            return
        if not self.is_leaf:
            raise GraphError("requires_grad: only a leaf can stop requiring grad; use detach()")
        if value and self.data.dtype.kind not in "fc":
            raise DTypeError(
                f"requires_grad: expected a floating dtype, got {self.dtype}; integers and masks "
                "have no gradient"
            )
        self._node = Leaf(self.data) if value else None

    def requires_grad_(self, value: bool = True) -> Tensor:
        """Set ``requires_grad`` and return the tensor itself."""
        self.requires_grad = value
        return self

    @property
    def is_leaf(self) -> bool:
        """Whether it was made by the user rather than by a recorded op."""
        return self._node is None or isinstance(self._node, Leaf)

    @property
    def grad(self) -> Tensor | None:
        """The gradient that ``backward`` has accumulated, or None."""
        node = self._node
        if isinstance(node, Leaf):
            node.grad = None if node.grad is None else as_tensor(node.grad)
            return node.grad
        if node is None or node.extras is None or node.extras.retained is None:
            return None
        return as_tensor(node.extras.retained)

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        node = self._node
        if not isinstance(node, Leaf):
            raise GraphError("grad: can be set only on a leaf that requires grad")
        if value is not None:
            value = as_tensor(value)
            expect(value.shape == self.shape, "grad", f"shape {self.shape}", value.shape)
            ok = value.dtype == self.dtype
            expect(ok, "grad", f"dtype {self.dtype}", value.dtype, DTypeError)
        node.grad = value

    def _extras(self, name: str) -> Extras:
        if self._node is None:
            raise GraphError(f"{name}: this tensor does not require grad")
        self._node.extras = self._node.extras or Extras()
        return self._node.extras

    def retain_grad(self) -> None:
        """Keep ``grad`` of this tensor too, though it is no leaf."""
        self._extras("retain_grad").retain = not self.is_leaf

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> Callable[[], None]:
        """Call ``hook`` with this tensor's gradient once it is complete; → a function that
        removes the hook. What the hook returns, if anything, takes the gradient's place."""
        hooks = self._extras("register_hook").hooks

        def call(g: Any) -> Any:
            changed = hook(as_tensor(g))
            return raw(changed) if changed is not None and not isinstance(g, Tensor) else changed

        hooks.append(call)
        return lambda: hooks.remove(call) if call in hooks else None

    def detach(self) -> Tensor:
        """The same array, cut off from the tape: a constant to every derivative."""
        if modes.detach_replay is not None:
            return modes.detach_replay(self)
        return Tensor(self.data)

    def backward(
        self,
        gradient: Tensor | Array | None = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
    ) -> None:
        """Add d(self)/d(leaf), weighted by ``gradient``, to the ``.grad`` of every leaf.

        A scalar needs no ``gradient``. The graph is freed as it is used unless ``retain_graph``
        (default: ``create_graph``). With ``create_graph`` the gradients can be differentiated.
        """
        root = seed("backward", self, gradient, create_graph)
        retain = create_graph if retain_graph is None else retain_graph
        run_backward([root], retain=retain, lift=Tensor if create_graph else None)

    # ------------------------------------------------------------------ out of the engine

    def numpy(self) -> np.ndarray:
        """The values as a NumPy array: read-only, shared where they are on the CPU already."""
        host = to_host(self.data).view()
        host.flags.writeable = False
        return host

    def item(self) -> Any:
        """The one value of a one-element tensor as a Python number."""
        expect(self.size == 1, "item", "a tensor with one element", f"shape {self.shape}")
        return to_host(self.data).item()

    def tolist(self) -> Any:
        """The values as nested Python lists."""
        return to_host(self.data).tolist()

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __bool__(self) -> bool:
        return bool(self.item())

    def __index__(self) -> int:
        if self.data.dtype.kind not in "iu":
            raise DTypeError(f"index: expected an integer tensor, got {self.dtype}")
        return int(self.item())

    def __len__(self) -> int:
        expect(self.ndim > 0, "len", "a tensor with at least one axis", "shape ()")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        body = np.array2string(to_host(self.data), separator=", ", prefix="tensor(")
        where = "" if str(self.device) == "cpu" else f", device='{self.device}'"
        kind = "" if self.dtype == np.float32 else f", dtype={self.dtype}"
        node = self._node
        if isinstance(node, Node | Output):
            made = f", op={(node if isinstance(node, Node) else node.parent).op.name}"
        else:
            made = ", requires_grad=True" if self.requires_grad else ""
        return f"tensor({body}{kind}{where}{made})"

    __hash__ = object.__hash__

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if not self.is_leaf:
            raise GraphError("deepcopy: only leaves can be copied; detach() first")
        with beside(self.data):
            copy = type(self)(self.data.copy())
        copy.requires_grad = self.requires_grad
        memo[id(self)] = copy
        return copy

    __array_ufunc__ = interop.array_ufunc
    __array_function__ = interop.array_function
    __array__ = interop.array
    __dlpack__ = interop.dlpack
    __dlpack_device__ = interop.dlpack_device

    # ------------------------------------------------------------------ changed in place

    def _write(self, name: str) -> Array:
        """The raw array, for writing: stamps the change, refuses what would corrupt gradients."""
        if self._node is not None and modes.grad_enabled:
            raise GraphError(
                f"{name}: a tensor that requires grad cannot be changed in place while the tape "
                "records; use tg.no_grad(), or an op that makes a new tensor"
            )
        stamp_change(self.data)
        return self.data

    def copy_(self, source: Any) -> Tensor:
        """Overwrite the values with those of ``source``, which must broadcast to the shape."""
        data = self._write("copy_")
        with beside(data):
            data[...] = raw(source)
        return self

    def fill_(self, value: float) -> Tensor:
        """Overwrite every element with ``value``."""
        data = self._write("fill_")
        with beside(data):
            data[...] = value
        return self

    def zero_(self) -> Tensor:
        """Overwrite every element with 0."""
        return self.fill_(0)

    def add_(self, other: Any, alpha: float = 1) -> Tensor:
        """Add ``alpha · other`` in place."""
        data = self._write("add_")
        with beside(data):
            data += raw(other) if alpha == 1 else alpha * raw(other)
        return self

    def mul_(self, other: Any) -> Tensor:
        """Multiply by ``other`` in place."""
        data = self._write("mul_")
        with beside(data):
            data *= raw(other)
        return self

    def __setitem__(self, index: Any, value: Any) -> None:
        data = self._write("setitem")
        with beside(data):
            data[raw_index(index)] = raw(value)

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

    def split(self, indices_or_sections: Any, axis: int = 0) -> list[Tensor]:
        """Parts of it along an axis: n equal ones, or cut before each of the indices given."""
        return ops.split(self, indices_or_sections, axis)

    def reshape(self, *shape: Any) -> Tensor:
        """The same numbers in another shape: ``t.reshape(2, -1)`` or ``t.reshape((2, -1))``."""
        return ops.reshape(self, shape[0] if len(shape) == 1 else shape)

    def transpose(self, *axes: Any) -> Tensor:
        """Axes in another order; all reversed if none are given."""
        order = axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes or None
        return ops.transpose(self, order)

    def flatten(self) -> Tensor:
        """All elements along one axis."""
        return self.reshape(-1)

    def to(self, device: str | Device | None = None, dtype: Any = None) -> Tensor:
        """On another device, in another dtype, or both; the same tensor if it is so already."""
        moved = self
        if device is not None and as_device(device) != self.device:
            moved = ops.to_device(moved, as_device(device))
        if dtype is not None and np.dtype(dtype) != self.dtype:
            moved = ops.astype(moved, np.dtype(dtype))
        return moved


def raw(value: Any) -> Any:
    """The raw array of a tensor; anything else as it is."""
    return value.data if isinstance(value, Traced) else value


def raw_index(index: Any) -> Any:
    """An index expression with the tensors in it replaced by their arrays."""
    return tuple([raw(i) for i in index]) if isinstance(index, tuple) else raw(index)


def as_tensor(value: Any) -> Tensor:
    """A tensor as it is; an array or number as a constant tensor."""
    return value if isinstance(value, Tensor) else Tensor(value)


def seed(name: str, output: Tensor, gradient: Any, create_graph: bool) -> tuple[Place, Any]:
    """Where to start a backward pass from ``output``, and the gradient to start with."""
    if output._node is None:
        raise GraphError(
            f"{name}: the output does not require grad; nothing it was computed from does"
        )
    data = output.data
    if gradient is None:
        expect(output.size == 1, name, "a gradient, or a scalar output", f"shape {output.shape}")
        gradient = ops.full_like(data, 1)
    given = as_tensor(gradient)
    expect(given.shape == output.shape, name, f"a gradient of shape {output.shape}", given.shape)
    given = given.to(dtype=output.dtype)
    return output._node, given if create_graph else given.data
