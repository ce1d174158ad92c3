"""What the tape costs: many small ops, forward and backward, against PyTorch; and a deep graph.

    PYTHONPATH=. python benchmarks/tape.py [--rounds 15] [--threads 1] [--json FILE]

The contest is 500 times h ← tanh(h·w) on 8×8 float32, where nearly all the time goes into recording
ops and walking back over them. Each library has a process of its own and they take turns; the
figure to quote is the ratio of medians. PyTorch is left out where it is not installed. Then come
graphs 1,000, 10,000 and 100,000 ops deep: in linear time, the time per op stays the same.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

import tinygrad_seq as tg
from tinygrad_seq.bench import compare_processes, environment, serve, time_call, write_results

SIZE, GOAL = 8, 0.75


def arrays() -> tuple[np.ndarray, np.ndarray]:
    """h and w."""
    rng = np.random.default_rng(0)
    h, w = rng.standard_normal((2, SIZE, SIZE), np.float32)
    return h, w


def ours(ops: int) -> Callable[[], None]:
    """A chain of ``ops`` ops, multiplications and tanh in turn, forward and backward."""
    h0, w = (tg.tensor(a, requires_grad=True) for a in arrays())

    def once() -> None:
        h0.grad = w.grad = None
        h = h0
        for _ in range(ops // 2):
            h = tg.tanh(h * w)
        h.sum().backward()

    return once


def theirs(ops: int, threads: int) -> Callable[[], None]:
    """The same in PyTorch."""
    import torch

    torch.set_num_threads(threads)
    h0, w = (torch.tensor(a, requires_grad=True) for a in arrays())

    def once() -> None:
        h0.grad = w.grad = None
        h = h0
        for _ in range(ops // 2):
            h = torch.tanh(h * w)
        h.sum().backward()

    return once


def contest(options: argparse.Namespace) -> list[dict[str, Any]]:
    """A row for each contestant; ratios are against PyTorch where it is there."""
    names = ["tinygrad_seq", *(["torch"] if find_spec("torch") else [])]
    shared = ["--threads", str(options.threads), "--ops", str(options.ops)]
    commands = {n: [sys.executable, __file__, "--worker", n, *shared] for n in names}
    table = compare_processes(
        commands, base=names[-1], rounds=options.rounds, threads=options.threads
    )
    return [{"contestant": name, "ops": 2 * options.ops, **asdict(s)} for name, s in table.items()]


def deep_graphs(depths: list[int]) -> list[dict[str, Any]]:
    """Seconds per op of deeper and deeper graphs."""
    rows = []
    for ops in depths:
        timing = time_call(ours(ops), repeats=5, warmup=1, min_seconds=1e-3, max_seconds=10)
        rows.append({"depth": ops, "seconds_per_op": timing.seconds / ops, **asdict(timing)})
    return rows


def main() -> None:
    """Run and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15, help="turns that each contestant takes")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--ops", type=int, default=500, help="how many times tanh(h·w)")
    parser.add_argument("--depths", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        count = 2 * options.ops
        serve(theirs(count, options.threads) if options.worker == "torch" else ours(count))
        return

    print(f"{options.ops} × tanh(h·w) on {SIZE}×{SIZE} float32, forward and backward")
    rows = contest(options)
    for row in rows:
        each = row["seconds"] / row["ops"] * 1e6
        against = f"{row['ratio']:6.2f} × PyTorch" if len(rows) > 1 else ""
        print(f"{row['contestant']:14}{row['seconds'] * 1e3:8.2f} ms{each:8.2f} µs per op{against}")
    if len(rows) > 1:
        print(f"goal: at most {GOAL} × PyTorch: {'met' if rows[0]['ratio'] <= GOAL else 'missed'}")
    deep = deep_graphs(options.depths)
    for row in deep:
        print(f"{row['depth']:>9,} ops deep {row['seconds_per_op'] * 1e6:8.2f} µs per op")
    if options.json:
        write_results(options.json, "tape", environment(), rows, depths=deep)


if __name__ == "__main__":
    main()
