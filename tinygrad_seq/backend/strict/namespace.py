"""``xp`` of the strict stand-in device: NumPy cut down to the functions and keywords of CuPy 14."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from tinygrad_seq.backend import cupy_api
from tinygrad_seq.backend.strict.array import StrictArray, call, run, unwrap, wrap
from tinygrad_seq.backend.strict.device import waits
from tinygrad_seq.backend.strict.indexing import scatter
from tinygrad_seq.backend.strict.methods import METHODS

# They copy a host array to the device; all others refuse one.
_UPLOADS = {"array", "asanyarray", "asarray", "ascontiguousarray", "asfortranarray"}
# They answer with host values: dtypes, shapes, Python booleans.
_ABOUT = {
    "broadcast_shapes", "can_cast", "common_type", "iscomplexobj", "isdtype", "isrealobj",
    "isscalar", "issubdtype", "may_share_memory", "min_scalar_type", "ndim", "promote_types",
    "result_type", "shape", "shares_memory", "size",
}  # fmt: skip
# The first argument need not be a device array.
_FREE = _UPLOADS | {
    "allclose", "append", "arange", "bartlett", "blackman", "diag_indices", "einsum", "empty",
    "eye", "full", "hamming", "hanning", "identity", "indices", "isclose", "kaiser", "linspace",
    "logspace", "mask_indices", "nan_to_num", "ones", "tri", "tril_indices", "triu_indices",
    "zeros",
}  # fmt: skip
# Every element must be a device array; NumPy would take numbers too.
_JOINS = {"column_stack", "concat", "concatenate", "dstack", "hstack", "stack", "vstack"}
# The size of their result depends on values, or they test values: the host waits.
_WAITING = {
    "argwhere", "asarray_chkfinite", "average", "bincount", "compress", "delete", "extract",
    "flatnonzero", "histogram", "histogram2d", "histogramdd", "interp", "intersect1d", "nanmax",
    "nanmin", "nonzero", "place", "ravel_multi_index", "setdiff1d", "setxor1d", "trim_zeros",
    "union1d", "unique", "unique_all", "unique_counts", "unique_inverse", "unique_values",
    "unravel_index",
}  # fmt: skip
# CuPy has them, on the device; NumPy's would work on the host.
_MISSING = {"broadcast", "c_", "flatiter", "mgrid", "ogrid", "poly1d", "r_", "ufunc", "vectorize"}


class Namespace:
    """CuPy's names as attributes; an AttributeError says what CuPy does not have."""

    def __init__(self, section: str, host: Any, **ready: Any):
        self._section = section
        self._host = host
        self.__dict__.update(ready)

    def __getattr__(self, name: str) -> Any:
        section = self._section
        if not cupy_api.offers(section, name):
            hint = " (draw on the host, with backend.Generator)" if name == "random" else ""
            raise AttributeError(f"CuPy 14 has no {section}.{name}{hint}")
        if name in _MISSING or (name not in _OWN and not hasattr(self._host, name)):
            raise AttributeError(f"the strict device has no stand-in for {section}.{name}")
        value = self._offer(name, _OWN.get(name) or getattr(self._host, name))
        setattr(self, name, value)
        return value

    def _offer(self, name: str, function: Any) -> Any:
        if cupy_api.signature(self._section, name) is None:  # a constant or a type
            return function
        if isinstance(function, np.ufunc):
            return StrictUfunc(self._section, name, function)
        if name in _ABOUT:
            return partial(_about, self._section, name, function)
        if name in _UPLOADS:
            return partial(_upload, self._section, name, function)
        return partial(_compute, self._section, name, function)


class StrictUfunc:
    """A universal function with CuPy's keywords and those methods that CuPy implements."""

    def __init__(self, section: str, name: str, ufunc: np.ufunc):
        self._section, self.__name__, self._ufunc = section, name, ufunc
        self.nin, self.nout = ufunc.nin, ufunc.nout

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        cupy_api.check_call(self._section, self.__name__, args, kwargs)
        return run(self._ufunc, args, **kwargs)

    def __getattr__(self, method: str) -> Any:
        name = f"{self.__name__}.{method}"
        if not cupy_api.offers(self._section, name):
            raise NotImplementedError(f"CuPy 14 has no {self._section}.{name}")
        if method == "at":
            return partial(call, self._section, name, partial(scatter, self._ufunc))
        return partial(call, self._section, name, getattr(self._ufunc, method))


def _about(section: str, name: str, function: Any, *args: Any, **kwargs: Any) -> Any:
    """A question about arrays that needs none of their values."""
    cupy_api.check_call(section, name, args, kwargs)
    hosts = [a._host if isinstance(a, StrictArray) else a for a in args]
    return function(*hosts, **kwargs)


def _upload(section: str, name: str, function: Any, *args: Any, **kwargs: Any) -> Any:
    """Make a device array of a host array, a number or a nested sequence."""
    cupy_api.check_call(section, name, args, kwargs)
    kwargs.pop("blocking", None)
    obj, *rest = args
    if kwargs.get("copy") is False and not isinstance(obj, StrictArray):
        raise ValueError(f"{section}.{name}: a copy is needed to bring {type(obj)} to the device")
    return wrap(function(unwrap(obj, upload=True), *rest, **kwargs), (obj,))


def _compute(section: str, name: str, function: Any, *args: Any, **kwargs: Any) -> Any:
    """A function of device arrays."""
    first = args[0] if args else next(iter(kwargs.values()), None)
    items = first if isinstance(first, (list, tuple)) else [first]
    found = [isinstance(item, StrictArray) for item in items]
    if name not in _FREE and not (all(found) if name in _JOINS else any(found)):
        cupy_api.check_call(section, name, args, kwargs)
        got = ", ".join(str(type(item)) for item in items)
        raise TypeError(f"{section}.{name}: expected device arrays, got {got}")
    if name in _WAITING:
        function = partial(waits, name, function)
    return call(section, name, function, *args, **kwargs)


def _asnumpy(array: Any, *_: Any, **__: Any) -> np.ndarray:
    return array.get() if isinstance(array, StrictArray) else np.asarray(array)


def _where(condition: Any, x: Any = None, y: Any = None) -> Any:
    if x is None and y is None:
        return waits("where", np.nonzero, condition)
    return np.where(condition, x, y)


def _array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> Any:
    compare: Callable[..., Any] = np.array_equal
    if equal_nan:
        compare = partial(waits, "array_equal", np.array_equal)
    return compare(a1, a2, equal_nan=equal_nan)


def _take_along_axis(a: Any, indices: Any, axis: int | None) -> Any:
    return np.take_along_axis(a, indices % (a.size if axis is None else a.shape[axis]), axis)


def _like(name: str) -> Callable[..., Any]:
    """``full_like`` and its kin: CuPy takes an empty shape for none given."""

    def like(a: Any, *args: Any, shape: Any = None, **kwargs: Any) -> Any:
        return getattr(np, name)(a, *args, shape=shape or None, **kwargs)

    return like


_OWN: dict[str, Any] = {
    **{name: _like(name) for name in ("empty_like", "full_like", "ones_like", "zeros_like")},
    "array_equal": _array_equal,
    "put": METHODS["put"],
    "repeat": METHODS["repeat"],
    "swapaxes": METHODS["swapaxes"],
    "take": METHODS["take"],
    "take_along_axis": _take_along_axis,
    "where": _where,
}

xp = Namespace(
    "cupy",
    np,
    asnumpy=_asnumpy,
    linalg=Namespace("cupy.linalg", np.linalg),
    ndarray=StrictArray,
)
