"""A training run at one moment: all that decides how it goes on."""

from __future__ import annotations

from typing import Any

from tinygrad_seq.autograd import Tensor
from tinygrad_seq.backend import as_device, default_generator, manual_seed
from tinygrad_seq.bptt import detach_state
from tinygrad_seq.errors import StateError, expect
from tinygrad_seq.nn import Module
from tinygrad_seq.train.config import TrainConfig
from tinygrad_seq.train.flow import recurrent_layer
from tinygrad_seq.train.task import Task
from tinygrad_seq.train.tasks import TASKS

FORMAT = "tinygrad-seq run 2"


class Run:
    """Task, model, optimiser and position of a run, and its conversion to a checkpoint.

    A run that is saved and loaded goes on bitwise as if it had never stopped.
    """

    def __init__(self, task: Task):
        """Raises DeviceError for a device that is not there, ArgumentError where the gradient
        flow is asked of a model that has none."""
        self.task = task
        self.config = task.config
        as_device(self.config.device)
        manual_seed(self.config.seed)
        self.model: Module = task.new_model()
        if self.config.flow:
            recurrent_layer(task, self.model)
        self.optimizer = task.optimizer(self.model)
        #: updates so far; with the seed it says which data comes next
        self.step = 0
        #: what the task carries from one update to the next, nested tuples of Tensors and None
        self.state: Any = None
        #: steps whose gradient was clipped, and the loss summed since the last line of the log
        self.clipped = 0
        self.loss_sum = 0.0
        self.loss_count = 0

    def count(self, loss: float, norm: float) -> None:
        """One step more, with this loss and this gradient norm before clipping."""
        self.step += 1
        self.clipped += 0 < self.config.clip < norm
        self.loss_sum += loss
        self.loss_count += 1

    def take_mean_loss(self) -> float:
        """The mean loss of the steps since the last call."""
        mean = self.loss_sum / self.loss_count
        self.loss_sum, self.loss_count = 0.0, 0
        return mean

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides how the run goes on, as nested dicts."""
        return {
            "format": FORMAT,
            "task": self.task.name,
            "config": self.config.as_dict(),
            "extra": self.task.extra(),
            "data": self.task.fingerprint,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "state": detach_state(self.state),
            "random": default_generator().get_state(),
            "position": {name: getattr(self, name) for name in _POSITION},
        }

    @classmethod
    def from_state_dict(cls, saved: dict[str, Any], task: Task | None = None) -> Run:
        """The run that ``state_dict`` described; ``task``: with its data, if it is at hand already.

        Raises StateError if the data is other than it was.
        """
        task = task or make_task(*saved_task(saved))
        task.check_data(saved["data"])
        run = cls(task)
        run.model.load_state_dict(saved["model"])
        run.optimizer.load_state_dict(saved["optimizer"])
        run.state = _placed(saved["state"], run.config.device)
        default_generator().set_state(saved["random"])
        for name in _POSITION:
            setattr(run, name, saved["position"][name])
        return run


_PARTS = ("task", "config", "extra", "data", "model", "optimizer", "state", "random", "position")
_POSITION = ("step", "clipped", "loss_sum", "loss_count")


def make_task(name: str, config: TrainConfig) -> Task:
    """A task by its name, with its data. Raises DataError where that cannot be had."""
    return TASKS[name](config)


def saved_task(saved: dict[str, Any]) -> tuple[str, TrainConfig]:
    """Name and configuration of the task in a checkpoint. StateError if it is none of ours."""
    form = saved.get("format", "none")
    expect(form == FORMAT, "checkpoint", f"format {FORMAT!r}", repr(form), StateError)
    missing = [part for part in _PARTS if part not in saved]
    expect(not missing, "checkpoint", "all parts", f"none for {', '.join(missing)}", StateError)
    name = saved["task"]
    expect(name in TASKS, "checkpoint", f"a task of {', '.join(TASKS)}", repr(name), StateError)
    return name, TASKS[name].Config.from_dict(saved["config"])


def _placed(state: Any, device: str) -> Any:
    """A recurrent state as it was saved, on a device. A file holds lists where tuples were."""
    if isinstance(state, list):
        return tuple(_placed(part, device) for part in state)
    return state.to(device) if isinstance(state, Tensor) else state
