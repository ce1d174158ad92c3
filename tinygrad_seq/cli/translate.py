"""``tinygrad-seq translate``: texts through a trained encoder and decoder."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from tinygrad_seq.cli.console import console
from tinygrad_seq.train import RunFolder
from tinygrad_seq.train.progress import printable
from tinygrad_seq.train.sample import saved_translator


def translate(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="The folder of a training run.")],
    text: Annotated[
        list[str] | None,
        typer.Argument(metavar="TEXT", help="What to translate. Default: lines of the input."),
    ] = None,
    beam: Annotated[
        int, typer.Option(help="How many texts to search among; 1: the likeliest steps.")
    ] = 1,
    device: Annotated[str, typer.Option(metavar="NAME", help="cpu, cuda, cuda:1 ...")] = "cpu",
) -> None:
    """Translate texts with a trained encoder and decoder, a line for each."""
    translator = saved_translator(RunFolder(folder).load(), "translate", device)
    texts = text or [line.rstrip("\r\n") for line in sys.stdin]
    for said in translator.translate(texts, beam):
        console().print(printable(said), soft_wrap=True)
