"""A language model of characters, trained by truncated BPTT on a text of any kind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tinygrad_seq import ops
from tinygrad_seq.autograd import Tensor
from tinygrad_seq.bptt import TruncatedBPTT
from tinygrad_seq.data import Streams, Vocabulary
from tinygrad_seq.models import CharLM
from tinygrad_seq.train.config import RecurrentConfig, option
from tinygrad_seq.train.evaluate import evaluate
from tinygrad_seq.train.task import Score
from tinygrad_seq.train.tasks.text import TextTask, text_option

if TYPE_CHECKING:
    from tinygrad_seq.train.run import Run


@dataclass(frozen=True, kw_only=True)
class CharConfig(RecurrentConfig):
    """Options of a character model. ``text`` None stands for Python's own reference."""

    text: str | None = text_option()
    embedding: int = option(64, "Size of the character embedding.")
    bptt: int = option(64, "Steps between updates of the weights (k1).", "K")
    k2: int | None = option(None, "Steps that gradients reach back. Default: as --bptt.", "K")
    batch: int = option(32, "Pieces of the text read side by side.")
    steps: int = option(1500, "Windows to train on.")
    hidden: int = 256
    clip: float = 0.5

    def __post_init__(self) -> None:
        """Raises ArgumentError, naming the option, for a value out of range."""
        super().__post_init__()
        self._at_least_one("embedding", "bptt")
        ok = self.k2 is None or self.k2 >= self.bptt
        self._check("k2", ok, f"a whole number ≥ {self.bptt}, that of --bptt")


class CharTask(TextTask):
    """The next character of a text, from all that came before it.

    The last tenth of the text is held out. Rivals are count models and a fair guess.
    """

    name = "char-lm"
    Config = CharConfig
    config: CharConfig

    def __init__(self, config: CharConfig, text: str | None = None):
        """text: read already. Raises DataError for one that cannot be read or is too short."""
        super().__init__(config, text)
        streams = Streams.cut(self.training, config.batch, config.bptt)
        self.streams = streams.map(self.place)
        self.bptt = TruncatedBPTT(config.bptt, config.k2 or config.bptt)
        self.updates_per_epoch = streams.windows

    @classmethod
    def model_of(cls, config: CharConfig, vocabulary: Vocabulary) -> CharLM:
        return CharLM(len(vocabulary), config.embedding, **config.net)

    def describe_updates(self) -> str:
        k1, k2 = self.bptt.k1, self.bptt.k2
        reach = f", gradients over {k2}" if k2 > k1 else ""
        return f"windows of {self.config.batch} x {k1} characters{reach}"

    def updates(self, run: Run) -> Iterator[tuple[Tensor, int]]:
        """Windows from the present position to the end of the text."""
        k1 = self.bptt.k1
        since, here = self._place_of(run.step)
        x, y = self.streams.inputs[since:], self.streams.targets[since:]
        model: Any = run.model
        for window in self.bptt.run(model.loss, x, y, run.state, first=here - since):
            # The text begins again after its last window, with a state of zeros.
            last = window.stop == len(x)
            run.state = None if last else window.boundary
            yield window.loss, k1 * self.config.batch

    def _place_of(self, step: int) -> tuple[int, int]:
        """Where the window of an update begins: where the state was left, and where losses do."""
        k1, k2 = self.bptt.k1, self.bptt.k2
        here = step % self.streams.windows * k1
        return max(0, here + k1 - k2), here

    def next_loss(self, run: Run) -> Tensor:
        since, here = self._place_of(run.step)
        stop = here + self.bptt.k1
        logits, _ = run.model(self.streams.inputs[since:stop], run.state)
        counted = logits[here - since :]  # (k1, B, V)
        targets = self.streams.targets[here:stop].reshape(-1)
        return ops.cross_entropy(counted.reshape(-1, counted.shape[-1]), targets)

    def validate(self, model: Any) -> Score:
        return self.score(evaluate(model, self.validation, self.config.batch))

    def test(self, model: Any) -> Score:
        return self.score(evaluate(model, self.validation))
