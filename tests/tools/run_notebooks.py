"""Execute every notebook of a folder, up to the first error: ``run_notebooks.py FOLDER``."""

from __future__ import annotations

import sys
from pathlib import Path


def run(path: Path) -> None:
    """Execute one notebook where it lies, leaving the file as it is."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(path.parent)}}
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources=resources).execute()


if __name__ == "__main__":
    paths = sorted(Path(sys.argv[1]).glob("**/*.ipynb"))
    for path in paths:
        print(f"{path} ...", flush=True)
        run(path)
    print(f"{len(paths)} notebooks ran" if paths else "no notebooks yet")
