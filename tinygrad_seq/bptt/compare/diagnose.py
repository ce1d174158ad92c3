"""The likely mistake: which wrong backward pass gives exactly the student's numbers.

Every mistake of the textbook's list is made on purpose, and the gradients that come out are held
against the student's. One that explains the right and the wrong tensors alike, to rounding, is
named; if none does, two mistakes at once are tried; if none of these do, nothing is named.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from tinygrad_seq.bptt.compare.run import BLOCKED, Run, difference
from tinygrad_seq.bptt.compare.textbook import Pick, Signals, signals_of
from tinygrad_seq.bptt.compare.textbook.gather import gathered, misgathered

Values = dict[str, np.ndarray]
#: up to how many numbers results are kept and two mistakes on the way back are tried out, and how
#: many of those that explain something by themselves are taken as the first of two
LARGEST, MOST = 100_000, 8


@dataclass(frozen=True)
class Explanation:
    """Mistakes on the way back, mistakes in gathering (mistake → the tensors it was made in), and
    how far the gradients that come out are from the student's."""

    on_the_way: tuple[str, ...]
    in_gathering: dict[str, tuple[str, ...]]
    fit: float

    @property
    def mistakes(self) -> tuple[str, ...]:
        """All of them by name."""
        return (*self.on_the_way, *self.in_gathering)


@dataclass
class Search:
    """The student's gradients of one or several runs, the shortest first, explained.

    ``tol``: the residual up to which an explanation counts as fitting.
    """

    samples: Sequence[tuple[Run, Values]]
    tol: float
    names: list[str] = field(init=False)
    right: list[Signals] = field(init=False)
    offered: list[str] = field(init=False)
    shorts: dict[str, Values] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.names = list(self.samples[0][1])
        pick = Pick(None)
        self.right = [signals_of(run, pick=pick) for run, _ in self.samples]
        self.offered = list(pick.offered)

    def explained(self) -> tuple[list[Explanation], list[Explanation]]:
        """→ what fits, best guess first, and the next best that does not."""
        single = [*self.on_the_way(), *self.gathering()]
        fits = [e for e in single if e.fit <= self.tol]
        if not fits:
            fits = [*self.two_in_gathering(), *self.one_of_each()] or list(self.two_on_the_way())
        return fits, sorted((e for e in single if e.fit > self.tol), key=lambda e: e.fit)

    def signals(self, mistakes: Iterable[str]) -> list[Signals]:
        """What the way back makes of each run, with these mistakes."""
        chosen = tuple(mistakes)
        return [signals_of(run, chosen) for run, _ in self.samples]

    def residual(self, name: str, predicted: Sequence[np.ndarray]) -> float:
        """How far the student's tensor is from the predicted one, in the worst of the runs."""
        pairs = zip(self.samples, predicted, strict=True)
        return max(difference(values[name], p) for (_, values), p in pairs)

    def residuals(self, signals: Sequence[Signals]) -> dict[str, float]:
        """The same for every tensor, rightly gathered."""
        return {n: self.residual(n, [gathered(s, n) for s in signals]) for n in self.names}

    def fit(self, mistakes: Sequence[str]) -> float:
        """The residual of mistakes on the way back, over all tensors; of the first run that they
        misfit, or the worst."""
        worst = 0.0
        for k, (run, values) in enumerate(self.samples):
            if k == 0 and len(mistakes) == 1:
                made = self.short(mistakes[0])
            else:
                made = _all(signals_of(run, mistakes), self.names)
            worst = max(worst, _rms(difference(values[n], made[n]) for n in self.names))
            if worst > self.tol:
                break
        return worst

    def short(self, mistake: str) -> Values:
        """What one mistake on the way back makes of the shortest run."""
        if mistake in self.shorts:
            return self.shorts[mistake]
        run, values = self.samples[0]
        made = _all(signals_of(run, [mistake]), self.names)
        if sum(v.size for v in values.values()) <= LARGEST:
            self.shorts[mistake] = made
        return made

    def misfits(self, name: str, signals: Sequence[Signals]) -> dict[str, float]:
        """For every mistake in gathering this tensor how far the outcome is from the student's."""
        made = [dict(misgathered(s, name)) for s in signals]
        shared = [m for m in made[0] if all(m in other for other in made)]
        return {m: self.residual(name, [other[m] for other in made]) for m in shared}

    # ------------------------------------------------------------------ one mistake

    def on_the_way(self) -> Iterator[Explanation]:
        """Each mistake on the way back by itself."""
        for mistake in self.offered:
            yield Explanation((mistake,), {}, self.fit([mistake]))

    def gathering(self) -> Iterator[Explanation]:
        """Each mistake in gathering, made in all the tensors that are wrong."""
        wrong = self._wrong()
        tables = {name: self.misfits(name, self.right) for name in wrong}
        for mistake in dict.fromkeys(m for table in tables.values() for m in table):
            fit = _rms(table.get(mistake, float("inf")) for table in tables.values())
            yield Explanation((), {mistake: tuple(wrong)}, fit)
        if not any(r <= self.tol for table in tables.values() for r in table.values()):
            yield from self._factor(wrong)

    def _wrong(self) -> list[str]:
        return [n for n, r in self.residuals(self.right).items() if r > self.tol]

    def _factor(self, wrong: Sequence[str]) -> Iterator[Explanation]:
        """All wrong tensors are the right ones times one number."""
        tape = [{n: gathered(s, n) for n in wrong} for s in self.right]
        first = self.samples[0][1]
        mine = np.concatenate([first[n].ravel() for n in wrong])
        theirs = np.concatenate([tape[0][n].ravel() for n in wrong])
        if mine.size < 3 or not np.isfinite(mine).all() or not theirs.any():
            return
        factor = float(mine @ theirs / (theirs @ theirs))
        fit = _rms(self.residual(n, [factor * t[n] for t in tape]) for n in wrong)
        yield Explanation((), {f"factor:{factor:.6g}": tuple(wrong)}, fit)

    # ------------------------------------------------------------------ two mistakes

    def two_in_gathering(self) -> list[Explanation]:
        """Every wrong tensor gathered wrongly in one of two ways."""
        found = self._gathered_apart(self._wrong(), self.right, ())
        return [found] if found is not None and len(found.mistakes) == 2 else []

    def one_of_each(self) -> list[Explanation]:
        """A mistake on the way, and one in gathering besides."""
        values, fits = self.samples[0][1], []
        tape = _all(self.right[0], self.names)
        wrong = [n for n in self.names if difference(values[n], tape[n]) > self.tol]
        for mistake in self.offered:
            made = self.short(mistake)
            if all(difference(values[n], made[n]) > self.tol for n in wrong):
                continue  # it explains nothing
            signals = self.signals([mistake])
            left = [n for n, r in self.residuals(signals).items() if r > self.tol]
            found = self._gathered_apart(left, signals, (mistake,))
            if found is not None and len(found.mistakes) == 2:
                fits.append(found)
        return fits

    def _gathered_apart(self, names: Sequence[str], signals: Sequence[Signals],
                        before: tuple[str, ...]) -> Explanation | None:  # fmt: skip
        """The fewest mistakes in gathering that explain these tensors one by one."""
        tables = {n: self.misfits(n, signals) for n in names}
        fitting = {n: [m for m, r in t.items() if r <= self.tol] for n, t in tables.items()}
        if not all(fitting.values()):
            return None
        made: dict[str, tuple[str, ...]] = {}
        left, fit = list(names), 0.0
        while left:  # the mistake that explains most of them first
            options = dict.fromkeys(m for n in left for m in fitting[n])
            best = max(options, key=lambda m: sum(m in fitting[n] for n in left))
            made[best] = tuple(n for n in left if best in fitting[n])
            fit = max(fit, *(tables[n][best] for n in made[best]))
            left = [n for n in left if n not in made[best]]
        return Explanation(before, made, fit)

    def two_on_the_way(self) -> Iterator[Explanation]:
        """Two mistakes on the way back. One of them must explain by itself a block that is wrong
        in the shortest run, where the other has had no time to get mixed up with it."""
        shortest, values = self.samples[0]
        if shortest.h.size * shortest.blocks > LARGEST:
            return
        mine, tape = self._blocks(values), self._blocks(_all(self.right[0], self.names))
        wrong = [key for key in mine if difference(mine[key], tape[key]) > self.tol]
        explained = {}
        for mistake in self._named:
            made = self._blocks(self.short(mistake))
            explained[mistake] = sum(difference(mine[k], made[k]) <= self.tol for k in wrong)
        tried = set()
        for first in sorted(filter(explained.get, explained), key=lambda m: -explained[m])[:MOST]:
            for second in self._named:
                pair = tuple(sorted({first, second}))
                if len(pair) < 2 or pair in tried:
                    continue
                tried.add(pair)
                fit = self.fit(pair)
                if fit <= self.tol:
                    yield Explanation(pair, {}, fit)

    @property
    def _named(self) -> list[str]:
        """The mistakes on the way back, but for the many orders the blocks may stand in."""
        return [m for m in self.offered if "_ordered_" not in m]

    def _blocks(self, values: Values) -> dict[tuple[str, int], np.ndarray]:
        """The tensors, those with a block for each gate taken apart."""
        count = self.samples[0][0].blocks
        return {
            (name, k): block
            for name, value in values.items()
            for k, block in enumerate(
                np.split(value, count, BLOCKED[name]) if name in BLOCKED else [value]
            )
        }


def _rms(residuals: Iterable[float]) -> float:
    """√(mean of squares): small only if every one is, yet telling what most of them are."""
    return float(np.sqrt(np.mean(np.square(list(residuals)))))


def _all(signals: Signals, names: Iterable[str]) -> Values:
    return {name: gathered(signals, name) for name in names}
