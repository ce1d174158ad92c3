"""Saving and loading state: tensors in a safetensors file, everything else as JSON beside them.

A flat dict of tensors, such as ``module.state_dict()``, becomes a plain safetensors file that any
reader of the format takes, PyTorch's among them. A nested state becomes one too: its tensors are
named by their path (``model/lstm.weight_ih_l0``), and the file's metadata holds the tree, where
``{"$tensor": path}`` stands for a tensor.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinygrad_seq.autograd import Tensor
from tinygrad_seq.backend import Device, as_device, is_array, to_host, transfer
from tinygrad_seq.errors import MissingDependencyError, StateError, expect

_TREE, _TENSOR = "tinygrad_seq", "$tensor"
_DTYPES = {
    "F64": "f8", "F32": "f4", "F16": "f2", "C64": "c8", "BOOL": "?", "I64": "i8", "I32": "i4",
    "I16": "i2", "I8": "i1", "U64": "u8", "U32": "u4", "U16": "u2", "U8": "u1",
}  # fmt: skip


def save(path: str | os.PathLike[str], state: Mapping[str, Any]) -> None:
    """Write a state to a safetensors file, all of it or nothing.

    state: a dict with Tensors, arrays, numbers, strings, True, False, None, and dicts and lists of
    these, nested as deep as wanted; ``load`` gives it back, arrays as Tensors, tuples as lists.
    The file appears under its name only when it is complete and on the disk, so a kill or a full
    disk leaves what was there before. Raises StateError for what cannot be saved or written.
    """
    library = _safetensors("save")
    expect(isinstance(state, Mapping), "save", "a dict", type(state).__name__, StateError)
    arrays: dict[str, np.ndarray] = {}
    if all(isinstance(v, Tensor) or is_array(v) for v in state.values()) and state:
        for key, value in state.items():
            _plant(value, _key(key, ""), arrays)
        metadata = None
    else:
        metadata = {_TREE: json.dumps({"version": 1, "state": _plant(state, "", arrays)})}
    with _replacing(os.fspath(path)) as file:
        file.write(library.save(arrays, metadata))


def load(path: str | os.PathLike[str], device: str | Device | None = None) -> dict[str, Any]:
    """Read what ``save`` wrote, or any other safetensors file as a flat dict of Tensors.

    device: where the Tensors go (default: the default device). bfloat16, which NumPy lacks, is read
    as float32, exactly. Nothing in the file is ever run. Raises StateError for a file that is
    missing, cut off or corrupt.
    """
    _safetensors("load")
    where = as_device(device)
    try:
        with open(path, "rb") as file:
            data = file.read()
        arrays, metadata = _decode(data)
        tensors = {name: Tensor(transfer(array, where)) for name, array in arrays.items()}
        if _TREE not in metadata:
            return tensors
        tree = json.loads(metadata[_TREE])
        expect(tree["version"] == 1, "load", "format version 1", tree["version"], StateError)
        state: dict[str, Any] = _grow(tree["state"], tensors)
        return state
    except OSError as error:
        raise StateError(f"load: cannot read '{path}': {error.strerror}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise StateError(f"load: '{path}' is no intact safetensors file: {error}") from error


def _plant(value: Any, path: str, arrays: dict[str, np.ndarray]) -> Any:
    """The JSON for ``value``; its tensors go into ``arrays``."""
    if isinstance(value, Tensor):
        value = value.data
    if is_array(value):
        host = to_host(value)
        ok = np.dtype(host.dtype).newbyteorder("=").str[1:] in {*_DTYPES.values(), "b1"}
        expect(ok, "save", f"a dtype that safetensors has for {path!r}", host.dtype, StateError)
        arrays[path] = np.array(host, host.dtype.newbyteorder("="), order="C", copy=None)
        return {_TENSOR: path}
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Mapping):
        return {
            _key(k, path): _plant(v, f"{path}/{k}" if path else k, arrays) for k, v in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_plant(v, f"{path}/{i}", arrays) for i, v in enumerate(value)]
    ok = value is None or isinstance(value, (bool, int, float, str))
    expected = f"a tensor, number, string, dict or list at {path!r}"
    expect(ok, "save", expected, type(value).__name__, StateError)
    return value


def _key(key: Any, path: str) -> Any:
    """A dict key that names one place in the file and no other."""
    ok = isinstance(key, str) and key not in ("", _TENSOR, "__metadata__") and "/" not in key
    where = f"in {path!r}" if path else "at the top"
    expect(ok, "save", f"non-empty string keys without '/' {where}", repr(key), StateError)
    return key


def _grow(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    """The reverse of ``_plant``."""
    if isinstance(value, dict):
        if _TENSOR in value:
            return tensors[value[_TENSOR]]
        return {k: _grow(v, tensors) for k, v in value.items()}
    return [_grow(v, tensors) for v in value] if isinstance(value, list) else value


def _decode(data: bytes) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays and the metadata in the bytes of a safetensors file."""
    from safetensors import SafetensorError, deserialize

    try:
        parts = dict(deserialize(data))  # checks sizes and offsets
    except SafetensorError as error:
        raise ValueError(error) from error
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    metadata = header.pop("__metadata__", None) or {}
    return {name: _array(name, parts[name]) for name in header}, metadata


def _array(name: str, part: Mapping[str, Any]) -> np.ndarray:
    kind, raw = part["dtype"], part["data"]
    if kind == "BF16":  # the upper half of a float32
        flat = (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32)
    elif kind in _DTYPES:
        flat = np.frombuffer(raw, np.dtype(_DTYPES[kind]).newbyteorder("<"))
    else:
        raise ValueError(f"tensor {name!r} has dtype {kind}, which NumPy lacks")
    return flat.astype(flat.dtype.newbyteorder("="), copy=False).reshape(part["shape"])


@contextmanager
def _replacing(path: str) -> Iterator[Any]:
    """A file to write into that takes the place of ``path`` at the end, if all went well."""
    folder, name = os.path.split(path)
    scratch = os.path.join(folder, f".{name}.{os.urandom(4).hex()}.tmp")
    try:
        with open(scratch, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(scratch, path)
        if os.name == "posix":  # the new name itself must reach the disk too
            parent = os.open(folder or ".", os.O_RDONLY)
            try:
                os.fsync(parent)
            finally:
                os.close(parent)
    except OSError as error:
        raise StateError(f"save: cannot write '{path}': {error.strerror}") from error
    finally:
        if os.path.exists(scratch):
            os.remove(scratch)


def _safetensors(op: str) -> Any:
    try:
        import safetensors.numpy
    except ImportError as error:
        raise MissingDependencyError(f"{op} needs safetensors: pip install safetensors") from error
    return safetensors.numpy
