"""The tasks that ``tinygrad-seq train`` knows, one file each."""

from tinygrad_seq.train.task import Task
from tinygrad_seq.train.tasks.adding import Adding
from tinygrad_seq.train.tasks.char_lm import CharTask
from tinygrad_seq.train.tasks.copying import Copying
from tinygrad_seq.train.tasks.digits import Digits
from tinygrad_seq.train.tasks.gpt import GPTTask
from tinygrad_seq.train.tasks.music import Music
from tinygrad_seq.train.tasks.translation import Dates, Sums
from tinygrad_seq.train.tasks.vit import Patches

_ALL = (CharTask, GPTTask, Dates, Sums, Digits, Patches, Adding, Copying, Music)
TASKS: dict[str, type[Task]] = {task.name: task for task in _ALL}

__all__ = ["TASKS", "Adding", "CharTask", "Copying", "Dates", "Digits", "GPTTask", "Music",
           "Patches", "Sums"]  # fmt: skip
