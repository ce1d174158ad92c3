"""What ``tinygrad-seq gradcheck`` prints of ops, layers and models: a line each, as it is done."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinygrad_seq.cli.console import console
from tinygrad_seq.cli.layers import LAYERS
from tinygrad_seq.cli.models import MODELS
from tinygrad_seq.gradcheck.devices import parity_all
from tinygrad_seq.gradcheck.mutation import audit_all
from tinygrad_seq.gradcheck.parity_report import EDGES, histogram_lines
from tinygrad_seq.gradcheck.suite import check_all
from tinygrad_seq.ops import registry

CHECKED = "{:<34} {:<5} {:>13}  {:<16} {:>7}"
COMPARED = "{:<34} {:<5} {:>8} {:>8} {:>8}  {:<11}"
AUDITED = "{:<36} {:<5} {:>9} {:>8} {:>8} {:>6}"


def check_table(names: Sequence[str], device: str, order: int, fast: bool) -> bool:
    """Each derivative against finite differences → whether all passed."""
    screen = console()
    verdicts: dict[str, str] = {}
    for row in check_all(names, device, (*LAYERS, *MODELS), order, fast):
        if not verdicts:
            screen.print(CHECKED.format("name", "kind", "worst rel err", "verdict", "seconds"))
        verdicts[row.name] = row.verdict
        worst = "" if row.verdict == "no gradient" else f"{row.worst:.1e}"
        screen.print(CHECKED.format(row.name, row.kind, worst, row.verdict, f"{row.seconds:.2f}"))
        if row.note:
            screen.print(f"\n{row.note}\n")
    return _summary(verdicts)


def parity_table(names: Sequence[str], device: str, seed: int) -> bool:
    """The CPU against ``device``, in ULP → whether all agree."""
    screen = console()
    verdicts: dict[str, str] = {}
    counts = np.zeros((2, len(EDGES) + 1), int)
    for row in parity_all(names, device, (*LAYERS, *MODELS), seed=seed):
        if not verdicts:
            screen.print("largest error against float64, and difference, in ULP of float32")
            screen.print(COMPARED.format("name", "kind", "cpu", device[:8], "apart", "verdict"))
        verdicts[row.name] = row.verdict
        numbers = [f"{x:.3g}" if row.reports else "" for x in (*row.errors, row.apart)]
        screen.print(COMPARED.format(row.name[:34], row.kind, *numbers, row.verdict).rstrip())
        if row.note:
            screen.print(f"\n{row.note}\n")
        counts += sum(np.array(report.histogram) for report in row.reports)
    if counts.any():
        screen.print("\n".join(histogram_lines(("cpu", device), counts.tolist())))
    return _summary(verdicts)


def audit_table(names: Sequence[str], device: str, fast: bool) -> bool:
    """Each rule of each op corrupted in every way of a list → whether nothing was missed."""
    screen = console()
    rows = audit_all(names or registry, device, (*LAYERS, *MODELS), fast=fast)
    total, missed = 0, 0
    for row in rows:
        if not total:
            columns = ("name", "kind", "corrupted", "detected", "harmless", "missed")
            screen.print(AUDITED.format(*columns))
        counts = (row.mutants, row.detected, row.equivalent, row.missed)
        screen.print(AUDITED.format(row.name[:36], row.kind, *counts))
        if row.missed:
            screen.print(f"\n{row.report}\n")
        total, missed = total + row.mutants, missed + row.missed
    screen.print(f"{total} corruptions, {missed} missed")
    return not missed


def _summary(verdicts: dict[str, str]) -> bool:
    checked = [name for name, verdict in verdicts.items() if verdict != "no gradient"]
    failed = [name for name in checked if verdicts[name] != "pass"]
    names_of_failed = f": {', '.join(failed)}" if failed else ""
    console().print(f"{len(checked)} checked, {len(failed)} failed{names_of_failed}")
    return not failed
