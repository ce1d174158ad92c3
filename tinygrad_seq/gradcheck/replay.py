"""The same run again: random numbers, detached values and buffers are put back each time.

A finite difference compares runs of one function, so every run must meet the same dropout mask.
And a truncated gradient is not d(loss)/dθ: it holds what was detached constant. Answering every
``detach()`` with its value from the unperturbed run makes finite differences hold it constant too,
so that truncated gradients can be checked exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from tinygrad_seq.autograd import Tensor
from tinygrad_seq.autograd.modes import switched
from tinygrad_seq.backend import Array, Generator, default_generator
from tinygrad_seq.errors import GraphError


class Replay:
    """What every run starts from; the first run's ``detach()`` values are kept, in call order."""

    def __init__(self, generators: Iterable[Generator] = (), buffers: Iterable[Tensor] = ()):
        streams = {id(g): g for g in (default_generator(), *generators)}
        self._states = [(g, g.get_state()) for g in streams.values()]
        self._buffers = [(b, b.data) for b in buffers]
        self._detached: list[Array] | None = None

    @contextmanager
    def run(self) -> Iterator[None]:
        """One run from the state of the first. Afterwards all is as it was before this run, which
        may be long after the first: a report is looked at when training has gone on."""
        streams = [(g, g.get_state()) for g, _ in self._states]
        buffers = [(b, b.data) for b, _ in self._buffers]
        for generator, state in self._states:
            generator.set_state(state)
        for buffer, array in self._buffers:
            buffer.data = array.copy()  # to be written to
        made: list[Array] = []
        known = self._detached

        def detach(tensor: Tensor) -> Tensor:
            made.append(tensor.data if known is not None else tensor.data.copy())
            if known is None:
                return Tensor(made[-1])
            self._expect_same(known, made)
            return Tensor(known[len(made) - 1])

        try:
            with switched("detach_replay", detach):
                yield
        finally:
            for generator, state in streams:
                generator.set_state(state)
            for buffer, array in buffers:
                buffer.data = array
        if known is None:
            self._detached = made
        elif len(made) != len(known):
            raise GraphError(
                f"gradcheck: expected {len(known)} calls of detach(), as in the first run, got "
                f"{len(made)}; the function must take the same path whatever its inputs"
            )

    @staticmethod
    def _expect_same(known: list[Array], made: list[Array]) -> None:
        count = len(made)
        if count > len(known):
            raise GraphError(
                f"gradcheck: expected {len(known)} calls of detach(), as in the first run, got "
                "more; the function must take the same path whatever its inputs"
            )
        before, now = known[count - 1].shape, made[-1].shape
        if before != now:
            raise GraphError(
                f"gradcheck: expected call {count} of detach() on shape {before}, as in the first "
                f"run, got {now}; the function must take the same path whatever its inputs"
            )
