"""The mutation audit of the whole op registry: is every corrupted derivative noticed?

    PYTHONPATH=. python benchmarks/mutation_audit.py [NAME ...] [--jobs 2] [--json FILE]

Every rule of every op is corrupted in each way of the list in ``mutation_audit``, one at a time;
the gradient check runs on the op's declared samples with its default tolerances. A mutant that
passes is either equivalent, since it changes nothing on any sample, or missed. The table counts by
corruption; below it stands every corruption that changes nothing, with the reason.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from tinygrad_seq.bench import environment, write_results
from tinygrad_seq.gradcheck import audit_op
from tinygrad_seq.ops import registry


def audited(name: str) -> list[dict[str, Any]]:
    """Every mutant of an op as plain data."""
    return [{"op": name, **row} for row in audit_op(name).rows()]


def table(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Markdown: what became of each corruption, over all ops."""
    lines = [
        "| corruption | mutants | detected | change nothing | missed |",
        "|---|--:|--:|--:|--:|",
    ]
    kinds = list(dict.fromkeys(r["corruption"] for r in rows))
    for kind in [*kinds, None]:
        states = Counter(r["state"] for r in rows if kind in (None, r["corruption"]))
        cells = [states.total(), states["detected"], states["equivalent"], states["missed"]]
        lines.append(f"| {kind or '**all**'} | {' | '.join(map(str, cells))} |")
    return lines


def exceptions(rows: Sequence[dict[str, Any]], state: str) -> list[str]:
    """Markdown: the mutants in a state, by corruption and reason, and the rules they are of."""
    groups: dict[tuple[str, str], list[str]] = {}
    for r in rows:
        if r["state"] == state:
            groups.setdefault((r["corruption"], r["note"]), []).append(r["site"])
    return [f"- {c}: {note}. {', '.join(sites)}" for (c, note), sites in groups.items()]


def main() -> None:
    """Run and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="ops; default: all")
    parser.add_argument("--jobs", type=int, default=1, help="processes that share the work")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    names = options.names or [name for name, op in registry.items() if op.differentiable]
    with ProcessPoolExecutor(options.jobs) as pool:
        rows = [row for found in pool.map(audited, names) for row in found]
    print(f"{len(names)} ops, {len({r['site'] for r in rows})} rules")
    print("\n".join(table(rows)))
    print("\nMissed:", *(exceptions(rows, "missed") or ["none"]), sep="\n")
    print(
        "\nChange nothing, on any of the op's samples:", *exceptions(rows, "equivalent"), sep="\n"
    )
    if options.json:
        write_results(options.json, "mutation_audit", environment(), rows)


if __name__ == "__main__":
    main()
