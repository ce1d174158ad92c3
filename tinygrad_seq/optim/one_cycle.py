"""One cycle: the learning rate goes up and far down again, momentum the other way round."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tinygrad_seq.errors import ArgumentError, expect
from tinygrad_seq.optim.optimizer import Optimizer
from tinygrad_seq.optim.scheduler import LRScheduler, at_least
from tinygrad_seq.optim.schedules import cosine

PerGroup = float | Sequence[float]


class OneCycleLR(LRScheduler):
    """From max_lr/div_factor up to ``max_lr``, then down to max_lr/(div_factor·final_div_factor).

    Going up takes the share ``pct_start`` of all steps. With ``three_phase`` it goes back to where
    it began in as many, and down from there in the rest. cycle_momentum: meanwhile momentum, or
    Adam's β₁, goes from ``max_momentum`` to ``base_momentum`` and back. anneal_strategy: ``"cos"``
    or ``"linear"``. How many steps: ``total_steps``, or ``epochs`` times ``steps_per_epoch``; a
    step beyond them raises ArgumentError. What may differ between groups is a number or a list.

    Source: Smith and Topin 2017, Super-Convergence, arXiv:1708.07120.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: PerGroup,
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: PerGroup = 0.85,
        max_momentum: PerGroup = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ):
        op = "OneCycleLR"
        if total_steps is None:
            known = epochs is not None and steps_per_epoch is not None
            expect(known, op, "total_steps, or epochs and steps_per_epoch", "neither",
                   ArgumentError)  # fmt: skip
            at_least(op, "epochs", epochs, 1)
            at_least(op, "steps_per_epoch", steps_per_epoch, 1)
            total_steps = (epochs or 0) * (steps_per_epoch or 0)
        at_least(op, "total_steps", total_steps, 1)
        ok = 0 <= pct_start <= 1
        expect(ok, op, "pct_start in [0, 1]", pct_start, ArgumentError)
        ok = anneal_strategy in ("cos", "linear")
        expect(ok, op, "anneal_strategy cos | linear", repr(anneal_strategy), ArgumentError)
        for name, value in (("div_factor", div_factor), ("final_div_factor", final_div_factor)):
            expect(value > 0, op, f"{name} > 0", value, ArgumentError)
        self.momentum_name = _momentum_name(optimizer) if cycle_momentum else ""
        self.total_steps, self.pct_start, self.three_phase = total_steps, pct_start, three_phase
        self.anneal_strategy, self.final_div_factor = anneal_strategy, final_div_factor
        self.max_lrs = per_group(op, "max_lr", max_lr, optimizer)
        self.base_momentums = per_group(op, "base_momentum", base_momentum, optimizer)
        self.max_momentums = per_group(op, "max_momentum", max_momentum, optimizer)
        if last_epoch == -1:
            for group, high in zip(optimizer.param_groups, self.max_lrs, strict=True):
                group["initial_lr"] = high / div_factor
        super().__init__(optimizer, last_epoch)

    def rate(self, t: int, group: int) -> float:
        first, high = self.base_lrs[group], self.max_lrs[group]
        last = first / self.final_div_factor
        levels = [first, high, first, last] if self.three_phase else [first, high, last]
        return self._between(levels, t)

    def apply(self, t: int) -> None:
        """Set the optimiser's rates and momenta to step t."""
        wanted = f"at most {self.total_steps} steps"
        expect(t <= self.total_steps, "OneCycleLR", wanted, t, ArgumentError)
        super().apply(t)
        if not self.momentum_name:
            return
        bounds = zip(self.max_momentums, self.base_momentums, strict=True)
        for group, (high, low) in zip(self.optimizer.param_groups, bounds, strict=False):
            levels = [high, low, high, high] if self.three_phase else [high, low, high]
            momentum = self._between(levels, t)
            if self.momentum_name == "betas":
                group["betas"] = (momentum, *group["betas"][1:])
            else:
                group["momentum"] = momentum

    def _between(self, levels: Sequence[float], t: int) -> float:
        """The value at step t of a curve through ``levels``, one at each end of a phase."""
        ends = [self.pct_start * self.total_steps - 1, self.total_steps - 1]
        if self.three_phase:
            ends.insert(1, 2 * self.pct_start * self.total_steps - 2)
        start = 0.0
        for i, end in enumerate(ends):
            if t <= end or i == len(ends) - 1:
                break
            start = end
        share = min(1.0, (t - start) / (end - start)) if end > start else 1.0
        if self.anneal_strategy == "cos":
            return cosine(levels[i], levels[i + 1], share)
        return levels[i] + (levels[i + 1] - levels[i]) * share


def _momentum_name(optimizer: Optimizer) -> str:
    """The option that stands for momentum."""
    found = [name for name in ("betas", "momentum") if name in optimizer.defaults]
    wanted = "an optimizer with momentum or betas, or cycle_momentum=False"
    expect(found, "OneCycleLR", wanted, type(optimizer).__name__, ArgumentError)
    return found[0]


def per_group(op: str, name: str, value: PerGroup, optimizer: Optimizer) -> list[float]:
    """A number for each group of parameters, from one for all or a list."""
    groups = len(optimizer.param_groups)
    values: list[Any] = [value] * groups if isinstance(value, (int, float)) else [*value]
    expect(len(values) == groups, op, f"{groups} of {name}", len(values), ArgumentError)
    for one in values:
        ok = isinstance(one, (int, float)) and math.isfinite(one) and one >= 0
        expect(ok, op, f"{name} ≥ 0", repr(one), ArgumentError)
    return values
