"""From the log of a run to its pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tinygrad_seq.errors import StateError
from tinygrad_seq.train.log import Event, read_log
from tinygrad_seq.train.tasks import TASKS
from tinygrad_seq.viz.curves import Curves, plot_curves
from tinygrad_seq.viz.flow import plot_flow


def draw(log: Path, picture: Path) -> None:
    """Draw losses and gradient norms of the run that ``log`` tells of.

    Raises StateError if that is no log, MissingDependencyError without matplotlib.
    """
    plot_curves(curves(read_log(log)), picture)


def draw_flow(log: Path, picture: Path) -> None:
    """Draw how far back the gradients reached, look by look. Raises what ``draw`` raises, and
    DataError where the run was not asked to see it."""
    events = read_log(log)
    seen = [event for event in events if event["event"] == "flow"]
    names = seen[0]["norms"] if seen else ()
    norms = {name: [event["norms"][name] for event in seen] for name in names}
    plot_flow([event["step"] for event in seen], norms, picture, _title(events))


def curves(events: Sequence[Event]) -> Curves:
    """The columns of a log that are drawn."""
    title = _title(events)
    header = events[0]
    task = TASKS[header["task"]]
    train, validation, end = (
        [e for e in events if e["event"] == name] for name in ("train", "validation", "end")
    )
    rivals = end[-1]["rivals"] if end else {}
    other = next((m for m in task.measures if m.more_is_better), None)
    return Curves(
        steps=[e["step"] for e in train],
        loss=[e["loss"] for e in train],
        grad_norm=[e["grad_norm"] for e in train],
        validation_steps=[e["step"] for e in validation],
        validation=[e["loss"] for e in validation],
        clip=header["config"]["clip"],
        baselines={name: score["loss"] for name, score in rivals.items() if "loss" in score},
        unit=next(m.words for m in task.measures if m.key == "loss"),
        share=other.words if other else "",
        shares=[e[other.key] for e in validation] if other else (),
        title=title,
    )


def _title(events: Sequence[Event]) -> str:
    if not events or events[0]["event"] != "header":
        raise StateError("expected a log that begins with its header")
    return f"{events[0]['task']}: {events[0]['model']}"
