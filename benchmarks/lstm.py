"""The LSTM's forward and backward pass against PyTorch's, on the CPU.

    PYTHONPATH=. python benchmarks/lstm.py [--threads 1 2] [--rounds 9] [--json FILE]

Our fast kernels, our readable ones and PyTorch, each in a process of its own with as many threads
as the others, taking turns. The figure to quote is the ratio of medians. PyTorch is left out where
it is not installed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import tinygrad_seq as tg
from tinygrad_seq import nn
from tinygrad_seq.bench import compare_processes, environment, serve, write_results

GOAL = 1.5
SIZES = {"steps": 64, "batch": 32, "input": 128, "hidden": 128}


def ours(sizes: argparse.Namespace, readable: bool) -> Callable[[], None]:
    """One forward and backward pass of ``nn.LSTM``, with its fast or its reference kernels."""
    tg.manual_seed(0)
    lstm = nn.LSTM(sizes.input, sizes.hidden)
    x = tg.randn(sizes.steps, sizes.batch, sizes.input)
    g = tg.ones(sizes.steps, sizes.batch, sizes.hidden)

    def once() -> None:
        with tg.reference_kernels() if readable else nullcontext():
            lstm.zero_grad()
            output, _ = lstm(x)
            output.backward(g)

    return once


def theirs(sizes: argparse.Namespace) -> Callable[[], None]:
    """One forward and backward pass of ``torch.nn.LSTM``."""
    import torch

    torch.set_num_threads(sizes.threads[0])
    torch.manual_seed(0)
    lstm = torch.nn.LSTM(sizes.input, sizes.hidden)
    x = torch.randn(sizes.steps, sizes.batch, sizes.input)
    g = torch.ones(sizes.steps, sizes.batch, sizes.hidden)

    def once() -> None:
        lstm.zero_grad()
        output, _ = lstm(x)
        output.backward(g)

    return once


def contest(threads: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    """A row for each contestant; ratios are against PyTorch where it is there."""
    names = ["numpy", "reference", *(["torch"] if find_spec("torch") else [])]
    shared = [f"--{size}={getattr(options, size)}" for size in SIZES]
    commands = {
        name: [sys.executable, __file__, "--worker", name, "--threads", str(threads), *shared]
        for name in names
    }
    table = compare_processes(commands, base=names[-1], rounds=options.rounds, threads=threads)
    return [{"kernels": name, "threads": threads, **asdict(s)} for name, s in table.items()]


def main() -> None:
    """Run the contest and report it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=9, help="turns that each contestant takes")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    for name, size in SIZES.items():
        parser.add_argument(f"--{name}", type=int, default=size)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker == "torch":
        serve(theirs(options))
    elif options.worker:
        serve(ours(options, readable=options.worker == "reference"))
    else:
        report(options)


def report(options: argparse.Namespace) -> None:
    """One table for all numbers of threads."""
    sizes = {name: getattr(options, name) for name in SIZES}
    print("LSTM forward and backward, float32,", ", ".join(f"{k} {v}" for k, v in sizes.items()))
    rows = []
    for threads in options.threads:
        rows += contest(threads, options)
        for row in (r for r in rows if r["threads"] == threads):
            against = f"{row['ratio']:8.2f} × PyTorch" if find_spec("torch") else ""
            print(f"{threads} threads  {row['kernels']:10}{row['seconds'] * 1e3:9.2f} ms{against}")
    if find_spec("torch"):
        worst = max(row["ratio"] for row in rows if row["kernels"] == "numpy")
        print(f"goal: at most {GOAL} × PyTorch: {'met' if worst <= GOAL else 'missed'}")
    if options.json:
        write_results(options.json, "lstm", environment(), rows, sizes=sizes)


if __name__ == "__main__":
    main()
