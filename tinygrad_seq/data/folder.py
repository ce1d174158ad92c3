"""Where data sets lie: the folder that the environment variable TINYGRAD_SEQ_DATA names."""

from __future__ import annotations

import os
from pathlib import Path

from tinygrad_seq.errors import DataError

VARIABLE = "TINYGRAD_SEQ_DATA"


def data_folder() -> Path | None:
    """The folder named by ``TINYGRAD_SEQ_DATA``; None where it is unset or empty."""
    named = os.environ.get(VARIABLE)
    return Path(named).expanduser() if named else None


def find_file(name: str | Path) -> Path:
    """``name`` as it stands if there is such a file, otherwise inside the data folder.

    Raises DataError, saying where it looked.
    """
    here = Path(name).expanduser()
    if here.exists() or here.is_absolute():
        return here
    folder = data_folder()
    if folder is not None and (folder / here).exists():
        return folder / here
    where = f"nor in {folder}" if folder is not None else f"and {VARIABLE} is not set"
    raise DataError(f"no file {str(name)!r} in the current folder, {where}")
