"""The loop from T down to 1, which every kind of layer shares, and what it leaves behind."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from itertools import combinations, permutations

import numpy as np

from tinygrad_seq.bptt.compare.run import Run
from tinygrad_seq.bptt.compare.textbook import gru, lstm, rnn
from tinygrad_seq.bptt.compare.textbook.pick import Pick

#: (run, pick, t, δh_t, the carried δc) → what step t makes of them
Step = Callable[[Run, Pick, int, np.ndarray, np.ndarray], dict[str, np.ndarray]]
STEPS: dict[str, Step] = {"RNN": rnn.step, "LSTM": lstm.step, "GRU": gru.step}


@dataclass
class Signals:
    """Everything that the gradients are gathered from; (T+1, B, …), indexed by t.

    da is ∂L/∂a_t, and ``before`` what it was before the slopes were multiplied in. dq is what Wh's
    product at step t gets back: da, but for the block n of a GRU. dh and dc are the whole ∂L/∂h_t
    and ∂L/∂c_t; down and down_c, at t, what step t+1 hands down to step t.
    """

    run: Run
    da: np.ndarray
    before: np.ndarray
    dq: np.ndarray
    dh: np.ndarray
    dc: np.ndarray
    down: np.ndarray
    down_c: np.ndarray
    #: whether Wh's block n was multiplied with r_t ⊙ h_{t−1}
    resets: bool

    def entering(self, later: int = 0) -> np.ndarray:
        """h_{t−1+later} at every t; r_t ⊙ h_{t−1} for the block n of a GRU that resets first."""
        run = self.run
        steps = np.arange(run.T + 1) - 1 + later
        h = run.h[np.minimum(steps, run.T)]  # h[−1] is h_T, as it is for who forgets to look
        blocks = [h] * run.blocks
        if self.resets:
            blocks[2] = run.r * h
        return np.stack(blocks, axis=1)


def signals_of(run: Run, mistakes: Iterable[str] = (), pick: Pick | None = None) -> Signals:
    """Go back through the run; with the mistakes, if any are named."""
    pick = Pick(mistakes) if pick is None else pick
    read = pick(run, **_misread(run))
    empty = np.zeros((run.T + 1, run.B, run.H))
    wide = np.zeros((run.T + 1, run.B, run.blocks * run.H))
    made = {"da": wide, "dq": wide.copy(), "before": wide.copy()}
    made |= {name: empty.copy() for name in ("dh", "dc", "down", "down_c")}
    loop = pick(
        range(run.T, 0, -1),
        loop_forwards=range(1, run.T + 1),
        loop_without_1=range(run.T, 1, -1),
        loop_without_T=range(run.T - 1, 0, -1),
    )
    down, down_c = empty[0], empty[0]
    for t in loop:
        dh = _arriving(run, pick, t, down)
        step = _ordered(run, pick, STEPS[run.kind](read, pick, t, dh, down_c))
        below = step.pop("below")
        down = pick(below, carry_added_up=down + below)
        below_c = step.pop("below_c", down_c)
        down_c = pick(below_c, carry_c_added_up=down_c + below_c) if run.kind == "LSTM" else down_c
        made["down"][t - 1], made["down_c"][t - 1] = down, down_c
        for name, value in ({"dh": dh} | step).items():
            made[name][t] = value
    made["down"][0], made["down_c"][0] = down, down_c  # whatever the loop had in hand at its end
    resets = run.kind == "GRU" and not run.reset_after
    if resets:
        resets = pick(True, reset_forgotten=False, reset_forgotten_in_dWh=False)
    elif run.kind == "GRU":
        resets = pick(False, other_reset=True)
    return Signals(run, resets=resets, **made)


def _misread(run: Run) -> dict[str, Callable[[], Run]]:
    """The run with its gates confused: two by each other, or all of another step."""

    def swapped(a: str, b: str) -> Run:
        other = run.copy()
        setattr(other, a, getattr(run, b))
        setattr(other, b, getattr(run, a))
        return other

    def moved(by: int) -> Run:
        other = run.copy()
        for gate in run.gates:
            setattr(other, gate, np.roll(getattr(run, gate), by, axis=0))
        return other

    confused: dict[str, Callable[[], Run]] = {
        f"gates_confused:{a}{b}": partial(swapped, a, b) for a, b in combinations(run.gates, 2)
    }
    if run.gates:
        confused["gates_of_step_before"] = partial(moved, 1)
        confused["gates_of_step_after"] = partial(moved, -1)
    return confused


def _arriving(run: Run, pick: Pick, t: int, down: np.ndarray) -> np.ndarray:
    """δh_t = ∂L_t/∂h_t + what step t+1 hands down."""
    own, none = run.dh[t], np.zeros_like(down)
    own = pick(
        own,
        loss_at_the_end_only=own if t == run.T else none,
        loss_of_the_step_before=run.dh[t - 1],
        loss_of_the_step_after=run.dh[t + 1] if t < run.T else none,
        loss_counted_twice=2 * own,
        loss_not_added=none,
    )
    down = pick(down, carry_not_used=none, carry_counted_twice=2 * down, carry_subtracted=-down)
    return np.asarray(own + down)


def _ordered(run: Run, pick: Pick, step: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The step with the gates' blocks in another order than the weights have them: what it hands
    down then went through the wrong rows of Wh."""

    def turned(order: str, everywhere: bool) -> dict[str, np.ndarray]:
        da, dq = (reordered(step[name], run.gates, order) for name in ("da", "dq"))
        below = {"below": step["below"] + (dq - step["dq"]) @ run.Wh}
        return step | below | ({"da": da, "dq": dq} if everywhere else {})

    orders = [order for order in map("".join, permutations(run.gates)) if order != run.gates]
    wrong = {f"blocks_ordered_{order}": partial(turned, order, True) for order in orders}
    wrong |= {f"weights_ordered_{order}": partial(turned, order, False) for order in orders}
    chosen: dict[str, np.ndarray] = pick(step, **wrong)
    return chosen


def reordered(rows: np.ndarray, gates: str, order: str, axis: int = -1) -> np.ndarray:
    """The blocks of ``gates`` put down in another order."""
    blocks = dict(zip(gates, np.split(rows, len(gates), axis=axis), strict=True))
    return np.concatenate([blocks[g] for g in order], axis=axis)
