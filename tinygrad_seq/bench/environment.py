"""What a measurement ran on: a time without its machine says nothing."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

import tinygrad_seq
from tinygrad_seq.backend import Device, as_device, get_backend
from tinygrad_seq.bench.contest import THREAD_VARIABLES

PACKAGES = ("numpy", "cupy-cuda13x", "cupy-cuda12x", "torch", "numba", "pytest", "hypothesis")
_SOURCE = Path(tinygrad_seq.__file__).parent


def environment(devices: Iterable[str | Device] = ("cpu",)) -> dict[str, Any]:
    """Time, hardware, driver, versions, threads and commit, ready for JSON.

    Whatever cannot be found out is None. ``source`` is a hash of the package's Python files, which
    tells states of the code apart where there is no repository.
    """
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "usable_cores": _usable_cores(),
        "memory": _memory(),
        "blas": _blas(),
        "threads": {name: os.environ.get(name) for name in THREAD_VARIABLES},
        "nvidia": _nvidia(),
        "devices": {str(d): describe(d) for d in map(as_device, devices)},
        "packages": {"tinygrad_seq": tinygrad_seq.__version__, **_versions()},
        "commit": _git("rev-parse", "HEAD"),
        "changed_since_commit": _changed(),
        "source": _fingerprint(),
    }


def describe(device: Device) -> dict[str, str | int]:
    """What a device's backend says of it."""
    return get_backend(device.type).describe(device)


def _cpu() -> str | None:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or None
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _usable_cores() -> int | None:
    """How many this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _memory() -> int | None:
    """Bytes of main memory."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _blas() -> str | None:
    """The linear algebra library that NumPy was built with."""
    config: Any = np.show_config(mode="dicts")
    found = config.get("Build Dependencies", {}).get("blas", {})
    return f"{found.get('name')} {found.get('version')}" if found else None


def _versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def _nvidia() -> list[str] | None:
    """Name, driver, memory and highest clock of each GPU, as the driver tells them."""
    asked = "name,driver_version,memory.total,clocks.max.sm,power.limit"
    told = _output("nvidia-smi", f"--query-gpu={asked}", "--format=csv,noheader")
    return told.splitlines() if told else None


def _git(*arguments: str) -> str | None:
    return _output("git", "-C", str(_SOURCE), *arguments)


def _changed() -> bool | None:
    """Whether the working tree differs from the commit."""
    status = _git("status", "--porcelain", "--untracked-files=no")
    return None if status is None else bool(status)


def _fingerprint() -> str:
    digest = hashlib.sha256()
    for path in sorted(_SOURCE.rglob("*.py")):
        digest.update(f"{path.relative_to(_SOURCE)}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _output(*command: str) -> str | None:
    """What a program prints; None where it is missing, fails or hangs."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
