"""Time transfers, a training step and every op on the CPU and on the device.

    python -m gpu.times DEVICE SECONDS FOLDER      → FOLDER/gpu-times.json, written row by row

What matters most comes first; when the time is spent no new row is begun, and those left out are
named.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import tinygrad_seq as tg
from tinygrad_seq import nn, optim
from tinygrad_seq.backend import as_device
from tinygrad_seq.backend.strict import count_syncs
from tinygrad_seq.bench import (
    case_of,
    environment,
    time_call,
    time_case,
    transfer_times,
    write_results,
)
from tinygrad_seq.models import CharLM
from tinygrad_seq.ops.primitive import registry

FIRST = (
    "lstm",
    "gru",
    "rnn",
    "attention",
    "matmul",
    "linear",
    "softmax",
    "cross_entropy",
    "embedding",
)


@dataclass(frozen=True)
class Effort:
    """How much work goes into the figures."""

    options: dict[str, Any]  # of time_call
    sizes: tuple[int, ...]  # of transfers, in bytes
    model: dict[str, int]  # sizes of the character model and its window
    bench: bool  # ops on their bench sample, or on their first one, which is small


FULL = Effort(
    {"repeats": 7, "min_seconds": 0.02, "max_seconds": 0.5},
    tuple(1 << n for n in (12, 16, 20, 24, 28)),
    {"vocabulary": 96, "embedding": 64, "hidden": 256, "steps": 64, "batch": 32},
    bench=True,
)
DRY = Effort(
    {"repeats": 1, "warmup": 0, "min_seconds": 1e-6, "max_seconds": 0.01},
    (1 << 12,),
    {"vocabulary": 5, "embedding": 2, "hidden": 3, "steps": 2, "batch": 2},
    bench=False,
)

Row = dict[str, Any]


def training_step(kind: str, device: str, sizes: dict[str, int]) -> Callable[[], float]:
    """One step of truncated BPTT for a character model: loss, gradients, clipping, Adam."""
    tg.manual_seed(0)
    symbols = sizes["vocabulary"]
    model = CharLM(symbols, sizes["embedding"], sizes["hidden"], kind, device=device)
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    rng = np.random.default_rng(0)
    shape = (sizes["steps"], sizes["batch"])
    x, y = (tg.tensor(rng.integers(0, symbols, shape), device=device) for _ in range(2))

    def step() -> float:
        loss, _ = model.loss(x, y)
        loss.backward()
        nn.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return float(loss)

    return step


def jobs(device: str, effort: Effort) -> Iterator[tuple[str, Callable[[], list[Row]]]]:
    """Everything there is to time: a name, and what times it → rows."""
    for size in effort.sizes:
        yield f"transfer of {size} bytes", lambda size=size: transfers(device, size, effort)
    for kind in ("lstm", "gru", "rnn"):
        yield f"training step {kind}", lambda kind=kind: steps(kind, device, effort)
    ranked = sorted(registry, key=lambda n: (FIRST.index(n) if n in FIRST else len(FIRST), n))
    for name in ranked:
        if registry[name].bench is not None:
            yield name, lambda name=name: op_rows(name, device, effort)


def transfers(device: str, size: int, effort: Effort) -> list[Row]:
    """How long one array takes, each way."""
    ways = transfer_times(device, size, **effort.options)
    return [
        {"what": "transfer", "name": way, "bytes": size, "device": asdict(timing)}
        for way, timing in ways.items()
    ]


def steps(kind: str, device: str, effort: Effort) -> list[Row]:
    """A training step on both devices, and how often the host has to wait for the device in one.

    The waits are counted on the stand-in, where none goes unseen.
    """
    counted = training_step(kind, "strict", DRY.model)
    with count_syncs() as waits:
        counted()
    row: Row = {"what": "training step", "name": kind, **effort.model, "waits": waits.count}
    for where, place in (("cpu", "cpu"), ("device", device)):
        step = training_step(kind, place, effort.model)
        row[where] = asdict(time_call(step, place, **effort.options))
    return [row]


def op_rows(name: str, device: str, effort: Effort) -> list[Row]:
    """An op on both devices: forward, and forward with backward."""
    op = registry[name]
    sample = op.bench if op.bench is not None and effort.bench else op.samples[0]
    rows: list[Row] = [
        {"what": what, "name": name, "sample": str(sample)}
        for what in ("forward", "forward and backward")
    ]
    for where, place in (("cpu", "cpu"), ("device", device)):
        timings = time_case(case_of(op, sample, place, np.float32), **effort.options)
        for row, timing in zip(rows, timings, strict=True):
            row[where] = timing and asdict(timing)
    return [row for row in rows if row["device"] is not None]


def main(device: str, seconds: float, folder: Path) -> None:
    """Work through the jobs until the time is spent."""
    deadline = time.monotonic() + seconds
    effort = FULL if device == "cuda" else DRY
    about = environment(["cpu", device])
    rows: list[Row] = []
    notes: dict[str, Any] = {"device": str(as_device(device)), "left_out": [], "failed": {}}
    for name, job in jobs(device, effort):
        if time.monotonic() > deadline:
            notes["left_out"].append(name)
            continue
        try:
            rows += job()
        except Exception as error:  # one op that fails must not hide the others
            notes["failed"][name] = f"{type(error).__name__}: {error}"
        write_results(folder / "gpu-times.json", "gpu", about, rows, **notes)
    write_results(folder / "gpu-times.json", "gpu", about, rows, **notes)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), Path(sys.argv[3]))
