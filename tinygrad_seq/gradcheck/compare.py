"""Comparing a whole block of derivatives: a cheap first look, and a closer one where needed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from tinygrad_seq.gradcheck.numerical import Stencil, Tolerance, central, ladder_of, survey
from tinygrad_seq.gradcheck.verdict import VERDICTS, Finding, judge, settled
from tinygrad_seq.gradcheck.views import View

# A gap between the slopes of the two sides that is worth a closer look, as a share of the slope.
_GAP = 1e-2
# The tolerance where derivatives vanish: this many rounding errors of the function's value.
_FLOOR = 1e4


@dataclass
class Block:
    """Derivatives of one output (rows) by one input (columns), or of one pair of projections."""

    analytic: np.ndarray
    numeric: np.ndarray
    gap: np.ndarray
    noise: np.ndarray
    #: the part of the tolerance that does not grow with the derivative itself
    margin: np.ndarray
    rtol: float
    #: the part of ``margin`` that stands for rounding alone, per column
    floor: np.ndarray
    #: the step that each column was moved by at first
    steps: list[float]
    findings: dict[tuple[int, int], Finding] = field(default_factory=dict)

    def __post_init__(self) -> None:
        #: how many elements the first look found apart
        self.apart = int((self.ratio() > 1).sum())

    @property
    def tolerance(self) -> np.ndarray:
        """How far analytic and numeric derivatives may be apart."""
        known = np.where(np.isfinite(self.numeric), np.abs(self.numeric), 0.0)
        return np.asarray(self.rtol * known + self.margin)

    def ratio(self) -> np.ndarray:
        """How many tolerances each pair is apart; infinite where one is not finite."""
        ratio = np.abs(self.analytic - self.numeric) / self.tolerance
        ratio = np.where(self.analytic == self.numeric, 0.0, ratio)
        bad = ~np.isfinite(self.numeric) | ~np.isfinite(self.analytic)
        return np.where(bad, np.inf, np.nan_to_num(ratio, nan=np.inf, posinf=np.inf))

    def open(self) -> np.ndarray:
        """Where the first look does not settle it: apart, or perhaps a kink."""
        still = (self.numeric == 0) & (self.gap == 0) & (self.analytic == 0)
        bent = self.gap > _GAP * np.abs(self.numeric) + 10 * self.tolerance + 4 * self.noise
        unknown = ~np.isfinite(self.gap)
        unsettled: np.ndarray = ((self.ratio() > 1) | bent | unknown) & ~still
        return unsettled

    @property
    def known_wrong(self) -> bool:
        """Whether a derivative in it is sure to be wrong."""
        return any(f.verdict == "wrong" for f in self.findings.values())

    def put(self, i: int, j: int, finding: Finding) -> None:
        """Keep a finding; its numeric value is better than that of the first look."""
        self.findings[i, j] = finding
        self.numeric[i, j] = finding.numeric

    def worst(self) -> tuple[tuple[int, int], Finding]:
        """The element that says most about this block, and what was found out about it."""
        ratio = self.ratio()
        for verdict in VERDICTS[:-1]:
            found = [at for at, f in self.findings.items() if f.verdict == verdict]
            if found:
                at = max(found, key=lambda at: ratio[at])
                return at, self.findings[at]
        row, column = np.unravel_index(int(np.argmax(ratio)), ratio.shape)
        at = (int(row), int(column))
        seen = Finding("pass", float(self.numeric[at]), float(self.noise[at]), self.steps[column])
        return at, self.findings.get(at, seen)

    def count(self, verdict: str) -> int:
        """How many elements have a verdict other than ``pass``; for ``wrong``, at least how many:
        the search ends with the first that is sure, but all that were apart count."""
        found = sum(f.verdict == verdict for f in self.findings.values())
        return max(found, self.apart) if verdict == "wrong" else found


def first_look(view: View, tol: Tolerance) -> list[Block]:
    """One central difference per column → a block per output."""
    numeric, gap, noise, floor = (np.zeros(view.analytic.shape) for _ in range(4))
    moved: list[float] = []
    for j in range(view.analytic.shape[1]):
        line = view.line(j)
        h = tol.eps * line.reach
        moved.append(h)
        numeric[:, j], gap[:, j] = central(line, h)
        noise[:, j] = line.noise(numeric[:, j], h)
        floor[:, j] = _FLOOR * tol.epsilon * line.size / line.reach
    blocks = []
    for part in view.rows:
        a, n = view.analytic[part], numeric[part]
        # The smaller of both, so that one wild value cannot widen its own tolerance.
        typical = view.typical
        largest = np.minimum(_largest(a), _largest(n)) if typical is None else typical[part]
        rounding = floor[part].max(axis=0, initial=0.0)
        margin = np.broadcast_to(tol.atol * largest + rounding, n.shape)
        blocks.append(Block(a, n, gap[part], noise[part], margin, tol.rtol, rounding, moved))
    return blocks


def _largest(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.abs(values[np.isfinite(values)]).max(initial=0.0))


def closer_look(blocks: list[Block], view: View, tol: Tolerance) -> None:
    """Judge what the first look left open, the worst columns first.

    A block that is known to be wrong is not looked at further.
    """
    opened = [block.open() for block in blocks]
    ratio = [np.where(o, b.ratio(), -1) for o, b in zip(opened, blocks, strict=True)]
    order = np.argsort(-np.concatenate(ratio).max(axis=0, initial=-1), kind="stable")
    for j in map(int, order):
        opened_here = [
            [(block, int(i), part.start + int(i))
             for i in sorted(np.flatnonzero(o[:, j]), key=lambda i: -r[i, j])]
            for block, o, r, part in zip(blocks, opened, ratio, view.rows, strict=True)
            if not block.known_wrong
        ]  # fmt: skip
        rungs = _Rungs(view, j, tol)
        # If the worst of a block is wrong, that is enough.
        _judge_column([todo[0] for todo in opened_here if todo], j, rungs, view)
        rest = [at for todo in opened_here for at in todo[1:] if not at[0].known_wrong]
        _judge_column(rest, j, rungs, view)


class _Rungs:
    """The ladder of one column, walked down as far as is needed and no more than once."""

    def __init__(self, view: View, j: int, tol: Tolerance):
        self.line = view.line(j)
        self.tol = tol
        self._walk = survey(self.line, ladder_of(self.line, tol.eps, float(view.sizes[j])))
        self._known: list[tuple[float, np.ndarray, np.ndarray]] = []

    def __iter__(self) -> Iterator[tuple[float, np.ndarray, np.ndarray]]:
        yield from self._known
        for rung in self._walk:
            self._known.append(rung)
            yield rung


def _judge_column(todo: list[tuple[Block, int, int]], j: int, rungs: _Rungs, view: View) -> None:
    """Put the findings on open elements of one column into their blocks."""
    stencils: dict[int, list[Stencil]] = {row: [] for _, _, row in todo}
    if not todo:
        return
    for h, values, noise in rungs:
        left = []
        for block, i, row in todo:
            stencil = Stencil(h, values[row], float(noise[row]))
            stencils[row].append(stencil)
            if settled(block.analytic[i, j], stencil, block.margin[i, j], block.rtol):
                block.put(i, j, Finding("pass", stencil.slope, stencil.error(), h))
            else:
                left.append((block, i, row))
        todo = left
        if not todo:
            return
    faint = 100 * rungs.line.epsilon / rungs.line.reach
    for block, i, row in todo:
        if block.known_wrong:
            continue
        analytic, margin = float(block.analytic[i, j]), float(block.margin[i, j])
        finding = judge(analytic, stencils[row], margin, block.rtol, faint)
        known = math.isfinite(analytic) and math.isfinite(finding.numeric)
        if finding.verdict == "wrong" and known:
            finding = _doubt(finding, analytic, partial(view.again, row, j))
            finding = _doubt_function(finding, analytic, stencils[row], view.inner, row)
        if finding.verdict == "wrong" and known and view.beside(row, j, rungs.tol):
            note = "right at all points beside this one: several kinks meet here, or a rule is "
            finding = replace(finding, verdict="kink", note=note + "wrong at its kink")
        block.put(i, j, finding)


def _doubt(finding: Finding, analytic: float, again: Callable[[int], float]) -> Finding:
    """A gradient that has lost its digits to cancellation comes out differently when rounding
    falls differently, by as much as it is off; then it is not the rule that is wrong."""
    off = abs(analytic - finding.numeric)
    wobble = max(abs(again(seed) - analytic) for seed in range(4))
    if not off <= 4 * wobble:
        return finding
    note = "the gradient itself has lost its digits to cancellation"
    return replace(finding, verdict="too noisy", note=note)


def _doubt_function(
    finding: Finding, analytic: float, stencils: list[Stencil], inner: Callable[[int], float],
    row: int,
) -> Finding:  # fmt: skip
    """Where rounding inside the function drowns what is looked for, differences say nothing."""
    known = [s for s in stencils if math.isfinite(s.error())]
    if finding.verdict != "wrong" or not known:
        return finding
    noise = 4 * inner(row)
    best = min(known, key=lambda s: s.error() + noise / s.h)
    off, lost = abs(analytic - best.slope), noise / best.h
    if off > best.error() + lost or lost < 0.1 * off:
        return finding
    note = "differences are lost in the rounding of intermediate values"
    return replace(finding, verdict="too noisy", note=note)
