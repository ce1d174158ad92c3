"""``tinygrad-seq info``: what the engine is running on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Iterator

import numpy as np
from threadpoolctl import threadpool_info

import tinygrad_seq
from tinygrad_seq.backend import get_backend, memory
from tinygrad_seq.cli.console import console, table
from tinygrad_seq.data import data_folder
from tinygrad_seq.errors import TinygradSeqError

PACKAGES = ("numpy", "cupy-cuda13x", "cupy-cuda12x", "numba", "safetensors", "matplotlib")


def info() -> None:
    """Show versions, linear algebra library, threads, devices and the data folder."""
    rows = table("what", "value")
    for what, value in facts():
        rows.add_row(what, value)
    console().print(rows)


def facts() -> Iterator[tuple[str, str]]:
    """What there is to know, a name and a value at a time."""
    yield "tinygrad_seq", tinygrad_seq.__version__
    yield "python", f"{platform.python_version()} on {platform.platform()}"
    for name in PACKAGES:
        yield name, _version(name)
    yield "BLAS", _blas()
    yield "threads", _threads()
    for name in ("cpu", "cuda"):
        yield f"device {name}", _devices(name)
    yield "default dtype", str(tinygrad_seq.default_dtype())
    yield "default device", str(tinygrad_seq.default_device())
    folder = data_folder()
    missing = "" if folder is None or folder.is_dir() else " (there is no such folder)"
    yield "data folder", "TINYGRAD_SEQ_DATA is not set" if folder is None else f"{folder}{missing}"


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _blas() -> str:
    build = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return f"{build.get('name', 'unknown')} {build.get('version', '')}".strip()


def _threads() -> str:
    pools = [f"{p['internal_api']} uses {p['num_threads']}" for p in threadpool_info()]
    return ", ".join([f"{os.cpu_count()} cores", *pools])


def _devices(name: str) -> str:
    try:
        count = get_backend(name).device_count()
    except TinygradSeqError as error:
        return str(error)
    total = memory(name).total
    size = f" with {total / 2**30:.0f} GiB" if total else ""
    return f"{count} usable{size}"
