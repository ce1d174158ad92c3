"""The command line: ``tinygrad-seq COMMAND``, one file per command.

``main`` is the only place that turns exceptions into words: whatever a user can do wrong ends as
one ``error: …`` line on stderr and exit status 2.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence

import typer

import tinygrad_seq
from tinygrad_seq.cli.attend import attend
from tinygrad_seq.cli.bptt import bptt
from tinygrad_seq.cli.color import color
from tinygrad_seq.cli.gradcheck import gradcheck
from tinygrad_seq.cli.info import info
from tinygrad_seq.cli.ops import ops
from tinygrad_seq.cli.sample import sample
from tinygrad_seq.cli.train import train
from tinygrad_seq.cli.translate import translate
from tinygrad_seq.errors import TinygradSeqError

app = typer.Typer(
    name="tinygrad-seq",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
)
app.add_typer(train, name="train")
for command in (sample, translate, attend, color, bptt, gradcheck, ops, info):
    app.command(no_args_is_help=command in (sample, translate, attend, color))(command)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"tinygrad-seq {tinygrad_seq.__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: bool = typer.Option(
        False, "--version", callback=_show_version, is_eager=True, help="Show the version."
    ),
) -> None:
    """Recurrent nets and Transformers from scratch: train, sample, translate, check gradients."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; → the exit status: 0, 1 a check failed, 2 a mistake, 130 interrupted."""
    arguments = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # an ASCII terminal gets ? for what it lacks
            stream.reconfigure(errors="replace")
    try:
        status = app(arguments, prog_name="tinygrad-seq", standalone_mode=False)
        sys.stdout.flush()
        return status or 0
    except BrokenPipeError:  # the reader has seen enough; keep Python from flushing at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (KeyboardInterrupt, typer.Abort):
        return _error("interrupted", 130)
    except TinygradSeqError as error:
        return _error(str(error))
    except MemoryError as error:
        return _error(f"not enough memory: {error}")
    except OSError as error:
        return _error(f"{error.strerror or error}: {error.filename}")
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        return _error(error.format_message())  # a usage error, in typer's words


def _error(message: str, status: int = 2) -> int:
    print("error:", " ".join(message.split()), file=sys.stderr)
    return status
