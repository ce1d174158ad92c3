"""``tinygrad-seq train``: one command for every task, made from the task's configuration."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import Any, get_type_hints

import typer
from rich.console import Console
from threadpoolctl import threadpool_limits
from typer.core import TyperGroup

from tinygrad_seq.cli.console import console
from tinygrad_seq.cli.story import conclude, introduce, stopped
from tinygrad_seq.errors import ArgumentError
from tinygrad_seq.train import TASKS, Run, RunFolder, Task, finish, fit, interruptible
from tinygrad_seq.train.config import TrainConfig, option_notes
from tinygrad_seq.train.log import Event, JsonLog
from tinygrad_seq.train.progress import Progress
from tinygrad_seq.train.run import make_task, saved_task

INTERRUPTED = 130
DEFAULT = "char-lm"
UNNAMED = "unnamed task"


class _DefaultTask(TyperGroup):
    """A group whose commands are tasks; options without one are for the character model."""

    def parse_args(self, context: Any, arguments: list[str]) -> list[str]:
        if not arguments or (arguments[0].startswith("-") and arguments[0] not in ("-h", "--help")):
            context.meta[UNNAMED] = True
            arguments = [DEFAULT, *arguments]
        return super().parse_args(context, arguments)


train = typer.Typer(cls=_DefaultTask, rich_markup_mode=None)


@train.callback()
def tasks() -> None:
    """Train a model on one of the tasks below; without one, on text (char-lm).

    Every task has its own options: tinygrad-seq train TASK --help. Ctrl-C saves; a resumed run
    goes on bitwise as if it had never been stopped.
    """


def _command(task: type[Task]) -> Callable[..., None]:
    """The command of a task, its options read from the task's configuration."""

    def command(call: typer.Context, **values: Any) -> None:
        given = {
            name
            for name in values
            if getattr(call.get_parameter_source(name), "name", "") == "COMMANDLINE"
        }
        out, resume = values.pop("out"), values.pop("resume")
        if resume is not None:
            asked = None if UNNAMED in call.meta else task.name
            run, folder, log, seconds = _resume(resume, asked, {k: values.get(k) for k in given})
        else:
            run = Run(task(task.Config.from_dict(values)))
            folder, seconds = RunFolder.new(out, task.name), 0.0
            log = folder.start_log(run)
        # A second thread gains half as much again where a core is idle, and loses twentyfold where
        # none is: the threads of a product wait for each other. So it has to be asked for.
        with threadpool_limits(run.config.threads, user_api="blas"):
            _train(run, folder, log, seconds, console())

    parameters = [inspect.Parameter("call", inspect.Parameter.KEYWORD_ONLY,
                                    annotation=typer.Context), *_parameters(task)]  # fmt: skip
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    command.__doc__ = f"{(task.__doc__ or '').splitlines()[0]}"
    return command


def _parameters(task: type[Task]) -> list[inspect.Parameter]:
    """The options of a task: its own first, then those that others have too, then the places."""
    hints = get_type_hints(task.Config)
    classes = [c for c in task.Config.__mro__ if issubclass(c, TrainConfig)]
    age = {f.name: n for n, c in enumerate(classes) for f in fields(c)}  # who had it first
    made = [_option(f.name, hints[f.name], f.default, **option_notes(task.Config, f.name))
            for f in sorted(fields(task.Config), key=lambda f: age[f.name])]  # fmt: skip
    out = f"A new folder. Default: runs/{task.name}, or -2, -3 ..."
    return [
        *made,
        _option("out", str | None, None, out, "DIR"),
        _option("resume", str | None, None, "Go on with the run in DIR; its options hold.", "DIR"),
    ]


def _option(
    name: str, kind: Any, default: Any, help: str, metavar: str | None
) -> inspect.Parameter:
    assert default is not MISSING, name
    flag = f"--{name.replace('_', '-')}"
    if kind in (bool, bool | None):
        flag += f"/--no{flag[1:]}"
    held = typer.Option(default, flag, help=help, metavar=metavar, show_default=default is not None)
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=held, annotation=kind)


for _task in TASKS.values():
    train.command(_task.name)(_command(_task))


def _resume(
    path: str, asked: str | None, given: dict[str, Any]
) -> tuple[Run, RunFolder, JsonLog, float]:
    folder = RunFolder(path)
    saved = folder.load()
    name, config = saved_task(saved)
    if asked not in (None, name):
        raise ArgumentError(f"{path} holds a run of {name}, not of {asked}")
    _expect_unchanged(path, config, given)
    run = Run.from_state_dict(saved, make_task(name, config))
    log, seconds = folder.resume_log(saved)
    return run, folder, log, seconds


def _expect_unchanged(path: str, config: TrainConfig, given: dict[str, Any]) -> None:
    for name, value in given.items():
        held = config.as_dict().get(name)
        if name != "resume" and (name == "out" or value != held):
            raise ArgumentError(
                f"--{name.replace('_', '-')} cannot be changed with --resume: "
                f"{path} goes on with the options it was started with"
            )


def _train(run: Run, folder: RunFolder, log: JsonLog, seconds: float, screen: Console) -> None:
    introduce(run, screen)
    try:
        with (
            interruptible() as stop,
            Progress(screen, type(run.task), run.config.steps) as progress,
        ):

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
        stopped(run, folder, screen)
        raise typer.Exit(INTERRUPTED)
    conclude(run.task, folder, screen)
