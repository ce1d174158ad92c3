"""Files of results: JSON that says what it holds, by which schema, and what it was measured on.

::

    {"schema": "tinygrad_seq.bench/1", "kind": "tape", "environment": {…}, "rows": [{…}, …], …}

All times are in seconds, all sizes in bytes.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from tinygrad_seq.errors import DataError

SCHEMA = "tinygrad_seq.bench/1"


def write_results(
    path: str | os.PathLike[str],
    kind: str,
    environment: dict[str, Any],
    rows: list[dict[str, Any]],
    **more: Any,
) -> None:
    """Write a file of results, all of it or nothing; folders on the way are made."""
    record = {"schema": SCHEMA, "kind": kind, "environment": environment, **more, "rows": rows}
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    scratch.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n")
    os.replace(scratch, target)


def read_results(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a file of results. Raises DataError for what is none, or of another schema."""
    try:
        record: Any = json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise DataError(f"results: cannot read '{path}': {error}") from error
    found = record.get("schema") if isinstance(record, dict) else None
    if found != SCHEMA:
        raise DataError(f"results: '{path}' has schema {found!r}, expected {SCHEMA!r}")
    known: dict[str, Any] = record
    return known
