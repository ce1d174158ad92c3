"""The array of the strict stand-in device: NumPy inside, CuPy's manners outside.

Where CuPy 14 and NumPy differ, ``StrictArray`` takes CuPy's side, so that code which passes on it
has no reason to fail on a GPU:

- it never turns into a host array by itself, and refuses to be mixed with one (an index may be
  a host array or a list; it is copied to the device, as CuPy does);
- a reduction gives a 0-d array, never a scalar;
- integer arrays used as an index wrap around instead of raising;
- arithmetic warns of nothing: a GPU does not report overflow or division by zero;
- an array can be used only while its device is the current one;
- whatever makes the host wait for the device is counted (``count_syncs``).

In one thing it is stricter: CuPy copies a host array assigned through an index array or a mask
to the device without a word, this refuses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from tinygrad_seq.backend import base, cupy_api
from tinygrad_seq.backend.strict.device import StrictDevice, current, synchronised, waits
from tinygrad_seq.backend.strict.indexing import prepare
from tinygrad_seq.backend.strict.methods import FETCHING, METHODS

_SCALARS = (bool, int, float, complex, np.generic)
_COMPARISONS = {"equal", "not_equal", "less", "less_equal", "greater", "greater_equal"}


def unwrap(value: Any, upload: bool = False) -> Any:
    """The NumPy values inside an argument; host arrays are refused, or copied if ``upload``."""
    if isinstance(value, StrictArray):
        if value._device != current():
            raise ValueError(
                f"The device where the array resides ({value._device}) is different from the "
                f"current device ({current()})."
            )
        return value._host
    if isinstance(value, np.ndarray):
        if not upload:
            raise TypeError(f"Unsupported type {type(value)}: a host array on a strict device")
        return value.copy()
    if type(value) in (list, tuple):
        return type(value)(unwrap(item, upload) for item in value)
    return value


def wrap(value: Any, sources: tuple[Any, ...] = ()) -> Any:
    """A result as device arrays: scalars become 0-d arrays, ``sources`` keep their identity."""
    if isinstance(value, np.ndarray):
        for source in sources:
            if isinstance(source, StrictArray) and source._host is value:
                return source
        return StrictArray(value, current())
    if isinstance(value, _SCALARS):
        return StrictArray(np.asarray(value), current())
    if isinstance(value, (list, tuple)):
        kind = list if isinstance(value, list) else tuple  # not NumPy's named tuples
        return kind(wrap(item, sources) for item in value)
    return value


def run(ufunc: Callable[..., Any], args: tuple[Any, ...], **kwargs: Any) -> Any:
    """Apply a universal function to device arrays and scalars, and to nothing else."""
    outs = kwargs.get("out")
    for arg in (*args, *(outs if isinstance(outs, tuple) else (outs,))):
        if not isinstance(arg, (StrictArray, type(None), *_SCALARS)):
            raise TypeError(f"Unsupported type {type(arg)}")
    inner = {key: unwrap(value) for key, value in kwargs.items()}
    with np.errstate(all="ignore"):
        result = ufunc(*unwrap(args), **inner)
    return wrap(result, (*args, *(outs if isinstance(outs, tuple) else (outs,))))


def call(section: str, name: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a NumPy function on device arrays, with the arguments that CuPy's has, wrapped."""
    skip = 1 if section == "cupy.ndarray" else 0
    cupy_api.check_call(section, name, args[skip:], kwargs)
    inner = {key: unwrap(value) for key, value in kwargs.items()}
    with np.errstate(all="ignore"):
        result = function(*unwrap(args), **inner)
    return wrap(result, (*args, *kwargs.values()))


def _fetch(name: str, array: StrictArray, *args: Any, **kwargs: Any) -> Any:
    """Call a method that gives host values."""
    cupy_api.check_call("cupy.ndarray", name, args, kwargs)
    return waits(name, FETCHING[name], array._host, *args, **kwargs)


def _known(value: Any) -> bool:
    """Whether CuPy itself decides about this operand, if only to refuse it."""
    return isinstance(value, (StrictArray, np.ndarray, *_SCALARS))


def _binary(ufunc: np.ufunc) -> tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]:
    """An operator, its reflection and its in-place form, following NEP 13 as CuPy does."""

    def forward(self: StrictArray, other: Any) -> Any:
        if _known(other):
            return run(ufunc, (self, other))
        if getattr(other, "__array_ufunc__", self) is None:
            return NotImplemented
        return ufunc(self, other)

    def reflected(self: StrictArray, other: Any) -> Any:
        return run(ufunc, (other, self)) if _known(other) else ufunc(other, self)

    def inplace(self: StrictArray, other: Any) -> Any:
        return run(ufunc, (self, other), out=self)

    return forward, reflected, inplace


def _unary(ufunc: np.ufunc) -> Callable[[StrictArray], Any]:
    return lambda self: run(ufunc, (self,))


def _attribute(name: str) -> property:
    return property(lambda self: getattr(self._host, name))


def _view(name: str) -> property:
    return property(lambda self: StrictArray(getattr(self._host, name), self._device))


def _converter(kind: Callable[[Any], Any]) -> Callable[[StrictArray], Any]:
    def convert(self: StrictArray) -> Any:
        synchronised(f"{kind.__name__}()")
        return kind(self._host)

    return convert


class StrictArray:
    """An array on a strict device; ``cupy.ndarray`` to all who ask."""

    __slots__ = ("__weakref__", "_device", "_host")
    __array_priority__ = 100
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, host: np.ndarray, device: int = 0):
        if host.dtype.kind not in "biufc" or host.dtype.itemsize > 8 + 8 * (host.dtype.kind == "c"):
            raise ValueError(f"Unsupported dtype {host.dtype}")
        self._host = host
        self._device = device

    dtype, ndim, size = _attribute("dtype"), _attribute("ndim"), _attribute("size")
    strides, itemsize, nbytes = (_attribute(n) for n in ("strides", "itemsize", "nbytes"))
    flags = _attribute("flags")
    T, mT, real, imag = _view("T"), _view("mT"), _view("real"), _view("imag")

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes; it can be set."""
        return self._host.shape

    @shape.setter
    def shape(self, shape: tuple[int, ...]) -> None:
        view = self._host.reshape(shape)
        if view.size and not np.may_share_memory(view, self._host):
            raise AttributeError("incompatible shape for a non-contiguous array")
        self._host = view

    @property
    def device(self) -> StrictDevice:
        """Where the array resides."""
        return StrictDevice(self._device)

    def __getattr__(self, name: str) -> Any:
        if not cupy_api.offers("cupy.ndarray", name):
            raise AttributeError(f"cupy.ndarray has no attribute {name!r}")
        if name in FETCHING:
            return partial(_fetch, name, self)
        function = METHODS.get(name) or getattr(np.ndarray, name, None)
        if not callable(function):
            raise AttributeError(f"the strict device has no stand-in for cupy.ndarray.{name}")
        return partial(call, "cupy.ndarray", name, function, self)

    __add__, __radd__, __iadd__ = _binary(np.add)
    __sub__, __rsub__, __isub__ = _binary(np.subtract)
    __mul__, __rmul__, __imul__ = _binary(np.multiply)
    __truediv__, __rtruediv__, __itruediv__ = _binary(np.true_divide)
    __floordiv__, __rfloordiv__, __ifloordiv__ = _binary(np.floor_divide)
    __mod__, __rmod__, __imod__ = _binary(np.remainder)
    __pow__, __rpow__, __ipow__ = _binary(np.power)
    __and__, __rand__, __iand__ = _binary(np.bitwise_and)
    __or__, __ror__, __ior__ = _binary(np.bitwise_or)
    __xor__, __rxor__, __ixor__ = _binary(np.bitwise_xor)
    __lshift__, __rlshift__, __ilshift__ = _binary(np.left_shift)
    __rshift__, __rrshift__, __irshift__ = _binary(np.right_shift)
    __divmod__, __rdivmod__, _ = _binary(np.divmod)
    __matmul__, __rmatmul__, _ = _binary(np.matmul)  # CuPy has no in-place @
    del _
    __lt__, __le__ = _binary(np.less)[0], _binary(np.less_equal)[0]
    __gt__, __ge__ = _binary(np.greater)[0], _binary(np.greater_equal)[0]
    __eq__, __ne__ = _binary(np.equal)[0], _binary(np.not_equal)[0]
    __neg__, __pos__ = _unary(np.negative), _unary(np.positive)
    __abs__, __invert__ = _unary(np.absolute), _unary(np.invert)

    __bool__, __int__, __float__ = _converter(bool), _converter(int), _converter(float)
    __complex__, __repr__, __str__ = _converter(complex), _converter(repr), _converter(str)

    def __format__(self, spec: str) -> str:
        synchronised("format()")
        return format(self._host, spec)

    def __len__(self) -> int:
        return len(self._host)

    def __iter__(self) -> Iterator[StrictArray]:
        if not self.ndim:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(self.shape[0]))

    def __getitem__(self, key: Any) -> StrictArray:
        index, copied = prepare(unwrap(key, upload=True), self.shape)
        found = np.asarray(self._host[index])
        return StrictArray(found.copy(), current()) if copied else StrictArray(found, self._device)

    def __setitem__(self, key: Any, value: Any) -> None:
        index, _ = prepare(unwrap(key, upload=True), self.shape)
        if not isinstance(value, (StrictArray, *_SCALARS)):
            raise TypeError(f"Unsupported type {type(value)}: assign a device array or a number")
        unwrap(self)[index] = unwrap(value)

    def copy(self, order: Any = "C") -> StrictArray:
        """A copy on the current device, wherever the array itself resides."""
        return StrictArray(self._host.copy(order), current())

    __copy__ = copy

    def __deepcopy__(self, memo: dict[int, Any]) -> StrictArray:
        return StrictArray(self._host.copy(), self._device)

    def __reduce__(self) -> tuple[Any, ...]:
        return StrictArray, (self.get(), self._device)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. "
            "Please use `.get()` to construct a NumPy array explicitly."
        )

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *args: Any, **kwargs: Any) -> Any:
        """``np.tanh(x)`` reaches CuPy's function, if there is one and no operand is foreign."""
        outs = kwargs.get("out", ())
        function = getattr(base.get_backend("strict").xp, ufunc.__name__, None)
        if method != "__call__" or not function or not all(map(_known, (*args, *outs))):
            return NotImplemented
        if len(outs) == 1:
            kwargs["out"] = outs[0]
        if ufunc.__name__ in _COMPARISONS:  # NumPy turns the scalars it compares into arrays
            args = tuple(a.item() if isinstance(a, np.ndarray) and not a.ndim else a for a in args)
        return function(*args, **kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        """``np.concatenate([x, y])`` reaches CuPy's function, if there is one."""
        namespace: Any = base.get_backend("strict").xp
        for part in function.__module__.split(".")[1:]:
            namespace = getattr(namespace, part, None)
        same = getattr(namespace, function.__name__, None)
        if same is None or not all(kind in (StrictArray, np.ndarray) for kind in types):
            return NotImplemented
        return same(*args, **kwargs)
