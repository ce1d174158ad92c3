"""Training runs: tasks, configuration, loop, checkpoints, log, progress."""

from tinygrad_seq.train.config import RecurrentConfig, TrainConfig, option
from tinygrad_seq.train.evaluate import evaluate, evaluating
from tinygrad_seq.train.folder import RunFolder
from tinygrad_seq.train.interrupt import interruptible
from tinygrad_seq.train.loop import finish, fit
from tinygrad_seq.train.run import Run
from tinygrad_seq.train.task import Measure, Score, Task
from tinygrad_seq.train.tasks import TASKS

__all__ = [
    "TASKS",
    "Measure",
    "RecurrentConfig",
    "Run",
    "RunFolder",
    "Score",
    "Task",
    "TrainConfig",
    "evaluate",
    "evaluating",
    "finish",
    "fit",
    "interruptible",
    "option",
]
