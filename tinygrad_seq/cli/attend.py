"""``tinygrad-seq attend``: what a trained model looks at while it says something."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinygrad_seq.cli.console import console
from tinygrad_seq.errors import ArgumentError, expect
from tinygrad_seq.train import RunFolder
from tinygrad_seq.train.sample import saved_translator
from tinygrad_seq.viz.attention import attention_blocks, plot_attention

PICTURES = (".png", ".svg", ".pdf")


def attend(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="The folder of a training run.")],
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to translate.")],
    out: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Draw into a picture, not with blocks: PNG, SVG or PDF."),
    ] = None,
    device: Annotated[str, typer.Option(metavar="NAME", help="cpu, cuda, cuda:1 ...")] = "cpu",
) -> None:
    """Show what each character of a translation looked at."""
    if out is not None:
        ok = Path(out).suffix.lower() in PICTURES
        expect(ok, "--out", f"a file that ends in {', '.join(PICTURES)}", out, ArgumentError)
    translator = saved_translator(RunFolder(folder).load(), "attend", device)
    said, weights = translator.look(text)
    if out is None:
        console().print(attention_blocks(weights, text, said), soft_wrap=True)
    else:
        plot_attention(weights, text, said, out)
        console().print(f"{said}: {out}", soft_wrap=True)
