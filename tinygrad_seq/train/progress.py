"""What one sees of a run while it trains.

On a terminal a live bar; anywhere else a plain line now and then, without control codes. Both fit
80 columns. Source of every number is the event that also goes to the log.
"""

from __future__ import annotations

from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tinygrad_seq.train.log import Event
from tinygrad_seq.train.task import Task
from tinygrad_seq.viz.flow import flow_bars

PLAIN_LINES = 50


class Progress:
    """Listens to the events of a run and shows them; a context manager."""

    def __init__(self, console: Console, task: type[Task], steps: int):
        self.console = console
        self.task = task
        self.steps = steps
        self._shown = 0
        self._live = (
            Live(console=console, refresh_per_second=4, transient=True)
            if console.is_terminal
            else None
        )

    def __enter__(self) -> Progress:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def __call__(self, event: Event) -> None:
        """Show one event."""
        show = {"train": self._train, "validation": self._validation, "flow": self._flow,
                "sample": self._sample}  # fmt: skip
        if event["event"] in show:
            show[event["event"]](event)

    def _train(self, event: Event) -> None:
        step = event["step"]
        rate = step / event["seconds"]  # steps per second, looks and checkpoints left out
        left = clock((self.steps - step) / rate)
        if self._live is not None:
            text = Text(metrics(event, self.task), end="")
            self._live.update(Group(self._bar(step, left), text))
        elif step - self._shown >= self.steps / PLAIN_LINES or step == self.steps:
            self._shown = step
            line = metrics(event, self.task)
            self.console.print(f"{step:>{len(str(self.steps))}} {line}  {left} left")

    def _bar(self, step: int, left: str) -> Table:
        row = Table.grid(expand=True, padding=(0, 1))
        for _ in range(4):
            row.add_column(no_wrap=True)
        row.columns[1].ratio = 1
        count = f"step {step}/{self.steps}"
        bar = ProgressBar(total=self.steps, completed=step)
        row.add_row(count, bar, f"{step / self.steps:.0%}", f"{left} left")
        return row

    def _validation(self, event: Event) -> None:
        measured = [m.show(event[m.key], m.words) for m in self.task.measures]
        self.console.print(f"\nstep {event['step']}: validation {', '.join(measured)}")

    def _flow(self, event: Event) -> None:
        self.console.print(flow_bars(event["norms"]))

    def _sample(self, event: Event) -> None:
        self.console.print(f"{indented(printable(event['text']))}\n")


def metrics(event: Event, task: type[Task]) -> str:
    """Loss, speed, gradient norm before clipping and share of clipped steps, in one line."""
    known = [m.show(event[m.key], m.short) for m in task.measures if m.key in event]
    items, short = task.items
    return (
        f"{' '.join(known)}  {thousands(event[f'{items}_per_second'])} {short}/s  "
        f"|g| {event['grad_norm']:.2f}  clipped {event['clipped']:.0%}"
    )


def thousands(number: float) -> str:
    """``41.3k`` for 41,300; whole numbers below 1000."""
    return f"{number / 1000:.1f}k" if number >= 1000 else f"{number:.0f}"


def clock(seconds: float) -> str:
    """``1:05`` for 65 seconds, ``1:01:05`` for an hour more."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def printable(text: str) -> str:
    """The text with what a terminal would obey, not show, made visible."""
    return "".join(c if c in "\n\t" or c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def indented(text: str, width: int = 74) -> str:
    """Every line behind a bar, cut where it is too long, so that a sample is told from the rest."""
    lines = [
        line[start : start + width]
        for line in text.strip("\n").expandtabs(4).split("\n")
        for start in range(0, max(1, len(line)), width)
    ]
    return "\n".join(f"  | {line}".rstrip() for line in lines)
