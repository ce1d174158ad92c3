"""``tinygrad-seq gradcheck``: every derivative against finite differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from tinygrad_seq.backend import as_device
from tinygrad_seq.cli.console import console
from tinygrad_seq.cli.gradcheck_tables import audit_table, check_table, parity_table
from tinygrad_seq.cli.targets import blaming, cases, found, shape_of
from tinygrad_seq.errors import ArgumentError, GradcheckError, expect
from tinygrad_seq.gradcheck.cases import check, placed, surroundings
from tinygrad_seq.gradcheck.devices import parity as compare
from tinygrad_seq.gradcheck.mutation import mutation_audit


def gradcheck(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME | MODULE:FUNCTION]...",
                       help="Ops, layers, models (default: all), or code of your own."),
    ] = None,
    shape: Annotated[
        list[str] | None,
        typer.Option(metavar="N,M", help="Of yours: the shape of an input; once for each."),
    ] = None,
    order: Annotated[
        int, typer.Option(help="1: gradients; 2: gradients of gradients (of yours: both).")
    ] = 1,
    fast: Annotated[
        bool, typer.Option("--fast", help="Random projections instead of every element.")
    ] = False,
    device: Annotated[str, typer.Option(metavar="cpu|strict|cuda", help="Where to run.")] = "cpu",
    seed: Annotated[
        int | None, typer.Option(min=0, help="Of yours, and of --parity: random numbers.")
    ] = None,
    audit: Annotated[
        bool, typer.Option("--audit", help="Corrupt the derivative: would the check notice?")
    ] = False,
    parity: Annotated[
        str | None,
        typer.Option(metavar="DEVICE", help="Compare the CPU with DEVICE, in float32."),
    ] = None,
) -> None:  # fmt: skip
    """Check gradients against finite differences; exit status 1 if any fails.

    Without names: every op, layer and model. MODULE is a dotted module or the path of a .py file,
    FUNCTION one of:

    \b
    * an op (@primitive) with samples: checked on each of them
    * a function without parameters that returns (fn, inputs), or yields several
    * a function, or a module (nn.Module) or its class, with --shape for each
      parameter: inputs are standard normal, in float64, from --seed
    \b
      tinygrad-seq gradcheck tanh lstm
      tinygrad-seq gradcheck my_ops.py:softclip --shape 3,4 --order 2
    """
    for place in (device, parity):
        as_device(place)
    chosen = list(names or [])
    mine = any(":" in name for name in chosen)
    expect(not mine or all(":" in name for name in chosen), "gradcheck",
           "names, or MODULE:FUNCTION, but not both", ", ".join(chosen), ArgumentError)  # fmt: skip
    _refuse(not mine, "is for MODULE:FUNCTION", {"--shape": shape})
    _refuse(not mine and parity is None, "is for MODULE:FUNCTION and --parity",
            {"--seed": seed is not None})  # fmt: skip
    _refuse(
        parity is not None,
        "does not go with --parity",
        {"--audit": audit, "--order": order != 1, "--fast": fast, "--device": device != "cpu"},
    )
    _refuse(audit, "does not go with --audit", {"--order": order != 1})
    expect(order in (1, 2), "gradcheck", "--order 1 or 2", order, ArgumentError)
    if mine:
        shapes = [shape_of(text) for text in shape or ()]
        how = _check_of(order, fast, seed or 0, audit, parity)
        fine = [_own(name, shapes, seed or 0, device, how) for name in chosen]
        raise typer.Exit(0 if all(fine) else 1)
    if audit:
        passed = audit_table(chosen, device, fast)
    elif parity is not None:
        passed = parity_table(chosen, parity, seed or 0)
    else:
        passed = check_table(chosen, device, order, fast)
    raise typer.Exit(0 if passed else 1)


def _refuse(when: bool, why: str, options: dict[str, Any]) -> None:
    """An option that would do nothing is a mistake."""
    for name, given in options.items():
        expect(not (when and given), "gradcheck", f"no {name}", f"it: it {why}", ArgumentError)


#: (fn, inputs) → what is printed: a report, true if it passed
Check = Callable[[Any, Any], Any]


def _check_of(order: int, fast: bool, seed: int, audit: bool, parity: str | None) -> Check:
    """What is done with each function of the user's."""
    if parity is not None:
        both = ("cpu", parity)
        return lambda fn, inputs: compare(fn, inputs, both, seed=seed, raise_exception=False)
    if audit:
        return lambda fn, inputs: mutation_audit(fn, inputs, seed=seed, fast=fast)
    return lambda fn, inputs: check(fn, inputs, order, fast=fast, seed=seed)


def _own(target: str, shapes: Any, seed: int, device: str, how: Check) -> bool:
    """Check what ``MODULE:FUNCTION`` names, print the reports → whether all passed."""
    screen = console()
    reports = []
    with found(target) as value, surroundings(seed, device) as place:
        for fn, inputs in cases(value, target, shapes, seed):
            try:
                with blaming(target):
                    reports.append(how(fn, placed(inputs, place)))
            except GradcheckError as error:  # an audit wants what is right to begin with
                reports.append(error.report)
            screen.print(str(reports[-1]), soft_wrap=True)
    failed = sum(not report for report in reports)
    if len(reports) > 1:
        screen.print(f"{target}: {len(reports)} checked, {failed} failed", soft_wrap=True)
    return not failed
