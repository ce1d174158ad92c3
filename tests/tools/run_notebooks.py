"""Execute every notebook of a folder, up to the first error: ``run_notebooks.py FOLDER``.

Two at a time, each in processes of its own and on one thread, where it lies, leaving the files as
they are. Prints the seconds of each; an error names the notebook and the cell.
"""

from __future__ import annotations

import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

#: what a kernel, which inherits them, is to find: pictures in the notebook, one thread
SETTINGS = {
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
AT_ONCE = 2
CELL_SECONDS = 600


def run(path: Path) -> tuple[float, str]:
    """Execute one notebook. → how long it took, and what went wrong, with the cell, or ''."""
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    started = time.monotonic()
    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(path.parent)}}
    client = NotebookClient(
        notebook, timeout=CELL_SECONDS, kernel_name="python3", resources=resources
    )
    reached = []
    client.on_cell_execute = lambda cell, cell_index: reached.append(cell_index)
    wrong = ""
    try:
        client.execute()
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        wrong = f"cell {reached[-1]}, counted from 0: {str(error).strip()}"
    return time.monotonic() - started, wrong


def run_all(paths: list[Path]) -> str:
    """Execute them all; → what went wrong first, '' if nothing did."""
    os.environ.update(SETTINGS)
    # Started afresh: what was imported here must not reach a notebook's kernel.
    with ProcessPoolExecutor(AT_ONCE, mp_context=get_context("spawn")) as pool:
        running = {pool.submit(run, path): path for path in paths}
        for done in as_completed(running):
            seconds, wrong = done.result()
            print(f"{seconds:6.1f} s  {running[done].name}", flush=True)
            if wrong:
                pool.shutdown(cancel_futures=True)
                return f"{running[done].name}, {wrong}"
    return ""


def main(folder: str) -> int:
    """Say how it went; → the exit status."""
    paths = sorted(
        p for p in Path(folder).glob("**/*.ipynb") if ".ipynb_checkpoints" not in p.parts
    )
    if not paths:
        print("no notebooks yet")
        return 0
    started = time.monotonic()
    wrong = run_all(paths)
    if wrong:
        print(wrong, file=sys.stderr)
        return 1
    print(f"{len(paths)} notebooks ran in {time.monotonic() - started:.0f} s")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
