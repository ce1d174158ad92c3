"""Contests between processes.

Two libraries in one process share its threads, its caches and its allocator, and disturb each
other. Here each has a process of its own, and they take turns, a round each, the others asleep: so
whatever else the machine does hits all of them. The figure to quote is the ratio of medians.

A contestant is a program that ends in ``serve(once)``::

    serve(lambda: lstm_forward_and_backward())
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from tinygrad_seq.errors import ArgumentError, TinygradSeqError, expect

#: what BLAS libraries look at to learn how many threads they may use
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

#: plays one round → the seconds of each try in it
Player = Callable[[], Sequence[float]]


class ContestError(TinygradSeqError, RuntimeError):
    """A contestant's process ended before the contest did."""


@dataclass(frozen=True)
class Standing:
    """A contestant's median time in seconds, its quartiles, and the median against the base's."""

    seconds: float
    low: float
    high: float
    ratio: float
    tries: int


def serve(
    once: Callable[[], object],
    repeat: int = 7,
    warmup: int = 3,
    clock: Callable[[], float] = time.perf_counter,
) -> None:
    """In a contestant's process: for every line on stdin, the times of ``repeat`` calls to stdout,
    in seconds of ``clock``.

    Returns when stdin ends.
    """
    for _ in range(warmup):
        once()
    for _ in sys.stdin:
        times = []
        for _ in range(repeat):
            start = clock()
            once()
            times.append(clock() - start)
        sys.stdout.write(json.dumps(times) + "\n")
        sys.stdout.flush()


def compare_processes(
    commands: Mapping[str, Sequence[str]], *, base: str, rounds: int = 9, threads: int | None = 1
) -> dict[str, Standing]:
    """Run contestants against each other, each command in its own process; the program of each
    ends in ``serve``. → name → standing, with ratios against ``base``.

    threads: how many each may use for linear algebra (None: as many as it likes).
    Raises ContestError where a contestant's process ends too early.
    """
    expect(base in commands, "compare_processes", f"base to be one of {', '.join(commands)}",
           repr(base), ArgumentError)  # fmt: skip
    processes: dict[str, subprocess.Popen[str]] = {}
    try:
        for name, command in commands.items():
            processes[name] = _start(command, threads)
        players = {name: _player(name, process) for name, process in processes.items()}
        return standings(take_turns(players, rounds), base)
    finally:
        for process in processes.values():
            process.kill()
            process.communicate()


def take_turns(players: Mapping[str, Player], rounds: int) -> dict[str, list[float]]:
    """Let everybody play ``rounds`` rounds, in turn, every other round in reverse order.

    → name → the times of all tries.
    """
    expect(rounds >= 1, "take_turns", "rounds ≥ 1", rounds, ArgumentError)
    times: dict[str, list[float]] = {name: [] for name in players}
    for i in range(rounds):
        order: Iterable[str] = players if i % 2 == 0 else reversed(list(players))
        for name in order:
            times[name] += players[name]()
    return times


def standings(times: Mapping[str, Sequence[float]], base: str) -> dict[str, Standing]:
    """Medians, quartiles and ratios of what ``take_turns`` measured."""
    reference = median(times[base])
    table = {}
    for name, tries in times.items():
        low, middle, high = (float(q) for q in np.percentile(tries, (25, 50, 75)))
        table[name] = Standing(middle, low, high, middle / reference, len(tries))
    return table


def _start(command: Sequence[str], threads: int | None) -> subprocess.Popen[str]:
    limits = {} if threads is None else dict.fromkeys(THREAD_VARIABLES, str(threads))
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, stdin=pipe, stdout=pipe, text=True, env={**os.environ, **limits}
    )


def _player(name: str, process: subprocess.Popen[str]) -> Player:
    """What asks a contestant's process for a round."""

    def play() -> Sequence[float]:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write("\n")
            process.stdin.flush()
        except BrokenPipeError:
            pass
        line = process.stdout.readline()
        if not line:
            raise ContestError(f"{name}: its process ended with exit status {process.wait()}")
        times: list[float] = json.loads(line)
        return times

    return play
