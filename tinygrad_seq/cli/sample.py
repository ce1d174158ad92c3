"""``tinygrad-seq sample``: text from a trained model."""

from __future__ import annotations

from typing import Annotated

import typer

from tinygrad_seq.backend import Generator
from tinygrad_seq.cli.console import console
from tinygrad_seq.train import RunFolder
from tinygrad_seq.train.progress import printable
from tinygrad_seq.train.sample import saved_model
from tinygrad_seq.train.tasks.text import opening, write


def sample(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="The folder of a training run.")],
    prompt: Annotated[
        str | None, typer.Option(help="What the text begins with. Default: a new line.")
    ] = None,
    temperature: Annotated[
        float, typer.Option(help="Below 1 bolder, above 1 wilder; 0: always the likeliest.")
    ] = 1.0,
    top_k: Annotated[
        int | None, typer.Option(metavar="K", help="Draw from the K likeliest characters only.")
    ] = None,
    top_p: Annotated[
        float | None,
        typer.Option(metavar="P", help="Draw from the likeliest that make up a share of P only."),
    ] = None,
    length: Annotated[int, typer.Option(help="Characters to write.")] = 500,
    seed: Annotated[int, typer.Option(help="Start of the random numbers.")] = 0,
    device: Annotated[str, typer.Option(metavar="NAME", help="cpu, cuda, cuda:1 ...")] = "cpu",
) -> None:
    """Let a trained model go on from a prompt."""
    model, vocabulary = saved_model(RunFolder(folder).load(), device)
    prompt = opening(vocabulary) if prompt is None else prompt
    chance = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
    text = write(model, vocabulary, prompt, length, **chance, generator=Generator(seed))
    console().print(printable(prompt + text).strip("\n"), soft_wrap=True)
