"""``tinygrad-seq attend``: what a trained model looks at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from tinygrad_seq.cli.console import console
from tinygrad_seq.errors import ArgumentError, StateError, expect
from tinygrad_seq.train import RunFolder
from tinygrad_seq.train.looks import look_at_digit, look_at_source, look_back
from tinygrad_seq.train.progress import printable
from tinygrad_seq.train.run import saved_task
from tinygrad_seq.train.which import Which
from tinygrad_seq.viz.attention import attention_blocks, plot_attention
from tinygrad_seq.viz.patches import patch_blocks, plot_patches

PICTURES = (".png", ".svg", ".pdf")
#: what a run of a task is shown: a text that it answers, one that it reads, or a digit
TRANSLATES, WRITES, SEES = ("translate-dates", "seq2seq"), ("gpt",), ("vit",)


def attend(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="The folder of a training run.")],
    text: Annotated[
        str | None,
        typer.Argument(metavar="TEXT", help="What to translate; for gpt, what to read."),
    ] = None,
    image: Annotated[
        int | None,
        typer.Option(metavar="N", help="For vit, which image of the test set. Default: 0."),
    ] = None,
    layer: Annotated[
        int | None,
        typer.Option(metavar="N", help="Of a Transformer: layer 1, 2 ... Default: their mean."),
    ] = None,
    head: Annotated[
        int | None,
        typer.Option(metavar="N", help="Of a Transformer: head 1, 2 ... Default: their mean."),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Draw into a picture, not with blocks: PNG, SVG or PDF."),
    ] = None,
    device: Annotated[str, typer.Option(metavar="NAME", help="cpu, cuda, cuda:1 ...")] = "cpu",
) -> None:
    """Show what a trained model looked at.

    For translate-dates and seq2seq, what each character of the answer looked at in TEXT; for gpt,
    what each character of TEXT looks back at; for vit, what the class comes from in a test image.
    """
    if out is not None:
        ok = Path(out).suffix.lower() in PICTURES
        expect(ok, "--out", f"a file that ends in {', '.join(PICTURES)}", out, ArgumentError)
    saved, which = RunFolder(folder).load(), Which(layer, head)
    name, _ = saved_task(saved)
    if name in SEES:
        expect(text is None, "attend", "no TEXT for vit but --image N", repr(text), ArgumentError)
        said, blocks, draw = _digit(saved, image or 0, which, device)
    else:
        known = (*TRANSLATES, *WRITES, *SEES)
        expected = f"a run of {', '.join(known[:-1])} or {known[-1]}, which have attention"
        expect(name in known, "attend", expected, f"one of {name}", StateError)
        expect(image is None, "attend", f"no --image for {name} but a TEXT", image, ArgumentError)
        expect(text is not None, "attend", "a TEXT", "none", ArgumentError)
        said, blocks, draw = _text(saved, name, text or "", which, device)
    if out is None:
        console().print(blocks(), soft_wrap=True)
    else:
        draw(out)
        console().print(f"{printable(said)}: {out}", soft_wrap=True)


#: a title, how to draw with blocks, how to draw into a file
Drawn = tuple[str, Callable[[], str], Callable[[str], None]]


def _text(saved: dict[str, Any], name: str, text: str, which: Which, device: str) -> Drawn:
    writes = name in WRITES
    look = (look_back if writes else look_at_source)(saved, text, which, device)
    axes = ("looked at", "after") if writes else ("read", "said")
    return (
        look.said,
        lambda: attention_blocks(look.weights, look.read, look.said, by_row=writes),
        lambda path: plot_attention(look.weights, look.read, look.said, path, axes=axes),
    )


def _digit(saved: dict[str, Any], number: int, which: Which, device: str) -> Drawn:
    seen = look_at_digit(saved, number, which, device)
    title = f"test image {number}: a {seen.label}, read as {seen.said}"
    return (
        title,
        lambda: f"{title}\n{patch_blocks(seen.image, seen.weights)}",
        lambda path: plot_patches(seen.image, seen.weights, path, title),
    )
