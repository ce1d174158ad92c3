"""``tinygrad-seq color``: a text coloured by what one unit does while the model reads it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from tinygrad_seq.cli.attend import PICTURES
from tinygrad_seq.cli.console import console
from tinygrad_seq.errors import ArgumentError, DataError, expect
from tinygrad_seq.train import RunFolder
from tinygrad_seq.train.activations import read_activations
from tinygrad_seq.viz.activations import plot_activations
from tinygrad_seq.viz.colored import colored_html, print_colored

NEXT = 5  # further units that are named


def color(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="The folder of a char-lm run.")],
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to read; -: standard input.")],
    unit: Annotated[
        int | None,
        typer.Option(metavar="N", help="Unit 1, 2 ... Default: the one that varies most."),
    ] = None,
    layer: Annotated[
        int | None, typer.Option(metavar="N", help="Layer 1, 2 ... Default: the top one.")
    ] = None,
    cell: Annotated[bool, typer.Option("--cell", help="Of an lstm: tanh c in place of h.")] = False,
    html: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write a page of HTML, not to the screen.")
    ] = None,
    plot: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Draw all units as a heat map too: PNG, SVG or PDF."),
    ] = None,
    device: Annotated[str, typer.Option(metavar="NAME", help="cpu, cuda, cuda:1 ...")] = "cpu",
) -> None:
    """Colour a text by one unit of a character model: blue negative, red positive.

    A character has the colour of the unit right after it was read. Without colours there are marks
    below the characters.
    """
    if plot is not None:
        ok = Path(plot).suffix.lower() in PICTURES
        expect(ok, "--plot", f"a file that ends in {', '.join(PICTURES)}", plot, ArgumentError)
    saved = RunFolder(folder).load()
    seen = read_activations(saved, _standard_input() if text == "-" else text, layer, cell, device)
    order = seen.liveliest()
    values = seen.of(order[0] if unit is None else unit)
    where = f" of layer {seen.layer}" if seen.layers > 1 else ""
    title = f"unit {order[0] if unit is None else unit} of {len(order)}{where}, {seen.what}"
    screen = console()
    if plot is not None:
        about = f"all {len(order)} units{where}, {seen.what}"
        plot_activations(seen.values, plot, labels=seen.text, title=about, first=1)
        screen.print(f"{about}: {plot}", soft_wrap=True)
    if html is not None:
        Path(html).write_text(colored_html(seen.text, values, title), "utf-8")
        screen.print(f"{title}: {html}", soft_wrap=True)
        return
    others = ", ".join(map(str, order[1 : 1 + NEXT]))
    note = f"; it varies most, then {others}" if unit is None and others else ""
    screen.print(f"{title}{note}\n")
    print_colored(screen, seen.text, values)


def _standard_input() -> str:
    """All of it, the last line break left out. Raises DataError for what is not UTF-8."""
    raw = sys.stdin.buffer.read()
    try:
        return raw.decode("utf-8").replace("\r\n", "\n").removesuffix("\n")
    except UnicodeDecodeError as error:
        raise DataError(
            f"standard input: expected UTF-8 text, got byte 0x{raw[error.start]:02x} at "
            f"{error.start}"
        ) from error
