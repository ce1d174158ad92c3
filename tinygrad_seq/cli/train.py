"""``tinygrad-seq train``: a character model by truncated backpropagation through time."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from threadpoolctl import threadpool_limits

from tinygrad_seq.cli.console import console, table
from tinygrad_seq.data import python_topics, read_text
from tinygrad_seq.errors import ArgumentError, MissingDependencyError
from tinygrad_seq.train import CharRun, RunFolder, TrainConfig, finish, fit, interruptible
from tinygrad_seq.train.log import Event, JsonLog, read_log
from tinygrad_seq.train.picture import draw
from tinygrad_seq.train.progress import Progress
from tinygrad_seq.train.run import saved_config

INTERRUPTED = 130
D = TrainConfig()


def _option(help: str, metavar: str | None = None, flag: str | None = None) -> Any:
    names = [flag] if flag else []
    return typer.Option(*names, help=help, metavar=metavar, show_default=True)


def train(
    context: typer.Context,
    text: Annotated[
        str | None, _option("Any UTF-8 text. Default: the reference that Python carries.", "FILE")
    ] = D.text,
    model: Annotated[str, _option("Recurrent layer.", "rnn|lstm")] = D.model,
    embedding: Annotated[int, _option("Size of the character embedding.")] = D.embedding,
    hidden: Annotated[int, _option("Units of the recurrent layer.")] = D.hidden,
    batch: Annotated[int, _option("Pieces of the text read side by side.")] = D.batch,
    bptt: Annotated[int, _option("Steps in a window of truncated BPTT.")] = D.bptt,
    steps: Annotated[int, _option("Windows to train on.")] = D.steps,
    lr: Annotated[float, _option("Adam's learning rate at its peak.")] = D.lr,
    clip: Annotated[float, _option("Largest gradient norm; 0 for no clipping.")] = D.clip,
    seed: Annotated[int, _option("Start of the random numbers.")] = D.seed,
    device: Annotated[str, _option("cpu, cuda, cuda:1 ...", "NAME")] = D.device,
    threads: Annotated[int, _option("Threads of a matrix product.")] = D.threads,
    log_every: Annotated[int, _option("Steps between lines of the log.")] = D.log_every,
    look_every: Annotated[int, _option("Steps between samples.")] = D.look_every,
    checkpoint_every: Annotated[int, _option("Steps between saves.")] = D.checkpoint_every,
    out: Annotated[
        str | None, _option("A new folder. Default: runs/char-lm, or -2, -3 ...", "DIR")
    ] = None,
    resume: Annotated[
        str | None, _option("Go on with the run in DIR; its options hold.", "DIR")
    ] = None,
) -> None:
    """Train a character model on a text, and compare it with count models.

    Ctrl-C saves; a resumed run goes on bitwise as if it had never been stopped.
    """
    given = {
        name: value
        for name, value in context.params.items()
        if getattr(context.get_parameter_source(name), "name", "") == "COMMANDLINE"
    }
    if resume is not None:
        run, folder, log, seconds = _resume(resume, given)
    else:
        options = {k: v for k, v in context.params.items() if k not in ("out", "resume")}
        config = TrainConfig.from_dict(options)
        run = CharRun(config, _text(config))
        folder, seconds = RunFolder.new(out), 0.0
        log = folder.start_log(run)
    # A second thread gains half as much again where a core is idle, and loses twentyfold where none
    # is: the threads of a product wait for each other. So it has to be asked for.
    with threadpool_limits(run.config.threads, user_api="blas"):
        _train(run, folder, log, seconds, console())


def _text(config: TrainConfig) -> str:
    return python_topics() if config.text is None else read_text(config.text)


def _resume(path: str, given: dict[str, Any]) -> tuple[CharRun, RunFolder, JsonLog, float]:
    folder = RunFolder(path)
    saved = folder.load()
    config = saved_config(saved)
    for name, value in given.items():
        held = config.as_dict().get(name)
        if name != "resume" and (name == "out" or value != held):
            raise ArgumentError(
                f"--{name.replace('_', '-')} cannot be changed with --resume: "
                f"{path} goes on with the options it was started with"
            )
    run = CharRun.from_state_dict(saved, _text(config))
    log, seconds = folder.resume_log(saved)
    return run, folder, log, seconds


def _train(run: CharRun, folder: RunFolder, log: JsonLog, seconds: float, screen: Console) -> None:
    screen.print(_introduction(run, folder))
    try:
        with interruptible() as stop, Progress(screen, run.config.steps) as progress:

            def report(event: Event) -> None:
                log.write(event)
                progress(event)

            done = fit(run, report, lambda: folder.save(run, log), stop, seconds)
            if done and not stop():
                finish(run, report)
    except KeyboardInterrupt:
        done = False
    finally:
        log.close()
    if not done or stop():
        screen.print(
            f"stopped at step {run.step} of {run.config.steps}; go on with\n"
            f"  tinygrad-seq train --resume {folder.path}"
        )
        raise typer.Exit(INTERRUPTED)
    _conclude(run, folder, screen)


def _introduction(run: CharRun, folder: RunFolder) -> str:
    config, sizes = run.config, sum(p.size for p in run.model.parameters())
    name = "Python's language reference" if config.text is None else Path(config.text).name
    begun = f", from step {run.step}" if run.step else ""
    return (
        f"{name}: {len(run.training):,} + {len(run.validation):,} characters, "
        f"{len(run.vocabulary)} different\n"
        f"{config.model} with {config.hidden} units, {sizes:,} parameters, on {config.device}\n"
        f"{config.steps} windows of {config.batch} x {config.bptt} characters{begun}; "
        f"Ctrl-C saves and stops"
    )


def _conclude(run: CharRun, folder: RunFolder, screen: Console) -> None:
    end = read_log(folder.log)[-1]
    losses = {end["model"]: end["loss"], **end["baselines"]}
    losses["uniform"] = math.log(len(run.vocabulary))
    screen.print(f"\nvalidation loss on the last {end['characters']:,} characters")
    rows = table("model", "nats/char", "bits/char", right=("nats/char", "bits/char"))
    for name, loss in sorted(losses.items(), key=lambda row: row[1]):
        rows.add_row(name, f"{loss:.3f}", f"{loss / math.log(2):.3f}")
    screen.print(rows)
    files = [folder.checkpoint.name, folder.log.name]
    try:
        draw(folder.log, folder.curves)
        files.append(folder.curves.name)
    except MissingDependencyError as error:
        screen.print(f"no picture: {error}")
    screen.print(f"\nin {folder.path}: {', '.join(files)}")
    screen.print(f"try: tinygrad-seq sample {folder.path} --temperature 0.7")
