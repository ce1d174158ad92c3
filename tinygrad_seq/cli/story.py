"""What ``tinygrad-seq train`` says before a run and after it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from shlex import quote

from rich.console import Console
from rich.table import Table

from tinygrad_seq.cli.console import table
from tinygrad_seq.errors import MissingDependencyError
from tinygrad_seq.train import Run, RunFolder, Score, Task
from tinygrad_seq.train.log import read_log
from tinygrad_seq.train.picture import draw, draw_flow


def introduce(run: Run, screen: Console) -> None:
    """The data, the model and what is ahead."""
    task, config = run.task, run.config
    size = sum(p.size for p in run.model.parameters())
    begun = f", from step {run.step}" if run.step else ""
    screen.print(
        f"{task.describe_data()}\n"
        f"{task.describe_model()}, {size:,} parameters, on {config.device}\n"
        f"{config.steps} {task.describe_updates()}{begun}; Ctrl-C saves and stops"
    )


def stopped(run: Run, folder: RunFolder, screen: Console) -> None:
    """How to go on."""
    screen.print(
        f"stopped at step {run.step} of {run.config.steps}; go on with\n"
        f"  tinygrad-seq train --resume {folder.path}"
    )


def conclude(task: Task, folder: RunFolder, screen: Console) -> None:
    """The result beside its rivals, the picture, and where everything lies."""
    end = read_log(folder.log)[-1]
    screen.print(f"\non {end['held_out']}")
    screen.print(results(task, {end["model"]: end, **end["rivals"]}))
    files = [folder.checkpoint.name, folder.log.name]
    try:
        draw(folder.log, folder.curves)
        files.append(folder.curves.name)
        if task.config.flow:
            draw_flow(folder.log, folder.flow)
            files.append(folder.flow.name)
    except MissingDependencyError as error:
        screen.print(f"no picture: {error}")
    screen.print(f"\nin {folder.path}: {', '.join(files)}")
    if task.trial:
        screen.print(f"try: tinygrad-seq {task.trial.format(quote(str(folder.path)))}")


def results(task: Task, scores: Mapping[str, Score]) -> Table:
    """A row for each model, the best first; those not measured in what counts come last."""
    words = [measure.words for measure in task.measures]
    rows = table("model", *words, right=tuple(words))
    first = task.measures[0]

    def place(row: tuple[str, Score]) -> float:
        value = row[1].get(first.key, math.nan)
        return math.inf if math.isnan(value) else -value if first.more_is_better else value

    for name, score in sorted(scores.items(), key=place):
        cells = [f"{score[m.key]:{m.form}}" if m.key in score else "-" for m in task.measures]
        rows.add_row(name, *cells)
    return rows
