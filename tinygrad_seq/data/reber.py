"""Reber grammars: strings from a small automaton, and what may follow at every step.

    Reber       0 ─B→ 1     1 ─T→ 2  2 ─S→ 2  3 ─T→ 3  4 ─X→ 3  5 ─P→ 4     6 ─E→ end
                            1 ─P→ 3  2 ─X→ 4  3 ─V→ 5  4 ─S→ 6  5 ─V→ 6
    embedded    B T (a Reber string) T E   or   B P (a Reber string) P E

At a fork both ways are equally likely. Whoever knows the state pays ln 2 at every fork and nothing
elsewhere: per string 6 ln 2 on average (a Reber string has 8 symbols on average), and 7 ln 2 for
the embedded grammar (12 symbols). Whoever cannot remember the second symbol of an embedded string
pays another ln 2 at the last but one.

Sources: Cleeremans, Servan-Schreiber and McClelland, Finite State Automata and Simple Recurrent
Networks (1989); Hochreiter and Schmidhuber, Long Short-Term Memory (1997).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_seq.backend import Generator
from tinygrad_seq.data.padding import pad
from tinygrad_seq.errors import ArgumentError, DataError, ShapeError, expect

Arrows = Mapping[str, int]  # what may come in a state, and the state it leads to


class Strings(NamedTuple):
    """Strings of a grammar as a padded time-major batch; T is the longest without its last."""

    #: (T, B) int64: every symbol but the last; padding is 0
    inputs: np.ndarray
    #: (T, B) int64: the symbol that came next; padding is 0
    targets: np.ndarray
    #: (T, B, 7) bool: the symbols that may come next; nothing at padding
    legal: np.ndarray
    #: (B,) int64: the steps of each string
    lengths: np.ndarray


class Grammar:
    """An automaton: for every state the symbols that may come, and the states they lead to.

    A string begins in state 0 and ends when it comes to ``len(arrows)``.
    """

    symbols = "BTSXPVE"

    def __init__(self, name: str, arrows: Sequence[Arrows]):
        self.name, self.arrows = name, tuple(arrows)
        self._ways = [*map(list, self.arrows), []]  # nothing may come in the last state
        self._legal = np.array([[s in ways for s in self.symbols] for ways in self._ways])

    def __repr__(self) -> str:
        return f"<{self.name} grammar>"

    def string(self, generator: Generator) -> str:
        """A random string; at a fork every way is equally likely."""
        return self.strings(1, generator)[0]

    def strings(self, count: int, generator: Generator) -> list[str]:
        """``count`` random strings, which may repeat. Raises ArgumentError for count < 0."""
        expect(count >= 0, f"{self.name} grammar", "count ≥ 0", count, ArgumentError)
        chance = _uniform(generator)
        return [self._walk(chance) for _ in range(count)]

    def accepts(self, string: str) -> bool:
        """Whether the grammar makes this string, whole."""
        states = self._states(string)
        return len(states) == len(string) + 1 and states[-1] == len(self.arrows)

    def encode(self, string: str) -> np.ndarray:
        """The place of every symbol in ``symbols``, (n,) int64. Raises DataError for a stranger."""
        known = all(symbol in self.symbols for symbol in string)
        expect(known, f"{self.name} grammar", f"symbols of {self.symbols}", repr(string), DataError)
        return np.array([self.symbols.index(symbol) for symbol in string], np.int64)

    def legal(self, string: str) -> np.ndarray:
        """What may follow: row t, of (n − 1, 7) bool, marks the symbols allowed after symbol t.

        ``string`` may be cut short. Raises DataError, naming the place, if it breaks the grammar.
        """
        states = self._states(string)
        if len(states) <= len(string):
            at, ways = len(states) - 1, self._ways[states[-1]]
            raise DataError(
                f"{self.name} grammar: expected {' or '.join(ways) or 'the end'} at {at} of "
                f"{string!r}, got {string[at]}"
            )
        return self._legal[states[1 : len(string)]]

    def batch(self, strings: Sequence[str]) -> Strings:
        """Strings for predicting the next symbol. Raises DataError for one not of the grammar."""
        for string in strings:
            ok = self.accepts(string)
            expect(ok, f"{self.name} grammar", "strings of its own", repr(string), DataError)
        tokens = [self.encode(string) for string in strings]
        inputs, lengths = pad([row[:-1] for row in tokens])
        targets, _ = pad([row[1:] for row in tokens])
        legal, _ = pad([self.legal(string) for string in strings], value=False)
        return Strings(inputs, targets, legal, lengths)

    def _walk(self, chance: Iterator[float]) -> str:
        state, drawn = 0, []
        while ways := self._ways[state]:
            drawn.append(ways[int(next(chance) * len(ways))] if len(ways) > 1 else ways[0])
            state = self.arrows[state][drawn[-1]]
        return "".join(drawn)

    def _states(self, string: str) -> list[int]:
        """The states before each symbol and after the last; fewer if a symbol may not come."""
        states = [0]
        for symbol in string:
            if symbol not in self._ways[states[-1]]:
                break
            states.append(self.arrows[states[-1]][symbol])
        return states


def _uniform(generator: Generator) -> Iterator[float]:
    """Numbers in [0, 1), drawn many at a time."""
    while True:
        yield from generator.uniform((64,)).tolist()


def legal_first(scores: Any, legal: np.ndarray) -> np.ndarray:
    """Which strings are predicted right: at every step each legal symbol outscores every other.

    ``scores`` (T, B, 7) and ``legal`` (T, B, 7) give (B,) bool; steps where nothing is legal, the
    padding, do not count. This is how Hochreiter and Schmidhuber judge. Raises ShapeError if the
    two shapes differ.
    """
    scores = np.asarray(scores)
    expect(scores.shape == legal.shape, "legal_first", f"scores {legal.shape}", scores.shape,
           ShapeError)  # fmt: skip
    # Of nothing the worst is +∞, so padding is always right.
    worst_legal = np.where(legal, scores, np.inf).min(axis=-1)
    best_other = np.where(legal, -np.inf, scores).max(axis=-1)
    return np.asarray((worst_legal > best_other).all(axis=0))


_REBER: tuple[Arrows, ...] = (
    {"B": 1},
    {"T": 2, "P": 3},
    {"S": 2, "X": 4},
    {"T": 3, "V": 5},
    {"X": 3, "S": 6},
    {"P": 4, "V": 6},
    {"E": 7},
)


def _embedded() -> list[Arrows]:
    """Two Reber automata side by side: which of them one is in tells what was second."""
    size = len(_REBER)
    upper, lower = 2, 2 + size + 1  # the inner end is one more state, where the symbol comes again
    end = lower + size + 1  # where both meet, to say E
    arrows: list[Arrows] = [{"B": 1}, {"T": upper, "P": lower}]
    for symbol, first in (("T", upper), ("P", lower)):
        arrows += [{s: first + to for s, to in ways.items()} for ways in _REBER]
        arrows.append({symbol: end})
    return [*arrows, {"E": end + 1}]


REBER = Grammar("Reber", _REBER)
EMBEDDED_REBER = Grammar("embedded Reber", _embedded())
