"""``tinygrad-seq gradcheck``: every derivative against finite differences."""

from __future__ import annotations

from typing import Annotated

import typer

from tinygrad_seq.backend import as_device
from tinygrad_seq.cli.console import console
from tinygrad_seq.cli.layers import LAYERS
from tinygrad_seq.cli.models import MODELS
from tinygrad_seq.gradcheck.suite import check_all

COLUMNS = "{:<34} {:<5} {:>13}  {:<16} {:>7}"


def gradcheck(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="Ops, layers and models. Default: all."),
    ] = None,
    device: Annotated[str, typer.Option(metavar="cpu|strict|cuda", help="Where to run.")] = "cpu",
    order: Annotated[int, typer.Option(help="1: gradients; 2: gradients of gradients.")] = 1,
) -> None:
    """Check every op, layer and model against finite differences; exit status 1 if any fails."""
    as_device(device)
    screen = console()
    verdicts: dict[str, str] = {}
    for row in check_all(names, device, (*LAYERS, *MODELS), order):
        if not verdicts:
            screen.print(COLUMNS.format("name", "kind", "worst rel err", "verdict", "seconds"))
        verdicts[row.name] = row.verdict
        worst = "" if row.verdict == "no gradient" else f"{row.worst:.1e}"
        screen.print(COLUMNS.format(row.name, row.kind, worst, row.verdict, f"{row.seconds:.2f}"))
        if row.note:
            screen.print(f"\n{row.note}\n")
    checked = [name for name, verdict in verdicts.items() if verdict != "no gradient"]
    failed = [name for name in checked if verdicts[name] != "pass"]
    names_of_failed = f": {', '.join(failed)}" if failed else ""
    screen.print(f"{len(checked)} checked, {len(failed)} failed{names_of_failed}")
    raise typer.Exit(1 if failed else 0)
