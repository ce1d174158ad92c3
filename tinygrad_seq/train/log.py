"""The log of a run: one JSON object per line, each with an ``event``.

``header`` comes first (options, versions, sizes); then ``train``, ``validation``, ``flow`` and
``sample`` as they happen; ``end`` last. A checkpoint remembers how many lines had been written, so
that a resumed run takes the log up where the checkpoint left it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from tinygrad_seq.errors import StateError

Event = dict[str, Any]


class JsonLog:
    """Appends events to a file and knows how many lines it holds."""

    def __init__(self, path: Path, keep: int = 0):
        """Open ``path`` and drop all but its first ``keep`` lines.

        Raises StateError if it has fewer: somebody changed it since the checkpoint.
        """
        self.path = path
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        if len(lines) < keep or not all(line.endswith(b"\n") for line in lines[:keep]):
            raise StateError(
                f"{path}: expected the {keep} lines written before the checkpoint, got {len(lines)}"
            )
        self._file = path.open("ab")
        self._file.truncate(sum(map(len, lines[:keep])))
        self.lines = keep

    def write(self, event: Event) -> None:
        """Add a line; it is in the hands of the operating system when this returns."""
        text = json.dumps(event, ensure_ascii=False, allow_nan=False)
        self._file.write(text.encode("utf-8", "surrogatepass") + b"\n")
        self._file.flush()
        self.lines += 1

    def sync(self) -> None:
        """Wait until every line is on the disk."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_log(path: Path) -> list[Event]:
    """The events of a log. Raises StateError where a line is not one."""
    events = []
    # Not str.splitlines: a sample may hold U+2028, which ends a line there, but not in JSON.
    for number, line in enumerate(path.read_text("utf-8").rstrip("\n").split("\n"), 1):
        try:
            event = json.loads(line)
        except ValueError as error:
            raise StateError(f"{path}: line {number} is not JSON: {error}") from error
        if not isinstance(event, dict) or "event" not in event:
            raise StateError(f"{path}: line {number} has no event")
        events.append(event)
    return events
