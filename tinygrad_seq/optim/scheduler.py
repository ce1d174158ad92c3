"""What every schedule of learning rates does, and how one follows another.

A schedule says what the rate of each group of parameters is at step t, as a function of t and of
the rate η that the group began with (``initial_lr``); it does not matter how it got there. So of
two schedules on one optimiser the later overrules the earlier; ``SequentialLR`` puts them one after
the other.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from tinygrad_seq.errors import ArgumentError, StateError, expect
from tinygrad_seq.optim.optimizer import Optimizer


class LRScheduler(ABC):
    """Base of the schedules; setting one up gives the optimiser the rate of step 0.

    last_epoch: how many steps were made already, less one; −1 begins. For more, the optimiser must
    have been under a schedule before, whose ``initial_lr`` is in its groups.
    """

    #: attributes that are no part of the state
    unsaved: tuple[str, ...] = ("optimizer",)

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1):
        name = type(self).__name__
        ok = isinstance(optimizer, Optimizer)
        expect(ok, name, "an optimizer", type(optimizer).__name__, ArgumentError)
        known = last_epoch == -1 or all("initial_lr" in g for g in optimizer.param_groups)
        expect(known, name, "groups with an initial_lr to go on from", "none", ArgumentError)
        self.optimizer = optimizer
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])
        self.base_lrs: list[float] = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self.step()

    @abstractmethod
    def rate(self, t: int, group: int) -> float:
        """The rate of a group of parameters, by number, at step t = 0, 1, …"""

    def step(self) -> None:
        """Go on to the next step: call it after ``optimizer.step()``."""
        self.last_epoch += 1
        self.apply(self.last_epoch)

    def apply(self, t: int) -> None:
        """Set the optimiser to step t."""
        for i, group in enumerate(self.optimizer.param_groups[: len(self.base_lrs)]):
            group["lr"] = self.rate(t, i)

    def get_last_lr(self) -> list[float]:
        """The rate of each group, as the optimiser has it now."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimiser, and functions that were given: plain numbers and lists."""
        return {k: _copy(v) for k, v in vars(self).items() if k not in self.unsaved}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where ``state_dict`` was asked, options included; the optimiser gets that step's
        rate. Raises StateError, with nothing changed, for the state of another schedule."""
        self.check_state(state)
        for key, value in state.items():
            setattr(self, key, _copy(value))
        self.apply(self.last_epoch)

    def check_state(self, state: Any) -> None:
        """Raise StateError unless ``state`` has just the parts that ``state_dict`` gives."""
        name, own = type(self).__name__, self.state_dict()
        ok = isinstance(state, Mapping) and set(state) == set(own)
        got = sorted(map(str, state)) if isinstance(state, Mapping) else type(state).__name__
        expect(ok, name, f"a state of {', '.join(sorted(own))}", got, StateError)
        for key, value in own.items():
            kind = _kind(value)
            expect(_kind(state[key]) == kind, name, f"{key}: {kind}", repr(state[key]), StateError)


def _kind(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return f"{len(value)} in a list"
    return "a number" if isinstance(value, (int, float)) else type(value).__name__


def _copy(value: Any) -> Any:
    return list(value) if isinstance(value, (list, tuple)) else value


def at_least(op: str, name: str, value: Any, least: float) -> None:
    """Refuse an option that is no finite number from ``least`` on."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    ok = number and math.isfinite(value) and value >= least
    expect(ok, op, f"{name} ≥ {least}", repr(value), ArgumentError)


class SequentialLR(LRScheduler):
    """One schedule after the other: at milestone m_i the next begins, at its own step 0.

    schedulers: schedules of this optimiser; milestones: one fewer, rising. A schedule of the list
    is not stepped by itself.
    """

    unsaved = ("optimizer", "schedulers")

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: Sequence[LRScheduler],
        milestones: Sequence[int],
        last_epoch: int = -1,
    ):
        name = "SequentialLR"
        ok = len(schedulers) > 0 and all(isinstance(s, LRScheduler) for s in schedulers)
        expect(ok, name, "a list of schedules", [type(s).__name__ for s in schedulers],
               ArgumentError)  # fmt: skip
        ok = all(s.optimizer is optimizer for s in schedulers)
        expect(ok, name, "schedules of one optimizer", "another's", ArgumentError)
        ok = len(milestones) == len(schedulers) - 1
        expect(ok, name, f"{len(schedulers) - 1} milestones", len(milestones), ArgumentError)
        rising = all(a < b for a, b in zip([0, *milestones], milestones, strict=False))
        expect(rising, name, "rising milestones above 0", list(milestones), ArgumentError)
        self.schedulers, self.milestones = list(schedulers), list(milestones)
        super().__init__(optimizer, last_epoch)

    def rate(self, t: int, group: int) -> float:
        turn, since = self._turn(t)
        return self.schedulers[turn].rate(since, group)

    def apply(self, t: int) -> None:
        """Set the optimiser to step t, as the schedule whose turn it is does."""
        turn, since = self._turn(t)
        self.schedulers[turn].last_epoch = since
        self.schedulers[turn].apply(since)

    def _turn(self, t: int) -> tuple[int, int]:
        """Which schedule, and which step of it."""
        turn = bisect_right(self.milestones, t)
        return turn, t - self.milestones[turn - 1] if turn else t

    def state_dict(self) -> dict[str, Any]:
        """Its own, and under ``"schedulers"`` those of the list."""
        return {**super().state_dict(), "schedulers": [s.state_dict() for s in self.schedulers]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """As for the others; nothing changes unless all of the list fit."""
        self.check_state(state)
        parts = state["schedulers"]
        count = len(self.schedulers)
        expect(len(parts) == count, "SequentialLR", f"{count} states", len(parts), StateError)
        for schedule, part in zip(self.schedulers, parts, strict=True):
            schedule.check_state(part)
        for schedule, part in zip(self.schedulers, parts, strict=True):
            schedule.load_state_dict(part)
        super().load_state_dict({**state, "schedulers": self.schedulers})
