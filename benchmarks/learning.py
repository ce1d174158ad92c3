"""What the recurrent layers learn, beside what was published.

    PYTHONPATH=. TINYGRAD_SEQ_DATA=… python benchmarks/learning.py [--only EXPRESSION] [--json FILE]

Runs the tests of ``tests/learning`` one after the other on one thread, reads the figures they
reached from pytest's report, and writes them to ``benchmarks/results/learning.json`` and, as a
Markdown table, to the screen. What is trained how is in the tests. Seconds are the processor's, on
one thread; they depend on the machine, and the figures, a little, on its BLAS.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

from tinygrad_seq.bench import environment, write_results

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks/results/learning.json"

LSTM_PAPER = "Hochreiter and Schmidhuber 1997"
COMPARISON = "Bai, Kolter and Koltun 2018"
PUBLISHED = {
    ("adding, T = 100", "LSTM 64"): f"solved after 74,000 sequences ({LSTM_PAPER}, table 7)",
    ("copying, T = 100", "tanh RNN 64"): (
        "stays at 10·ln 8/(T + 20) (Arjovsky, Shah and Bengio 2016); "
        f"0.0202 for T = 1000, where that is 0.0204 ({COMPARISON})"
    ),
    ("embedded Reber grammar", "LSTM 32"): (
        f"8440 on average, 3800 to 24,100 ({LSTM_PAPER}, table 1, last row)"
    ),
    ("JSB chorales", "tanh RNN 256"): (
        f"8.71 (Boulanger-Lewandowski, Bengio and Vincent 2012), 8.91 ({COMPARISON})"
    ),
    ("JSB chorales", "LSTM 128"): f"8.45 ({COMPARISON})",
    ("JSB chorales", "GRU 128"): f"8.43 ({COMPARISON})",
    **dict.fromkeys(
        (("tiny Shakespeare", f"{kind} 128") for kind in ("rnn", "lstm", "gru")),
        "1.88, a small Transformer (Karpathy, nanoGPT, on a CPU)",
    ),
    ("MNIST, row by row", "LSTM 64"): f"pixel by pixel, which is harder: 87.2 ({COMPARISON})",
}


def trained(only: str) -> list[dict[str, Any]]:
    """Run the tests; → a row for every test that trained, whether it reached its goal or not."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-s", "-m", "slow", "-k", only,
                   "-p", "no:cacheprovider", f"--junitxml={report}", "tests/learning"]  # fmt: skip
        single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        subprocess.run(command, cwd=ROOT, env={**os.environ, **single}, check=False)
        return rows(report)


def rows(report: Path) -> list[dict[str, Any]]:
    """What the tests noted as properties in pytest's JUnit report. Skipped ones noted nothing."""
    found = []
    for case in ElementTree.parse(report).iter("testcase"):
        noted: dict[str, Any] = {p.attrib["name"]: p.attrib["value"] for p in case.iter("property")}
        if noted:
            noted |= {name: float(noted[name]) for name in ("figure", "seconds")}
            noted["reached"] = case.find("failure") is None
            noted["published"] = PUBLISHED.get((noted["task"], noted["model"]), "")
            found.append(noted)
    return found


def table(found: list[dict[str, Any]]) -> str:
    """The rows in Markdown."""
    lines = ["| task | model | ours | goal | published | trained on | seconds |",
             "|---|---|---|---|---|---|---|"]  # fmt: skip
    for row in found:
        ours = f"{row['figure']:.4g} {row['unit']}" + ("" if row["reached"] else " (missed)")
        cells = (row["task"], row["model"], ours, row["goal"], row["published"] or "–",
                 row["effort"], f"{row['seconds']:.0f}")  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Train, write the results, print the table; exit with 1 if a goal was missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="a pytest expression: only tests it matches")
    parser.add_argument("--json", type=Path, default=RESULTS, help="where to write the figures")
    options = parser.parse_args()
    found = trained(options.only)
    if not found:
        sys.exit("learning: no test was run")
    write_results(options.json, "learning", environment(), found)
    print(table(found))
    sys.exit(0 if all(row["reached"] for row in found) else 1)


if __name__ == "__main__":
    main()
