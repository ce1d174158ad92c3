"""Tensor: an array that remembers how it was computed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tinygrad_seq import ops
from tinygrad_seq.autograd import interop
from tinygrad_seq.autograd.backward import run_backward
from tinygrad_seq.autograd.changes import stamp_change
from tinygrad_seq.autograd.methods import TensorMethods, raw, raw_index
from tinygrad_seq.autograd.modes import modes
from tinygrad_seq.autograd.tape import (
    Extras,
    Leaf,
    Node,
    Output,
    Place,
)
from tinygrad_seq.backend import (
    Array,
    Device,
    beside,
    device_of,
    is_array,
    to_host,
)
from tinygrad_seq.errors import DTypeError, GraphError, expect
from tinygrad_seq.ops.primitive import cannot_take


class Tensor(TensorMethods, result=True):
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

    def copy_(self, source: Any) -> Tensor:
        """Overwrite the values with those of ``source``, which must broadcast to the shape."""
        return self._change("copy_", source, lambda data, new: data.__setitem__(..., new))

    def fill_(self, value: float) -> Tensor:
        """Overwrite every element with ``value``."""
        return self._change("fill_", value, lambda data, new: data.fill(new))

    def zero_(self) -> Tensor:
        """Overwrite every element with 0."""
        return self.fill_(0)

    def add_(self, other: Any, alpha: float = 1) -> Tensor:
        """Add ``alpha · other`` in place."""
        other = raw(other) if alpha == 1 else alpha * raw(other)
        return self._change("add_", other, lambda data, new: data.__iadd__(new))

    def mul_(self, other: Any) -> Tensor:
        """Multiply by ``other`` in place."""
        return self._change("mul_", other, lambda data, new: data.__imul__(new))

    def __setitem__(self, index: Any, value: Any) -> None:
        where = raw_index(index)
        self._change("setitem", value, lambda data, new: data.__setitem__(where, new))

    def _change(self, name: str, value: Any, write: Callable[[Array, Any], object]) -> Tensor:
        """Let ``write`` change the array, unless that would corrupt gradients; stamp the change."""
        if self._node is not None and modes.grad_enabled:
            raise GraphError(
                f"{name}: a tensor that requires grad cannot be changed in place while the tape "
                "records; use tg.no_grad(), or an op that makes a new tensor"
            )
        value = raw(value)
        try:
            with beside(self.data):
                write(self.data, value)
        except (ValueError, TypeError, IndexError) as error:
            raise cannot_take(name, [self.data, value], error) from error
        stamp_change(self.data)
        return self


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
