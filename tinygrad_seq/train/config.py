"""What a training run was asked to do: everything but the place of its output.

Each task has a configuration class of its own. A field made by ``option`` is also an option of the
command line, with its default, its help and its name (``log_every`` is ``--log-every``). A subclass
gives a field another default by naming it again, and adds what only its task has.

Two runs with equal configurations on equal data have bitwise equal weights (on one machine).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar, Self

from tinygrad_seq.errors import ArgumentError, StateError, expect
from tinygrad_seq.optim.schedules import cosine

KINDS = ("rnn", "lstm", "gru")


def option(default: Any, help: str, metavar: str | None = None) -> Any:
    """A field of a configuration, with what the command line says of it."""
    return field(default=default, metadata={"help": help, "metavar": metavar})


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """The options that every task has. ``clip`` 0: no clipping."""

    batch: int = option(32, "Sequences side by side.")
    steps: int = option(1000, "Updates of the weights.")
    lr: float = option(0.004, "Adam's learning rate at its peak.")
    clip: float = option(1.0, "Largest gradient norm; 0 for no clipping.")
    seed: int = option(0, "Start of the random numbers.")
    device: str = option("cpu", "cpu, cuda, cuda:1 ...", "NAME")
    threads: int = option(1, "Threads of a matrix product.")
    log_every: int = option(10, "Steps between lines of the log.")
    look_every: int = option(250, "Steps between looks at held-out data.")
    checkpoint_every: int = option(250, "Steps between saves.")
    flow: bool = option(False, "See at each look how far back gradients reach.")

    def __post_init__(self) -> None:
        """Raises ArgumentError, naming the option, for a value out of range."""
        self._at_least_one("batch", "steps", "threads", "log_every", "look_every",
                           "checkpoint_every")  # fmt: skip
        self._check("lr", 0 < self.lr < math.inf, "a number above 0")
        self._check("clip", 0 <= self.clip < math.inf, "a number ≥ 0 (0: no clipping)")
        self._check("seed", self.seed >= 0, "a whole number ≥ 0")

    def _check(self, name: str, ok: object, expected: str) -> None:
        expect(ok, name.replace("_", "-"), expected, getattr(self, name), ArgumentError)

    def _at_least_one(self, *names: str) -> None:
        for name in names:
            self._check(name, getattr(self, name) >= 1, "a whole number ≥ 1")

    def as_dict(self) -> dict[str, Any]:
        """The options by name, as a checkpoint and a log hold them."""
        return asdict(self)

    @classmethod
    def from_dict(cls, options: Mapping[str, Any]) -> Self:
        """The configuration that ``as_dict`` gave. Raises StateError for one that is not ours."""
        names = {field.name for field in fields(cls)}
        if set(options) != names:
            odd = ", ".join(sorted(names ^ set(options)))
            raise StateError(f"configuration: missing or unknown options: {odd}")
        return cls(**options)

    def learning_rate(self, step: int) -> float:
        """The rate of step 0, 1, …: a linear start over 5 % of the run, then half a cosine.

            lr · min(1, (s + 1)/w) · (0.05 + 0.95 · (1 + cos(π s / S))/2),   w = max(1, S/20)

        Source of the cosine: Loshchilov and Hutter, arXiv:1608.03983.
        """
        warm = min(1.0, (step + 1) / max(1.0, self.steps / 20))
        return self.lr * warm * (0.525 + 0.475 * math.cos(math.pi * step / self.steps))


@dataclass(frozen=True, kw_only=True)
class RecurrentConfig(TrainConfig):
    """The options of tasks whose model is a stack of recurrent layers."""

    kinds: ClassVar[tuple[str, ...]] = KINDS
    model: str = option("lstm", "Recurrent layer.", "|".join(KINDS))
    hidden: int = option(128, "Units of each recurrent layer.")
    layers: int = option(1, "Recurrent layers, one upon the other.")
    dropout: float = option(0.0, "Share of activations dropped above each layer.")

    def __post_init__(self) -> None:
        """Raises ArgumentError, naming the option, for a value out of range."""
        super().__post_init__()
        *most, last = self.kinds
        self._check("model", self.model in self.kinds, f"{', '.join(most)} or {last}")
        self._at_least_one("hidden", "layers")
        self._check("dropout", 0 <= self.dropout < 1, "a number from 0 to below 1")

    @property
    def net(self) -> dict[str, Any]:
        """Kind, size, depth, dropout and device, as the models take them."""
        return {
            "kind": self.model,
            "hidden": self.hidden,
            "layers": self.layers,
            "dropout": self.dropout,
            "device": self.device,
        }


@dataclass(frozen=True, kw_only=True)
class TransformerConfig(TrainConfig):
    """The options of tasks whose model is a stack of Transformer layers, trained by AdamW."""

    layers: int = option(4, "Layers, one upon the other.")
    heads: int = option(4, "Heads of attention in each layer.")
    width: int = option(128, "Numbers at each position; the heads share them.")
    dropout: float = option(0.0, "Share of activations dropped.")
    warmup: int = option(100, "Updates in which the learning rate rises.")
    weight_decay: float = option(0.1, "AdamW's pull of matrices towards 0.")
    lr: float = option(0.001, "AdamW's learning rate at its peak; it falls to a tenth.")

    def __post_init__(self) -> None:
        """Raises ArgumentError, naming the option, for a value out of range."""
        super().__post_init__()
        self._at_least_one("layers", "heads", "width")
        self._check("width", self.width % self.heads == 0, f"a multiple of {self.heads} heads")
        self._check("dropout", 0 <= self.dropout < 1, "a number from 0 to below 1")
        self._check("warmup", self.warmup >= 0, "a whole number ≥ 0")
        self._check("weight_decay", 0 <= self.weight_decay < math.inf, "a number ≥ 0")

    def learning_rate(self, step: int) -> float:
        """The rate of step 0, 1, …: up in a line of w = ``warmup`` steps, then down half a cosine
        to a tenth, as ``optim.WarmupCosineLR``::

            lr · (s + 1)/(w + 1)    for s < w,    then from lr to lr/10 along (1 + cos)/2
        """
        if step < self.warmup:
            return self.lr * (step + 1) / (self.warmup + 1)
        return cosine(self.lr, self.lr / 10, (step - self.warmup) / (self.steps - self.warmup))


def option_notes(config: type[TrainConfig], name: str) -> Mapping[str, Any]:
    """Help and metavar of an option, from the class nearest to ``config`` that gives them."""
    for base in config.__mro__:
        held = {f.name: f for f in fields(base)} if issubclass(base, TrainConfig) else {}
        if name in held and held[name].metadata:
            return held[name].metadata
    return {"help": "", "metavar": None}
