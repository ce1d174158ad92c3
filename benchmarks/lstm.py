"""The LSTM's forward and backward pass against PyTorch's, on the CPU.

    python benchmarks/lstm.py [--threads 1 2] [--rounds 9] [--json FILE]

Every contestant runs in a process of its own with the same number of threads. They take turns, a
round each, so that whatever else the machine does hits all of them; the others sleep meanwhile. The
figure to quote is the ratio of medians. PyTorch is left out where it is not installed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONTESTANTS = ("numpy", "reference", "torch")


def ours(sizes: argparse.Namespace, name: str) -> Callable[[], None]:
    """One forward and backward pass of ``nn.LSTM``, with its fast or its reference kernels."""
    import numpy as np

    import tinygrad_seq as tg
    from tinygrad_seq import nn
    from tinygrad_seq.kernels import reference_kernels

    tg.manual_seed(0)
    lstm = nn.LSTM(sizes.input, sizes.hidden)
    x = tg.randn(sizes.steps, sizes.batch, sizes.input)
    g = tg.tensor(np.ones((sizes.steps, sizes.batch, sizes.hidden), np.float32))

    def once() -> None:
        lstm.zero_grad()
        output, _ = lstm(x)
        output.backward(g)

    def readable() -> None:
        with reference_kernels():
            once()

    return once if name == "numpy" else readable


def theirs(sizes: argparse.Namespace) -> Callable[[], None]:
    """One forward and backward pass of ``torch.nn.LSTM``."""
    import torch

    torch.set_num_threads(sizes.threads)
    torch.manual_seed(0)
    lstm = torch.nn.LSTM(sizes.input, sizes.hidden)
    x = torch.randn(sizes.steps, sizes.batch, sizes.input)
    g = torch.ones(sizes.steps, sizes.batch, sizes.hidden)

    def once() -> None:
        lstm.zero_grad()
        output, _ = lstm(x)
        output.backward(g)

    return once


def work(sizes: argparse.Namespace) -> None:
    """In the contestant's process: a round for every line on stdin, its times to stdout."""
    once = theirs(sizes) if sizes.worker == "torch" else ours(sizes, sizes.worker)
    for _ in range(5):
        once()
    for _ in sys.stdin:
        times = []
        for _ in range(sizes.repeat):
            start = time.perf_counter()
            once()
            times.append(time.perf_counter() - start)
        print(json.dumps(times), flush=True)


def start(name: str, threads: int, arguments: list[str]) -> subprocess.Popen[str]:
    """A contestant's process, with ``threads`` threads for whatever BLAS it uses."""
    limits = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    environment = os.environ | dict.fromkeys(limits, str(threads))
    environment["PYTHONPATH"] = os.pathsep.join(
        filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])
    )
    command = [sys.executable, __file__, *arguments, "--worker", name, "--threads", str(threads)]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )


def a_round(process: subprocess.Popen[str]) -> list[float]:
    """The times of one round, in seconds."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    line = process.stdout.readline()
    if not line:
        raise SystemExit(f"a contestant died with exit status {process.wait()}")
    times: list[float] = json.loads(line)
    return times


def compete(threads: int, rounds: int, arguments: list[str]) -> dict[str, float]:
    """Median seconds of every contestant, by name."""
    names = [n for n in CONTESTANTS if n != "torch" or find_spec("torch")]
    processes = {name: start(name, threads, arguments) for name in names}
    times: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(rounds):
        for name, process in processes.items():
            times[name] += a_round(process)
    for process in processes.values():
        process.communicate()
    return {name: statistics.median(t) for name, t in times.items()}


def main() -> None:
    """Run the contest and report it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=9, help="turns that each contestant takes")
    parser.add_argument("--repeat", type=int, default=7, help="passes in a round")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    for name, size in {"steps": 64, "batch": 32, "input": 128, "hidden": 128}.items():
        parser.add_argument(f"--{name}", type=int, default=size)
    parser.add_argument("--worker", choices=CONTESTANTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        options.threads = options.threads[0]
        work(options)
        return

    sizes = {name: getattr(options, name) for name in ("steps", "batch", "input", "hidden")}
    arguments = [f"--repeat={options.repeat}", *(f"--{name}={n}" for name, n in sizes.items())]
    print("LSTM forward and backward, float32,", ", ".join(f"{k} {v}" for k, v in sizes.items()))
    records = []
    for threads in options.threads:
        medians = compete(threads, options.rounds, arguments)
        oracle = medians.get("torch")
        for name, seconds in medians.items():
            ratio = seconds / oracle if oracle else None
            records.append({"kernel": name, "threads": threads, "seconds": seconds, "ratio": ratio})
            against = "" if ratio is None else f"{ratio:8.2f} × PyTorch"
            print(f"{threads} threads  {name:10}{seconds * 1e3:9.2f} ms{against}", flush=True)
    if options.json:
        options.json.write_text(json.dumps({"sizes": sizes, "results": records}, indent=2) + "\n")


if __name__ == "__main__":
    main()
