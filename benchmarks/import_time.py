"""What ``import tinygrad_seq`` costs beyond ``import numpy``.

    PYTHONPATH=. python benchmarks/import_time.py [--rounds 21] [--json FILE]

Two kinds of fresh interpreter take turns; one imports NumPy alone. The figure is the difference of
their medians, from start to exit, by the wall clock; the processor time, which other work on the
machine hardly touches, stands beside it.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from tinygrad_seq.bench import environment, standings, take_turns, write_results

MODULES = ("numpy", "tinygrad_seq")
GOAL = 0.1


def _processor_seconds() -> float:
    """What all finished child processes have used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def importing(module: str, processor: list[float]) -> Callable[[], list[float]]:
    """What imports ``module`` in a new interpreter → how long that took.

    The processor time goes into ``processor``.
    """

    def play() -> list[float]:
        start, used = time.perf_counter(), _processor_seconds()
        subprocess.run([sys.executable, "-c", f"import {module}"], check=True)
        processor.append(_processor_seconds() - used)
        return [time.perf_counter() - start]

    return play


def main() -> None:
    """Run and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=21, help="starts of each kind")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()

    processor: dict[str, list[float]] = {name: [] for name in MODULES}
    players = {name: importing(name, processor[name]) for name in MODULES}
    take_turns(players, 1)  # compiles to bytecode, fills the disk cache
    tables = {
        "wall": standings(take_turns(players, options.rounds), "numpy"),
        "processor": standings(processor, "numpy"),
    }
    rows, beyond = [], {}
    for clock, table in tables.items():
        for name, standing in table.items():
            rows.append({"module": name, "clock": clock, **asdict(standing)})
            low, high = standing.low * 1e3, standing.high * 1e3
            print(f"{clock:10} import {name:14}{standing.seconds * 1e3:8.1f} ms"
                  f"   ({low:.1f} … {high:.1f})")  # fmt: skip
        beyond[clock] = table["tinygrad_seq"].seconds - table["numpy"].seconds
    for clock, seconds in beyond.items():
        print(f"{clock:10} beyond NumPy  {seconds * 1e3:14.1f} ms")
    print(f"goal: at most {GOAL * 1e3:.0f} ms: {'met' if beyond['wall'] <= GOAL else 'missed'}")
    if options.json:
        write_results(options.json, "import", environment(), rows, beyond_numpy=beyond)


if __name__ == "__main__":
    main()
