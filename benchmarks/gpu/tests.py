"""Run the tests marked ``gpu`` for a given time, with or without pytest's plugins.

    python -m gpu.tests DEVICE SECONDS FOLDER      → FOLDER/gpu-tests.xml, .txt and .status

Where pytest-xdist is installed, four processes share the work: most of it is compiling kernels.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def command(device: str, xml: Path) -> list[str]:
    """How pytest is called. The options of setup.cfg ask for plugins that may be missing."""
    line = [sys.executable, "-m", "pytest", "-p", "gpu.deadline", f"--junitxml={xml}"]
    line += ["-o", "addopts=--strict-markers --import-mode=importlib", "-p", "no:cacheprovider"]
    line += ["-W", "default", "-q", "--tb=short", "--continue-on-collection-errors"]
    line += ["-rfE", f"--rootdir={ROOT}"]
    if device != "cuda":
        return [*line, "-k", "strict", "tests/gpu"]
    line += ["-n", "4"] if find_spec("xdist") else []
    return [*line, "-m", "gpu", "tests/gpu", "tests"]  # what matters most comes first


def main(device: str, seconds: float, folder: Path) -> int:
    """Run them; the full output goes to a file, its last lines are shown."""
    log = folder / "gpu-tests.txt"
    given = {**os.environ, "TEST_DEADLINE": str(time.time() + seconds)}
    with log.open("w") as file:
        running = subprocess.Popen(
            command(device, folder / "gpu-tests.xml"),
            stdout=file, stderr=subprocess.STDOUT, env=given, cwd=ROOT,
        )  # fmt: skip
        # An interrupt from outside is for pytest, which then writes down how far it came.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        status = running.wait()
    (folder / "gpu-tests.status").write_text(f"{status}\n")
    for line in log.read_text(errors="replace").splitlines()[-3:]:
        print(f"  {line}")
    return status


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], float(sys.argv[2]), Path(sys.argv[3])))
