"""The tasks that ``tinygrad-seq train`` knows, one file each."""

from tinygrad_seq.train.task import Task
from tinygrad_seq.train.tasks.adding import Adding
from tinygrad_seq.train.tasks.char_lm import CharTask
from tinygrad_seq.train.tasks.copying import Copying
from tinygrad_seq.train.tasks.digits import Digits
from tinygrad_seq.train.tasks.music import Music
from tinygrad_seq.train.tasks.translation import Dates, Sums

TASKS: dict[str, type[Task]] = {
    task.name: task for task in (CharTask, Digits, Adding, Copying, Music, Dates, Sums)
}

__all__ = ["TASKS", "Adding", "CharTask", "Copying", "Dates", "Digits", "Music", "Sums"]
