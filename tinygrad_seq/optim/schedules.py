"""Learning rates that change while training goes on, with PyTorch's names, arguments and numbers.

::

    schedule = WarmupCosineLR(optimizer, warmup=100, steps=2000, min_lr=1e-4)
    for batch in batches:
        …
        optimizer.step()
        schedule.step()

η is the rate that a group of parameters began with, t the number of steps made.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence

from tinygrad_seq.errors import ArgumentError, expect
from tinygrad_seq.optim.optimizer import Optimizer
from tinygrad_seq.optim.scheduler import LRScheduler, at_least


class LambdaLR(LRScheduler):
    """η·f(t). lr_lambda: f, or a list with one for each group; it is not saved."""

    unsaved = ("optimizer", "lr_lambdas")

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int = -1,
    ):
        groups = len(optimizer.param_groups)
        given = [lr_lambda] * groups if callable(lr_lambda) else list(lr_lambda)
        expect(len(given) == groups, "LambdaLR", f"{groups} functions", len(given), ArgumentError)
        self.lr_lambdas = given
        super().__init__(optimizer, last_epoch)

    def rate(self, t: int, group: int) -> float:
        return float(self.base_lrs[group] * self.lr_lambdas[group](t))


class ConstantLR(LRScheduler):
    """η·factor for the first ``total_iters`` steps, then η."""

    def __init__(
        self,
        optimizer: Optimizer,
        factor: float = 1 / 3,
        total_iters: int = 5,
        last_epoch: int = -1,
    ):
        at_least("ConstantLR", "factor", factor, 0)
        expect(factor <= 1, "ConstantLR", "factor ≤ 1", factor, ArgumentError)
        at_least("ConstantLR", "total_iters", total_iters, 0)
        self.factor, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch)

    def rate(self, t: int, group: int) -> float:
        return float(self.base_lrs[group] * (self.factor if t < self.total_iters else 1))


class LinearLR(LRScheduler):
    """From η·start_factor to η·end_factor in a straight line of ``total_iters`` steps: a warm-up,
    or a decay."""

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ):
        for name, value in (("start_factor", start_factor), ("end_factor", end_factor)):
            at_least("LinearLR", name, value, 0)
            expect(value <= 1, "LinearLR", f"{name} ≤ 1", value, ArgumentError)
        expect(start_factor > 0, "LinearLR", "start_factor > 0", start_factor, ArgumentError)
        at_least("LinearLR", "total_iters", total_iters, 1)
        self.start_factor, self.end_factor = start_factor, end_factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def rate(self, t: int, group: int) -> float:
        share = min(t, self.total_iters) / self.total_iters
        factor = self.start_factor + (self.end_factor - self.start_factor) * share
        return float(self.base_lrs[group] * factor)


class StepLR(LRScheduler):
    """η·gamma^⌊t/step_size⌋."""

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ):
        at_least("StepLR", "step_size", step_size, 1)
        at_least("StepLR", "gamma", gamma, 0)
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def rate(self, t: int, group: int) -> float:
        return float(self.base_lrs[group] * self.gamma ** (t // self.step_size))


class MultiStepLR(LRScheduler):
    """η·gamma^k, k the number of ``milestones`` reached."""

    def __init__(
        self,
        optimizer: Optimizer,
        milestones: Sequence[int],
        gamma: float = 0.1,
        last_epoch: int = -1,
    ):
        at_least("MultiStepLR", "gamma", gamma, 0)
        self.milestones, self.gamma = sorted(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def rate(self, t: int, group: int) -> float:
        return float(self.base_lrs[group] * self.gamma ** bisect_right(self.milestones, t))


class ExponentialLR(LRScheduler):
    """η·gamma^t."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1):
        at_least("ExponentialLR", "gamma", gamma, 0)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def rate(self, t: int, group: int) -> float:
        return float(self.base_lrs[group] * self.gamma**t)


class CosineAnnealingLR(LRScheduler):
    """eta_min + (η − eta_min)·(1 + cos(π·t/T_max))/2: down in T_max steps, up again in as many, …

    Source: Loshchilov and Hutter 2016, arXiv:1608.03983, without its restarts.
    """

    def __init__(
        self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1
    ):
        at_least("CosineAnnealingLR", "T_max", T_max, 1)
        at_least("CosineAnnealingLR", "eta_min", eta_min, 0)
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def rate(self, t: int, group: int) -> float:
        return cosine(self.base_lrs[group], self.eta_min, t / self.T_max)


class WarmupCosineLR(LRScheduler):
    """Up in a straight line, then down a cosine to ``min_lr``, where it stays. With w = warmup::

        η·(t + 1)/(w + 1)                               for t < w
        min_lr + (η − min_lr)·(1 + cos(π·(t − w)/(steps − w)))/2    for w ≤ t ≤ steps
        min_lr                                          after that

    It is the schedule of nanoGPT. steps: when it is down, counted from the beginning.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        warmup: int,
        steps: int,
        min_lr: float = 0.0,
        last_epoch: int = -1,
    ):
        at_least("WarmupCosineLR", "warmup", warmup, 0)
        at_least("WarmupCosineLR", "min_lr", min_lr, 0)
        expect(steps > warmup, "WarmupCosineLR", f"steps > {warmup}", steps, ArgumentError)
        self.warmup, self.steps, self.min_lr = warmup, steps, min_lr
        super().__init__(optimizer, last_epoch)

    def rate(self, t: int, group: int) -> float:
        base = self.base_lrs[group]
        if t < self.warmup:
            return float(base * (t + 1) / (self.warmup + 1))
        share = min(1.0, (t - self.warmup) / (self.steps - self.warmup))
        return cosine(base, self.min_lr, share)


def cosine(high: float, low: float, share: float) -> float:
    """From high at share = 0 to low at 1 along half a cosine."""
    return low + (high - low) * (1 + math.cos(math.pi * share)) / 2
