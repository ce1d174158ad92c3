"""Folding a graph: time steps that repeat each other become one, drawn once with "× T".

A loop over a cell leaves the same ops on the tape again and again. They are found in two looks:

1. As in a text, stretches that repeat themselves with some period, three times or more. A letter is
   an op, its shapes and dtypes, and which of the leaves that many ops share it takes.
2. A stretch is a loop if its steps are wired alike: the ops of a step take the same leaves, the
   same nodes from outside, and from inside the loop what lies as many steps back as in the step
   before. Step 1 may take anything from outside where later ones take what an earlier step left.

A first step that lacks some of the ops (there was no sum yet to add to), or a last one, belongs to
the loop as well. Steps that have leaves of their own are not folded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

import numpy as np

#: how often something has to come before it is folded
LEAST = 3
#: the longest step that is looked for, in ops, and how many stretches are looked at
LONGEST, MOST = 512, 2000


class Input(Protocol):
    """Where an input of a node comes from."""

    @property
    def node(self) -> int: ...
    @property
    def argument(self) -> str: ...
    @property
    def output(self) -> int: ...


class Node(Protocol):
    """One node of a graph, as ``tg.graph`` describes it."""

    @property
    def kind(self) -> str: ...
    @property
    def op(self) -> str: ...
    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]: ...
    @property
    def dtypes(self) -> tuple[str, ...]: ...
    @property
    def inputs(self) -> Sequence[Input]: ...


class Role(NamedTuple):
    """What an op does in a loop: in time step ``step`` it is number ``offset`` of the ops."""

    loop: int
    offset: int
    step: int


# The ops of a loop by step and offset; None where the first or the last step lacks one.
Steps = list[list[int | None]]


class Folding:
    """The loops of a graph, and the role that an op has in one. Nodes are known by number."""

    def __init__(self, nodes: Sequence[Node], fold: bool = True):
        self.nodes = nodes
        self.loops: list[Steps] = []
        self.roles: dict[int, Role] = {}
        self._ops = [i for i, node in enumerate(nodes) if node.kind == "op"]
        self._plain = [(node.op, node.shapes, node.dtypes) for node in nodes]
        if fold:
            for lo, hi, period in sorted(_stretches(self._letters())):
                self._fold(lo, hi, period)

    def _letters(self) -> np.ndarray:
        """A number for each op, the same for those that look the same from outside."""
        uses = Counter(i.node for node in self.nodes for i in node.inputs)
        shared = {i for i, node in enumerate(self.nodes) if node.kind != "op" and uses[i] >= LEAST}
        known: dict[Any, int] = {}
        letters = []
        for op in self._ops:
            leaves = [(i.argument, i.node) for i in self.nodes[op].inputs if i.node in shared]
            letters.append(known.setdefault((self._plain[op], *leaves), len(known)))
        return np.array(letters, dtype=np.int64)

    def _fold(self, lo: int, hi: int, period: int) -> None:
        """Find the loops between two places among the ops."""
        while hi - lo >= LEAST * period:
            if self._ops[lo] in self.roles:
                lo += 1
                continue
            # The stretch does not say where a step begins: where least is carried over, and so
            # that a step ends where the stretch does.
            last = min(lo + period, hi - LEAST * period + 1)
            tried = [self._wired(start, period, LEAST) for start in range(lo, last)]
            times, _, _, start = min(
                (-times, carried, (hi - lo - i) % period, lo + i)
                for i, (times, carried) in enumerate(tried)
            )
            if -times < LEAST:
                lo += period
                continue
            times, _ = self._wired(start, period, (hi - start) // period)
            self._accept(self._cut(start, period, times), start)
            lo = start + times * period

    def _cut(self, start: int, period: int, times: int) -> Steps:
        return [[*self._ops[i : i + period]]
                for i in range(start, start + times * period, period)]  # fmt: skip

    def _wired(self, start: int, period: int, times: int) -> tuple[int, int]:
        """How many steps from ``start`` on are wired alike, and how many wires a step gets from
        the one before."""
        steps = self._cut(start, period, times)
        loop = _Loop(steps, steps[LEAST - 1])
        for r in range(1, times):
            if not self._continues(loop, r):
                return r, 0
        inputs = [i for op in loop.steps[1] if op is not None for i in self.nodes[op].inputs]
        return times, len({(i.node, i.output) for i in inputs if loop.at.get(i.node, (1,))[0] == 0})

    def _continues(self, loop: _Loop, r: int) -> bool:
        """Whether the ops of step r take what those of the step before take, one step later."""
        return all(self._agree(loop, r, a) is not None for a in range(len(loop.steps[r])))

    def _agree(self, loop: _Loop, r: int, a: int) -> int | None:
        """How many inputs of an op of step r are known to be those of the step before, one step
        later; None if some are not."""
        op, before = loop.steps[r][a], loop.steps[r - 1][a]
        if op is None or before is None:
            return 0
        later = {i.argument: i for i in self.nodes[op].inputs}
        earlier = {i.argument: i for i in self.nodes[before].inputs}
        agreed = 0
        for name in later.keys() | earlier.keys():
            if loop.reach(self.nodes, a, name) >= r:
                continue  # from before the first step: wherever the loop started from
            i, j = later.get(name), earlier.get(name)
            if i is not None and i.node in loop.at:
                r_i, a_i = loop.at[i.node]
                expected = loop.steps[r_i - 1][a_i] if r_i else None
                if expected is None:
                    continue  # the first step lacks it
                same = j is not None and (j.node, j.output) == (expected, i.output)
            else:
                same = i is not None and j is not None and self._same(i, j)
            if not same:
                return None
            agreed += 1
        return agreed

    def _same(self, one: Input, other: Input) -> bool:
        """Whether two inputs come from one node, or from the same op of another loop."""
        p, q = self.roles.get(one.node), self.roles.get(other.node)
        alike = p is not None and q is not None and p[:2] == q[:2]
        return one.output == other.output and (one.node == other.node or alike)

    def _accept(self, steps: Steps, start: int) -> None:
        """Make a loop of whole steps, and of what there is of a step before and after them."""
        period, stop = len(steps[0]), start + len(steps) * len(steps[0])
        part = self._beside(steps[0][::-1], range(start - 1, -1, -1))[::-1]
        for drop in range(period):
            loop = _Loop([[*self._nothing(drop), *part[drop:]], *steps], steps[LEAST - 1])
            if self._agree(loop, 1, drop) and self._continues(loop, 1) and self._continues(loop, 2):
                steps = loop.steps
                break
        part = self._beside(steps[-1], range(stop, len(self._ops)))
        for keep in range(period, 0, -1):
            whole = [*steps, [*part[:keep], *self._nothing(period - keep)]]
            loop = _Loop(whole, steps[LEAST - 1])
            if part[keep - 1] is not None and self._continues(loop, len(steps)):
                steps = loop.steps
                break
        steps = _realigned(steps)
        for r, step in enumerate(steps):
            for a, op in enumerate(step):
                if op is not None:
                    self.roles[op] = Role(len(self.loops), a, r)
        self.loops.append(steps)

    @staticmethod
    def _nothing(count: int) -> list[int | None]:
        return [None] * count

    def _beside(self, like: Sequence[int | None], places: Sequence[int]) -> list[int | None]:
        """Ops in these places, one after the other, that look like those of a step, as far as
        there are some; None where there is none."""
        found: list[int | None] = []
        taken = 0
        for op in like:
            other = self._ops[places[taken]] if taken < len(places) else None
            fits = (
                op is not None
                and other is not None
                and other not in self.roles
                and self._plain[other] == self._plain[op]
            )
            found.append(other if fits else None)
            taken += fits
        return found


class _Loop:
    """Steps that may be a loop. ``model``: one of them that is whole, the third or a later one."""

    def __init__(self, steps: Steps, model: Sequence[int | None]):
        self.steps = steps
        self.model = model
        #: the step and the offset of each op
        self.at = {op: (r, a) for r, step in enumerate(steps)
                   for a, op in enumerate(step) if op is not None}  # fmt: skip

    def reach(self, nodes: Sequence[Node], a: int, argument: str) -> int:
        """From how many steps before the a-th op of a step takes an argument; 0 also for what
        comes from outside."""
        op = self.model[a]
        if op is not None:
            for i in nodes[op].inputs:
                if i.argument == argument and i.node in self.at:
                    return self.at[op][0] - self.at[i.node][0]
        return 0


def _realigned(steps: Steps) -> Steps:
    """Where the first step is the end of one and the last the beginning of one, steps begin where
    the first does."""
    begin = min(a for a, op in enumerate(steps[0]) if op is not None)
    end = max(a for a, op in enumerate(steps[-1]) if op is not None)
    if begin <= end:
        return steps
    return [[*step[begin:], *after[:begin]] for step, after in pairwise(steps)]


def _stretches(letters: np.ndarray) -> list[tuple[int, int, int]]:
    """Parts of a text that repeat themselves LEAST times or more: (start, stop, period). Those that
    cover most come first, then those of shorter period; they overlap by less than a period."""
    found: list[tuple[int, int, int, int]] = []
    for period in range(1, min(len(letters) // LEAST, LONGEST) + 1):
        equal = letters[:-period] == letters[period:]
        least = (LEAST - 1) * period
        if np.count_nonzero(equal) >= least:
            edges = np.flatnonzero(np.diff(np.concatenate([[False], equal, [False]])))
            lengths = edges[1::2] - edges[::2]
            for k in np.flatnonzero(lengths >= least).tolist():
                start, length = int(edges[2 * k]), int(lengths[k])
                found.append((-length - period, period, start, start + length + period))
    free = np.ones(len(letters), dtype=bool)
    chosen = []
    for _, period, start, stop in sorted(found)[:MOST]:
        edges = np.flatnonzero(np.diff(np.concatenate([[False], free[start:stop], [False]])))
        for lo, hi in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            if hi - lo >= LEAST * period:
                free[start + lo : start + hi] = False
                # At either end what another has taken may fit as well.
                more = max(0, lo - period + 1), min(stop - start, hi + period - 1)
                chosen.append((start + more[0], start + more[1], period))
    return chosen
