"""The right expression, or a wrong one that is to be tried out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


class Pick:
    """``pick(right, mistake=wrong)`` is ``right``, unless the mistake is among those to be made.

    A place that exists once for each gate says which: its mistakes are then known by both names,
    ``mistake`` (made in every gate at once) and ``mistake:gate``. What has been offered is kept in
    ``offered``, so a backward pass written with ``pick`` is the list of its own mistakes. What
    is costly to compute may be given as a function.
    """

    def __init__(self, mistakes: Iterable[str] | None = None):
        #: None: none is made, and ``offered`` is filled
        self.mistakes = None if mistakes is None else frozenset(mistakes)
        self.offered: dict[str, None] = {}

    def __call__(self, right: Any, gate: str = "", /, **wrong: Any) -> Any:
        if self.mistakes is None:
            for name in wrong:
                both = gate and ":" not in name
                self.offered |= dict.fromkeys([name, f"{name}:{gate}"] if both else [name])
            return right
        for name in self.mistakes:
            place, _, where = name.partition(":")
            value = wrong.get(name)
            if value is None and (not where or where == gate):
                value = wrong.get(place)
            if value is not None:
                return value() if callable(value) else value
        return right
