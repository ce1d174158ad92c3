"""Random streams, drawn on the host so that the CPU and every GPU see the same numbers.

``manual_seed(seed)`` starts one default stream. Whoever wants a stream that nothing else disturbs
makes a ``Generator`` of its own. States are plain dicts of Python integers and strings, so that
saving and restoring one makes a resumed run draw exactly what an uninterrupted one would have.
"""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import numpy as np

from tinygrad_seq.errors import ArgumentError, StateError, expect


class Generator:
    """A stream of random numbers (PCG64) whose state can be read and set."""

    def __init__(self, seed: int | None = None):
        if seed is not None:
            ok = isinstance(seed, (int, np.integer)) and not isinstance(seed, bool) and seed >= 0
            expect(ok, "manual_seed", "an integer ≥ 0", repr(seed), ArgumentError)
        self._rng = np.random.Generator(np.random.PCG64(seed))

    def uniform(self, shape: tuple[int, ...], dtype: Any = np.float64) -> np.ndarray:
        """Numbers in [0, 1). Drawn in float64 for every dtype, so seeds agree across dtypes."""
        return self._rng.random(shape).astype(dtype, copy=False)

    def normal(self, shape: tuple[int, ...], dtype: Any = np.float64) -> np.ndarray:
        """Standard normal numbers. Drawn in float64 for every dtype."""
        return self._rng.standard_normal(shape).astype(dtype, copy=False)

    def integers(self, low: int, high: int, shape: tuple[int, ...] = ()) -> np.ndarray:
        """Integers in [low, high)."""
        return np.asarray(self._rng.integers(low, high, shape))

    def permutation(self, n: int) -> np.ndarray:
        """The numbers 0 … n−1 in random order."""
        return self._rng.permutation(n)

    def get_state(self) -> dict[str, Any]:
        """A copy of the state, for ``set_state``."""
        return copy.deepcopy(dict(self._rng.bit_generator.state))

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from a state that ``get_state`` gave."""
        try:
            self._rng.bit_generator.state = copy.deepcopy(state)
        except (KeyError, TypeError, ValueError) as error:
            raise StateError(f"random stream: expected a state of PCG64, got {state!r}") from error


@cache
def default_generator() -> Generator:
    """The stream that initialisers and dropout draw from."""
    return Generator()  # made on first use: numpy.random takes a while to import


def manual_seed(seed: int) -> Generator:
    """Restart the default stream from ``seed`` and return it."""
    generator = default_generator()
    generator.set_state(Generator(seed).get_state())
    return generator
