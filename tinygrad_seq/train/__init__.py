"""Training runs: configuration, loop, checkpoints, log, progress."""

from tinygrad_seq.train.config import TrainConfig
from tinygrad_seq.train.evaluate import evaluate
from tinygrad_seq.train.folder import RunFolder
from tinygrad_seq.train.interrupt import interruptible
from tinygrad_seq.train.loop import finish, fit
from tinygrad_seq.train.run import CharRun

__all__ = [
    "CharRun",
    "RunFolder",
    "TrainConfig",
    "evaluate",
    "finish",
    "fit",
    "interruptible",
]
