"""A training run at one moment: all that decides how it goes on."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_seq.autograd import Tensor, tensor
from tinygrad_seq.backend import as_device, default_generator, manual_seed
from tinygrad_seq.data import Streams, Vocabulary, fingerprint, split
from tinygrad_seq.errors import DataError, StateError, expect
from tinygrad_seq.models import CharLM
from tinygrad_seq.models.char_lm import State
from tinygrad_seq.optim import Adam
from tinygrad_seq.train.config import TrainConfig

FORMAT = "tinygrad-seq char-lm 1"


class CharRun:
    """Model, optimiser, data and position of a run, and its conversion to a checkpoint.

    A run that is saved and loaded goes on bitwise as if it had never stopped.
    """

    def __init__(self, config: TrainConfig, text: str):
        """Raises DataError for a text that is too short, DeviceError for a device not there."""
        as_device(config.device)
        self.config = config
        self.fingerprint = fingerprint(text)
        if len(text) < 20:
            raise DataError(
                f"the text is too short: its last tenth is held out and needs 2 characters or "
                f"more, but the text has {len(text)} in all"
            )
        self.vocabulary = Vocabulary.of(text)
        self.training, self.validation = split(self.vocabulary.encode(text))
        streams = Streams.cut(self.training, config.batch, config.bptt)
        self.streams = streams.map(lambda tokens: tensor(tokens, device=config.device))
        manual_seed(config.seed)
        self.model = new_model(config, self.vocabulary)
        self.optimizer = Adam(self.model.parameters(), lr=config.lr)
        #: windows trained on so far; with the windows per epoch it is the position in the text
        self.step = 0
        #: the recurrent state to go on from; None at the beginning of the text
        self.state: State = None
        #: steps whose gradient was clipped, and the loss summed since the last line of the log
        self.clipped = 0
        self.loss_sum = 0.0
        self.loss_count = 0

    @property
    def prompt(self) -> str:
        """What samples begin with."""
        return opening(self.vocabulary)

    def count(self, loss: float, norm: float) -> None:
        """One step more, with this loss and this gradient norm before clipping."""
        self.step += 1
        self.clipped += 0 < self.config.clip < norm
        self.loss_sum += loss
        self.loss_count += 1

    def take_mean_loss(self) -> tuple[float, int]:
        """The mean loss of the steps since the last call, and their number."""
        mean, count = self.loss_sum / self.loss_count, self.loss_count
        self.loss_sum, self.loss_count = 0.0, 0
        return mean, count

    def rest_of_epoch(self) -> tuple[Tensor, Tensor]:
        """Inputs and targets (T, B) from the present position to the end of the text."""
        return self.streams.since(self.step % self.streams.windows)

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides how the run goes on, as nested dicts."""
        parts = self.state if isinstance(self.state, tuple) else (self.state,)
        held = {} if self.state is None else {str(i): s.detach() for i, s in enumerate(parts)}
        return {
            "format": FORMAT,
            "config": self.config.as_dict(),
            "vocabulary": self.vocabulary.characters,
            "text": self.fingerprint,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "state": held,
            "random": default_generator().get_state(),
            "position": {name: getattr(self, name) for name in _POSITION},
        }

    @classmethod
    def from_state_dict(cls, saved: dict[str, Any], text: str) -> CharRun:
        """The run that ``state_dict`` described. Raises StateError if the text is another."""
        run = cls(saved_config(saved), text)
        if run.fingerprint != saved["text"]:
            name = run.config.text or "Python's reference (this is another version of Python?)"
            raise StateError(f"the text has changed since the run was started: {name}")
        run.model.load_state_dict(saved["model"])
        run.optimizer.load_state_dict(saved["optimizer"])
        parts = tuple(
            tensor(saved["state"][key], device=run.config.device) for key in sorted(saved["state"])
        )
        run.state = (parts if len(parts) > 1 else parts[0]) if parts else None
        default_generator().set_state(saved["random"])
        for name in _POSITION:
            setattr(run, name, saved["position"][name])
        return run


_PARTS = ("config", "vocabulary", "text", "model", "optimizer", "state", "random", "position")
_POSITION = ("step", "clipped", "loss_sum", "loss_count")


def new_model(config: TrainConfig, vocabulary: Vocabulary, device: str | None = None) -> CharLM:
    """A freshly initialised model of the size that the configuration asks for."""
    return CharLM(
        len(vocabulary),
        embedding=config.embedding,
        hidden=config.hidden,
        kind=config.model,
        device=device or config.device,
    )


def saved_config(saved: dict[str, Any]) -> TrainConfig:
    """The configuration in a checkpoint. Raises StateError if it is no checkpoint of a run."""
    form = saved.get("format", "none")
    expect(form == FORMAT, "checkpoint", f"format {FORMAT!r}", repr(form), StateError)
    missing = [part for part in _PARTS if part not in saved]
    expect(not missing, "checkpoint", "all parts", f"none for {', '.join(missing)}", StateError)
    return TrainConfig.from_dict(saved["config"])


def saved_model(saved: dict[str, Any], device: str = "cpu") -> tuple[CharLM, Vocabulary]:
    """The trained model in a checkpoint, ready to use, and its vocabulary."""
    config, vocabulary = saved_config(saved), Vocabulary(saved["vocabulary"])
    model = new_model(config, vocabulary, device)
    model.load_state_dict(saved["model"])
    return model.eval(), vocabulary


def opening(vocabulary: Vocabulary) -> str:
    """A character for text to begin after: a line break, a blank, or else the first there is."""
    known = vocabulary.characters
    return next((c for c in "\n " if c in known), known[0])


def write(model: CharLM, vocabulary: Vocabulary, prompt: str, length: int, **how: Any) -> str:
    """Text that the model writes after ``prompt`` (the prompt is not repeated)."""
    tokens = list(model.generate(vocabulary.encode(prompt), length, **how))
    return vocabulary.decode(np.array(tokens, np.int64))
