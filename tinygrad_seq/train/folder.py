"""The folder of a run: its checkpoint, its log, its picture."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import tinygrad_seq
from tinygrad_seq.errors import DataError, StateError
from tinygrad_seq.nn.serialization import load, save
from tinygrad_seq.train.log import Event, JsonLog, read_log
from tinygrad_seq.train.run import Run

PLACE = Path("runs")


class RunFolder:
    """``checkpoint.safetensors``, ``log.jsonl``, ``curves.png`` and ``flow.png`` in one place."""

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.checkpoint = self.path / "checkpoint.safetensors"
        self.log = self.path / "log.jsonl"
        self.curves = self.path / "curves.png"
        self.flow = self.path / "flow.png"

    def holds_run(self) -> bool:
        """Whether a run was started here."""
        return self.checkpoint.exists() or self.log.exists()

    @classmethod
    def new(cls, path: str | Path | None = None, task: str = "char-lm") -> RunFolder:
        """A folder for a new run; the run of another is never touched.

        path None: ``runs/TASK``, or the first free one of ``runs/TASK-2``, ``-3`` …
        Raises DataError if the path is taken or cannot be made.
        """
        if path is None:
            number, folder = 2, cls(PLACE / task)
            while folder.path.exists():
                number, folder = number + 1, cls(PLACE / f"{task}-{number}")
        else:
            folder = cls(path)
        if folder.holds_run():
            raise DataError(
                f"{folder.path} holds a run already: go on with --resume {folder.path}, or "
                "choose another --out"
            )
        try:
            folder.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f"{folder.path}: no folder can be made: {error.strerror}") from error
        return folder

    def load(self) -> dict[str, Any]:
        """What the checkpoint holds. Raises StateError if there is none or it is damaged."""
        if not self.checkpoint.exists():
            raise StateError(f"{self.path} holds no checkpoint (no file {self.checkpoint.name})")
        return load(self.checkpoint)

    def save(self, run: Run, log: JsonLog) -> None:
        """Replace the checkpoint by one of ``run`` as it is now; all or nothing."""
        log.sync()  # the log must never be behind the checkpoint
        save(self.checkpoint, {**run.state_dict(), "log_lines": log.lines})

    def start_log(self, run: Run) -> JsonLog:
        """A new log with its header."""
        log = JsonLog(self.log)
        log.write(header(run))
        return log

    def resume_log(self, saved: dict[str, Any]) -> tuple[JsonLog, float]:
        """The log as it was at the checkpoint, and the seconds of training it tells of."""
        log = JsonLog(self.log, keep=saved["log_lines"])
        times = [event["seconds"] for event in read_log(self.log) if event["event"] == "train"]
        return log, max(times, default=0.0)


def header(run: Run) -> Event:
    """The first line of a log: what is run, on what, with what."""
    return {
        "event": "header",
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "task": run.task.name,
        "config": run.config.as_dict(),
        "data": run.task.describe_data(),
        "fingerprint": run.task.fingerprint,
        "model": run.task.describe_model(),
        "parameters": sum(p.size for p in run.model.parameters()),
        "updates_per_epoch": run.task.updates_per_epoch,
        "versions": {
            "tinygrad_seq": tinygrad_seq.__version__,
            "numpy": np.__version__,
            "python": sys.version.split()[0],
            "platform": sys.platform,
        },
    }
