"""Where the way back goes wrong first: which step, which gate, which tensor.

A gradient of a weight is a sum over the steps, so its value does not say which step spoilt it. But
the last k steps of a run are a run themselves, which starts from the state before them. The
student's function is called on these runs, k = 1, 2, …: as long as the gradients of the last k
steps are right and those of the last k + 1 are not, it is step T − k whose numbers are the first
wrong ones. Nothing is assumed of the function but that it does the same thing at every step.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinygrad_seq.bptt.compare.hand import Backward, Hand, called
from tinygrad_seq.bptt.compare.run import BLOCKED, BY_STEP, LAST, WAY_BACK, Run, difference
from tinygrad_seq.bptt.compare.truth import Truth

#: the order in which one step computes them
ORDER = ("dh", "dc", "da", "db", "dbhn", "dWx", "dWh", "dx", "dh0", "dc0")


@dataclass(frozen=True)
class Place:
    """The first wrong numbers. ``gates``: the blocks that are wrong there, in the order of the way
    back; () where it is all of them, or where there are none. ``together``: every tensor that goes
    wrong at that step."""

    step: int
    tensor: str
    gates: tuple[str, ...]
    together: tuple[str, ...]
    #: how many of the last steps it takes to see it
    count: int


def error(got: np.ndarray, expected: np.ndarray) -> float:
    """The largest deviation as a share of the largest value expected; inf for NaN."""
    with np.errstate(invalid="ignore", over="ignore"):
        worst = float(np.max(np.abs(got - expected), initial=0))
    if worst == 0:
        return 0.0
    scale = float(np.max(np.abs(expected), initial=0))
    return worst / scale if np.isfinite(worst) and scale else float("inf")


def wrong_gates(run: Run, name: str, got: np.ndarray, expected: np.ndarray, rtol: float) -> str:
    """The letters of the blocks that differ."""
    if name == "dbhn":
        return "n"
    if name not in BLOCKED or not run.gates:
        return ""
    axis, count = BLOCKED[name], len(run.gates)
    pairs = zip(np.split(got, count, axis), np.split(expected, count, axis), strict=True)
    least = 1e-6 * float(np.max(np.abs(expected), initial=0))  # rounding of what is next to nothing
    found = ""
    for gate, (mine, tape) in zip(run.gates, pairs, strict=True):
        scale = max(float(np.max(np.abs(tape), initial=0)), least)
        if not np.all(np.abs(mine - tape) <= rtol * scale):
            found += gate
    return found


def wrong(run: Run, hand: Hand, truth: dict[str, np.ndarray], rtol: float) -> dict[str, str]:
    """The tensors that differ, in the order of one step, each with its gates that do."""
    found = {}
    for name in ORDER:
        if name in hand.misshaped:
            found[name] = ""
        elif name in hand.values:
            got, expected = hand.values[name], truth[name]
            gates = wrong_gates(run, name, got, expected, rtol)
            if gates if name in BLOCKED and run.gates else error(got, expected) > rtol:
                found[name] = gates
    return found


def located(fn: Backward, run: Run, truth: Truth, rtol: float) -> Place | str:
    """The first wrong numbers, or why they cannot be found."""
    ends: list[bool] = []  # whether what is handed down was wrong, of 1, 2, … steps
    last: dict[str, str] = {}
    for count in range(1, run.T + 1):
        short = run.suffix(count)
        hand = called(fn, short)
        if hand.problem is not None:
            return f"run on the last {count} of the {run.T} steps alone, {hand.problem}"
        found = wrong(short, hand, truth.suffix(count), rtol)
        inside = {name: gates for name, gates in found.items() if name not in LAST}
        at_end = [name for name in found if name in LAST]
        if inside:
            # What the step above handed down was wrong already, and not just what it returned.
            if ends and ends[-1] and not any(ends[:-1]):
                return _place(run, count - 1, last)
            return _place(run, count, inside | dict.fromkeys(at_end, ""))
        ends.append(bool(at_end))
        last = dict.fromkeys(at_end, "")
        alone = not set(hand.names) - set(LAST)
        if at_end and alone:  # nothing else shows what is handed down from step to step
            return _place(run, count, last)
    return _place(run, run.T, last) if ends[-1] else "only all steps together show it"


def later(fn: Backward, run: Run, truth: Truth, rtol: float, place: Place, hand: Hand) -> Place:
    """The place, unless dWx shows that it lies further down.

    A function that errs at one end of the loop, at t = 1 say, errs in the short runs too, whose
    t = 1 is another step. So the steps are also looked at in the whole run: with all rows of x but
    x_t blanked out, dWx is what step t adds to it. That counts only if these parts do sum to dWx.
    """
    total, first, gates = np.zeros_like(run.Wx), 0, ""
    for t in range(run.T, 0, -1):
        probe = run.copy()
        probe.x[:t] = probe.x[t + 1 :] = 0
        part = called(fn, probe).values.get("dWx")
        if part is None:
            return place
        total += part
        share = truth.steps["dWx"][t]
        if not first and difference(part, share) > rtol:
            first, gates = t, wrong_gates(run, "dWx", part, share, rtol)
    if not 0 < first < place.step or difference(total, hand.values["dWx"]) > rtol:
        return place
    sums = {name: gates for name in place.together if name not in LAST}
    return _place(run, run.T - first + 1, sums)


def by_rows(run: Run, hand: Hand, truth: Truth, rtol: float, place: Place) -> Place:
    """The place, unless a tensor with a row for each step shows another one in the whole run."""
    tape, found = truth.suffix(run.T), []
    for name in (n for n in ORDER if n in BY_STEP and n in hand.values):
        floor = 1e-6 * float(np.max(np.abs(tape[name])))
        for t in range(run.T, 0, -1):
            mine, right = hand.values[name][t], tape[name][t]
            scale = max(float(np.max(np.abs(right))), floor)
            if not np.all(np.abs(mine - right) <= rtol * scale):
                found.append((t, name, wrong_gates(run, name, mine, right, rtol)))
                break
    first = max((t for t, _, _ in found), default=0)
    together = {name: gates for t, name, gates in found if t == first}
    misled = first < place.step and any(name in BY_STEP for name in place.together)
    if first > place.step or (first and misled):
        return _place(run, run.T - first + 1, together)
    return place


def _place(run: Run, count: int, found: dict[str, str]) -> Place:
    tensor = next(iter(found))
    gates = "" if len(found[tensor]) == len(run.gates) else found[tensor]
    ordered = tuple(g for g in WAY_BACK[run.kind] if g in gates)
    return Place(run.T - count + 1, tensor, ordered, tuple(found), count)
