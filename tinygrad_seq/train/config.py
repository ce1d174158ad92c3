"""What a training run was asked to do: everything but the text itself and the place of its output.

Two runs with equal configurations on equal texts have bitwise equal weights (on one machine).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from tinygrad_seq.errors import ArgumentError, StateError, expect


@dataclass(frozen=True)
class TrainConfig:
    """Options of a run. ``text`` None stands for Python's own reference; ``clip`` 0 for no clip."""

    text: str | None = None
    model: str = "lstm"
    embedding: int = 64
    hidden: int = 256
    batch: int = 32
    bptt: int = 64
    steps: int = 1500
    lr: float = 0.004
    clip: float = 0.5
    seed: int = 0
    device: str = "cpu"
    threads: int = 1
    log_every: int = 10
    look_every: int = 250
    checkpoint_every: int = 250

    def __post_init__(self) -> None:
        def check(name: str, ok: bool, expected: str) -> None:
            expect(ok, name.replace("_", "-"), expected, getattr(self, name), ArgumentError)

        check("model", self.model in ("rnn", "lstm"), "rnn or lstm")
        for name in ("embedding", "hidden", "batch", "bptt", "steps", "threads", "log_every",
                     "look_every", "checkpoint_every"):  # fmt: skip
            check(name, getattr(self, name) >= 1, "a whole number ≥ 1")
        check("lr", 0 < self.lr < math.inf, "a number above 0")
        check("clip", 0 <= self.clip < math.inf, "a number ≥ 0 (0: no clipping)")
        check("seed", self.seed >= 0, "a whole number ≥ 0")

    def as_dict(self) -> dict[str, Any]:
        """The options by name, as a checkpoint and a log hold them."""
        return asdict(self)

    @classmethod
    def from_dict(cls, options: Mapping[str, Any]) -> TrainConfig:
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
