"""Put the stages' results together: a table for the eye, gpu.json for programs.

python -m gpu.report DEVICE FOLDER             → FOLDER/gpu.json; status 0 if it could be written
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from gpu.deadline import LEFT_OUT
from tinygrad_seq.bench import environment, read_results, write_results
from tinygrad_seq.errors import DataError

Row = dict[str, Any]

#: ``uncollected``: files that could not be imported, since they need what is not installed
OUTCOMES = ("passed", "failed", "errors", "skipped", "left_out", "uncollected")


def tests_summary(xml: Path) -> Row:
    """How many tests passed, and which did not; ``finished`` if none was cut off."""
    try:
        cases = list(ElementTree.parse(xml).getroot().iter("testcase"))
    except (OSError, ElementTree.ParseError) as error:
        return {"finished": False, "why": f"pytest left no report: {error}"}
    status = xml.with_suffix(".status")
    ended = status.read_text().strip() if status.exists() else "killed"
    found: Row = dict.fromkeys(OUTCOMES, 0)
    failures = []
    for case in cases:
        outcome = _outcome(case)
        found[outcome] += 1
        if outcome in ("failed", "errors", "uncollected"):
            name = f"{case.get('classname', '')}::{case.get('name', '')}".lstrip(":")
            failures.append(f"{outcome}: {name}")
    seconds = sum(float(case.get("time", 0)) for case in cases)
    return {
        "finished": ended in ("0", "1"),  # pytest's: all passed, some failed
        "why": f"pytest was stopped (exit status {ended})",
        **found,
        "test_seconds": seconds,
        "failures": failures,
    }


def _outcome(case: ElementTree.Element) -> str:
    skipped = case.find("skipped")
    if case.find("failure") is not None:
        return "failed"
    error = case.find("error")
    if error is not None:
        return "uncollected" if error.get("message") == "collection failure" else "errors"
    if skipped is not None:
        return "left_out" if LEFT_OUT in (skipped.get("message") or "") else "skipped"
    return "passed"


def duration(seconds: float | None) -> str:
    """Nine characters: ``"  12.3 µs"``."""
    if seconds is None:
        return " " * 9
    unit, size = ("s ", 1.0) if seconds >= 1 else ("ms", 1e-3) if seconds >= 1e-3 else ("µs", 1e-6)
    return f"{seconds / size:6.1f} {unit}"


def op_table(rows: list[Row], device: str) -> list[str]:
    """A line for each op: both devices, and how many times faster the device is."""
    by_name: dict[str, dict[str, Row]] = {}
    for row in rows:
        if row["what"].startswith("forward"):
            by_name.setdefault(row["name"], {})[row["what"]] = row
    half = f"{'CPU':>9}{device:>9}{'faster':>8}"
    lines = [f"{'':27}{'forward':^26}{'and backward':^26}", f"{'op':27}{half}{half}"]
    for name, kinds in by_name.items():
        line = f"{name[:26]:27}"
        for what in ("forward", "forward and backward"):
            line += _pair(kinds[what]) if what in kinds else ""
        lines.append(line.rstrip())
    return lines


def _pair(row: Row) -> str:
    cpu, there = row["cpu"]["seconds"], row["device"]["seconds"]
    return f"{duration(cpu)}{duration(there)}{cpu / there:7.1f}×"


def table(record: Row) -> list[str]:
    """All that was measured, 80 columns wide."""
    rows, device = record["rows"], record["device"].partition(":")[0]
    rival = {(row["what"], row["name"]): row["torch"]["seconds"] for row in record["torch"]}
    lines = []
    for row in rows:
        if row["what"] == "transfer":
            each = row["device"]["seconds"]
            lines.append(f"{row['bytes']:>12,} bytes {row['name']:10}{duration(each)}"
                         f"{row['bytes'] / each / 1e9:9.2f} GB/s")  # fmt: skip
    for row in rows:
        if row["what"] == "training step":
            lines.append(f"training step {row['name']:13}{_pair(row)}"
                         f"   the host waits {row['waits']} times")  # fmt: skip
    lines += ["", *op_table(rows, device)]
    ours = {(row["what"], row["name"]): row["device"]["seconds"] for row in rows}
    for (what, name), seconds in rival.items():
        mine = ours.get((what, name))
        ratio = f"; ours takes {mine / seconds:.2f} times that" if mine else ""
        lines.append(f"PyTorch, {name} {what}: {duration(seconds).strip()}{ratio}")
    return lines


def verdict(tests: Row) -> str:
    """One clear line about the tests."""
    counts = ", ".join(f"{tests.get(key, 0)} {key.replace('_', ' ')}" for key in OUTCOMES)
    if not tests["finished"]:
        return f"TESTS DID NOT FINISH: {tests['why']}: {counts}"
    bad = tests["failed"] + tests["errors"]
    said = "TESTS FAILED" if bad else "tests passed" if tests["passed"] else "NO TEST RAN"
    return f"{said}: {counts}"


def main(device: str, folder: Path) -> int:
    """Merge, print, write."""
    tests = tests_summary(folder / "gpu-tests.xml")
    parts: dict[str, Row] = {}
    for name in ("times", "torch"):
        try:
            parts[name] = read_results(folder / f"gpu-{name}.json")
        except DataError as error:
            parts[name] = {"rows": [], "why": str(error)}
    times = parts["times"]
    record = {
        "device": times.get("device", f"{device}: nothing was timed"),
        "dry_run": device != "cuda",
        "tests": tests,
        "rows": times["rows"],
        "torch": parts["torch"]["rows"],
        "left_out": times.get("left_out", []),
        "failed": times.get("failed", {}),
    }
    if device != "cuda":
        print("DRY RUN on the strict stand-in: these are no figures of a GPU.")
    print("\n".join(table(record)))
    for name, why in record["failed"].items():
        print(f"NOT TIMED, {name}: {why}")
    if record["left_out"]:
        print(f"left out for lack of time: {len(record['left_out'])} rows, named in gpu.json")
    for name in tests.get("failures", [])[:20]:
        print(name)
    print(verdict(tests))
    about = times.get("environment") or environment()
    rows = record.pop("rows")
    write_results(folder / "gpu.json", "gpu", about, rows, **record)
    print(f"written: {folder / 'gpu.json'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], Path(sys.argv[2])))
