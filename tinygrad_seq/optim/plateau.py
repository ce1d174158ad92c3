"""Lower the learning rate when a measure, such as the validation loss, no longer gets better."""

from __future__ import annotations

import math
from typing import Any

from tinygrad_seq.errors import ArgumentError, expect
from tinygrad_seq.optim.one_cycle import PerGroup, per_group
from tinygrad_seq.optim.optimizer import Optimizer
from tinygrad_seq.optim.scheduler import LRScheduler, at_least


class ReduceLROnPlateau(LRScheduler):
    """Multiply the rate by ``factor`` after more than ``patience`` steps without a new best.

    mode: ``"min"`` or ``"max"``, which of two measures is better. A new best must beat the old by
    ``threshold``: of its value (threshold_mode ``"rel"``) or as it is (``"abs"``); NaN never does.
    cooldown: how many steps after a reduction are not counted. min_lr: where it ends, a number or
    one for each group. A change of ``eps`` or less is not made.

    As it goes by what it is told, not by t, ``step`` takes the measure, and the optimiser's rate,
    not the schedule, remembers how low it is.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: PerGroup = 0,
        eps: float = 1e-8,
    ):
        op = "ReduceLROnPlateau"
        expect(mode in ("min", "max"), op, "mode min | max", repr(mode), ArgumentError)
        ok = threshold_mode in ("rel", "abs")
        expect(ok, op, "threshold_mode rel | abs", repr(threshold_mode), ArgumentError)
        for name, value in (("factor", factor), ("patience", patience), ("threshold", threshold),
                            ("cooldown", cooldown), ("eps", eps)):  # fmt: skip
            at_least(op, name, value, 0)
        expect(factor < 1, op, "factor < 1", factor, ArgumentError)
        self.mode, self.factor, self.patience, self.cooldown = mode, factor, patience, cooldown
        self.threshold, self.threshold_mode, self.eps = threshold, threshold_mode, eps
        self.min_lrs = per_group(op, "min_lr", min_lr, optimizer)
        self.best = math.inf if mode == "min" else -math.inf
        self.bad_steps = self.resting = 0
        super().__init__(optimizer)

    def rate(self, t: int, group: int) -> float:
        """The rate as it is: only measures change it."""
        return float(self.optimizer.param_groups[group]["lr"])

    def step(self, measure: Any = None) -> None:
        """Tell the measure after an epoch, or after whatever is counted: a number."""
        if measure is None:
            expect(self.last_epoch == -1, "ReduceLROnPlateau", "a measure", "none", ArgumentError)
        else:
            self._judge(float(measure))
        self.last_epoch += 1

    def _judge(self, measure: float) -> None:
        if self._better(measure):
            self.best, self.bad_steps = measure, 0
        else:
            self.bad_steps += 1
        if self.resting > 0:
            self.resting -= 1
            self.bad_steps = 0
        if self.bad_steps > self.patience:
            self._reduce()
            self.resting, self.bad_steps = self.cooldown, 0

    def _better(self, measure: float) -> bool:
        sign = 1 if self.mode == "max" else -1
        if self.threshold_mode == "rel":
            return sign * measure > sign * self.best * (1 + sign * self.threshold)
        return sign * measure > sign * self.best + self.threshold

    def _reduce(self) -> None:
        for group, low in zip(self.optimizer.param_groups, self.min_lrs, strict=False):
            lower = max(group["lr"] * self.factor, low)
            if group["lr"] - lower > self.eps:
                group["lr"] = lower
