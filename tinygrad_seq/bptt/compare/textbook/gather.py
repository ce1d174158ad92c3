"""From the signals of every step to the gradients, and the ways to gather them wrongly."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

import numpy as np

from tinygrad_seq.bptt.compare.textbook.walk import Signals, reordered

#: what is summed over the steps and the rows of the batch
SUMS = ("db", "dbhn", "dWx", "dWh")


def gathered(signals: Signals, name: str) -> np.ndarray:
    """One gradient, rightly gathered."""
    run = signals.run
    if name in SUMS:
        return _summed(name, *_factors(signals, name))
    if name == "dx":
        return signals.da @ run.Wx
    return np.asarray({"dh0": signals.down[0], "dc0": signals.down_c[0], "da": signals.da,
                       "dh": signals.dh, "dc": signals.dc}[name])  # fmt: skip


def misgathered(signals: Signals, name: str) -> Iterator[tuple[str, np.ndarray]]:
    """(mistake, what the gradient then is) for every mistake there is in gathering it."""
    run, right = signals.run, gathered(signals, name)
    yield "left_at_zero", 0 * right
    yield "sign", -right
    yield "divided_by_batch", right / run.B
    yield "divided_by_steps", right / run.T
    yield "divided_by_both", right / (run.T * run.B)
    yield "counted_twice", 2 * right
    yield "halved", right / 2
    if name in SUMS:
        yield from _missummed(signals, name, right)
    elif name in ("dh0", "dc0"):
        yield from _misended(signals, name)
    else:
        yield from _mistimed(signals, name, right)
    if name in ("db", "dWx", "dWh", "da"):
        yield from _misplaced(right, run.gates, -1 if name == "da" else 0)


def _factors(signals: Signals, name: str, later: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """What is multiplied at each step and row, (T+1, B, G, H) and (T+1, B, G or 1, N), such that
    the gradient is the sum of the outer products. ``later``: the second factor's steps moved."""
    run = signals.run
    shape = (run.T + 1, run.B, run.blocks, run.H)
    if name == "dWh":
        return signals.dq.reshape(shape), signals.entering(later).swapaxes(1, 2)
    if name == "dbhn":
        return signals.dq.reshape(shape)[:, :, 2:], np.ones((run.T + 1, run.B, 1, 1))
    x = run.x if name == "dWx" else np.ones((run.T + 1, run.B, 1))
    x = np.roll(x, -later, axis=0)
    return signals.da.reshape(shape), x[:, :, None]


def _summed(name: str, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Σ over steps and rows of left ⊗ right, block by block."""
    right = np.broadcast_to(right, (*left.shape[:3], right.shape[3]))
    over = (0, 1)
    blocks = [
        np.tensordot(left[1:, :, k], right[1:, :, k], axes=(over, over))
        for k in range(left.shape[2])
    ]
    total = np.concatenate(blocks)
    return total.reshape(-1) if name in ("db", "dbhn") else total


def _missummed(signals: Signals, name: str, total: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    run = signals.run
    left, right = _factors(signals, name)

    def part(steps: slice, rows: slice) -> np.ndarray:
        kept = np.zeros_like(left)
        kept[steps, rows] = left[steps, rows]
        return _summed(name, kept, right)

    every = slice(None)
    yield "overwritten", part(slice(1, 2), every)
    yield "first_step_only", part(slice(run.T, None), every)
    yield "without_step_1", part(slice(2, None), every)
    yield "without_step_T", part(slice(1, run.T), every)
    yield "last_row_only", part(every, slice(run.B - 1, None))
    yield "first_row_only", part(every, slice(0, 1))
    yield "without_last_row", part(every, slice(0, run.B - 1))
    yield "overwritten_last_row", part(slice(1, 2), slice(run.B - 1, None))
    before = signals.before.reshape(*signals.before.shape[:2], run.blocks, run.H)
    if name == "dbhn":
        before = before[:, :, 2:]
    yield "before_slope", _summed(name, before, right)
    if name == "dbhn":
        yield "without_reset", signals.da[..., 2 * run.H :].sum(axis=(0, 1))
    if name == "db" and len(total) == run.B:
        yield "wrong_axis", signals.da.sum(axis=(0, 2))
    if total.ndim == 1:
        yield "summed_over_everything", np.full_like(total, total.sum())
        return
    if name == "dWh" and run.kind == "GRU" and run.reset_after:
        yield "without_reset", _summed(name, signals.da.reshape(left.shape), right)
    yield "input_of_next_step", _summed(name, *_factors(signals, name, 1))
    yield "input_of_step_before", _summed(name, *_factors(signals, name, -1))
    rows = [v.sum(1, keepdims=True) for v in (left, right)]
    yield "batch_summed_before_product", _summed(name, *rows)
    alls = [v[1:].sum((0, 1), keepdims=True) for v in (left, right)]
    alls = [np.concatenate([0 * v, v]) for v in alls]
    yield "all_summed_before_product", _summed(name, *alls)
    if name == "dWh" and run.D == run.H:
        yield "x_instead_of_h", _summed(name, left, run.x[:, :, None])
    if name == "dWx" and run.D == run.H:
        yield "h_instead_of_x", _summed(name, left, run.h[:, :, None])
    if total.shape[1] == run.H:
        blocks = np.split(total, run.blocks)
        yield "transposed", np.concatenate([block.T for block in blocks])


def _misended(signals: Signals, name: str) -> Iterator[tuple[str, np.ndarray]]:
    """dh0 and dc0: what is returned is not what step 1 hands down."""
    run = signals.run
    total = signals.dh if name == "dh0" else signals.dc
    yield "not_through_step_1", total[1]
    yield "carried_into_step_1", (signals.down if name == "dh0" else signals.down_c)[1]
    yield "of_step_T", (signals.down if name == "dh0" else signals.down_c)[run.T - 1]
    if name == "dh0" and run.blocks == 1:
        yield "delta_of_step_1", signals.da[1]
    if name == "dc0":
        yield "dh_instead_of_dc", signals.down[0]
    elif run.kind == "LSTM":
        yield "dc_instead_of_dh", signals.down_c[0]


def _mistimed(signals: Signals, name: str, right: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """What has a row for each step: its rows in another order, or made from something else."""
    run = signals.run
    moved = np.zeros_like(right)
    moved[:-1] = right[1:]
    moved[0] = 0
    yield "a_step_too_early", moved
    moved = np.zeros_like(right)
    moved[2:] = right[1:-1]
    yield "a_step_too_late", moved
    turned = right.copy()
    turned[1:] = right[:0:-1]
    yield "in_order_of_the_loop", turned
    for shown, t in (("only_step_1", 1), ("only_step_T", run.T)):
        kept = np.zeros_like(right)
        kept[t] = right[t]
        yield shown, kept
    if name == "dh":
        down = signals.down.copy()
        yield "without_what_is_carried", right - down
        yield "without_own_loss", down
    if name != "dx":
        return
    blocks = np.split(signals.da, run.blocks, axis=-1)
    weights = np.split(run.Wx, run.blocks)
    parts = [d @ w for d, w in zip(blocks, weights, strict=True)]
    for gate, part in zip(run.gates, parts, strict=False):
        yield f"without_gate:{gate}", right - part
        yield f"gate_only:{gate}", part
    for order in map("".join, permutations(run.gates)):
        if order != run.gates:
            yield f"blocks_ordered_{order}", reordered(signals.da, run.gates, order) @ run.Wx
    if run.D == run.H:
        others = [d @ w.T for d, w in zip(blocks, weights, strict=True)]
        yield "weights_transposed", np.sum(others, axis=0)
        yield "through_Wh", signals.da @ run.Wh
    yield "before_slope", signals.before @ run.Wx
    if run.kind == "GRU" and run.reset_after:
        yield "reset_in_dx", signals.dq @ run.Wx


def _misplaced(right: np.ndarray, gates: str, axis: int) -> Iterator[tuple[str, np.ndarray]]:
    """The gates' blocks in another order, or one of them left out."""
    for order in map("".join, permutations(gates)):
        if order != gates:
            yield f"blocks_ordered_{order}", reordered(right, gates, order, axis)
    for gate in gates:
        blocks = dict(zip(gates, np.split(right, len(gates), axis), strict=True))
        for mistake, factor in (("block_at_zero", 0), ("block_sign", -1), ("block_twice", 2)):
            changed = blocks | {gate: factor * blocks[gate]}
            yield f"{mistake}:{gate}", np.concatenate(list(changed.values()), axis)


def shares(signals: Signals, name: str) -> np.ndarray:
    """What each step and row adds to a gradient that is a sum: (T+1, B, …)."""
    left, right = _factors(signals, name)
    products = left[..., :, None] * right[..., None, :]
    joined = products.reshape(*products.shape[:2], -1, products.shape[4])
    joined[0] = 0
    return joined[..., 0] if name in ("db", "dbhn") else joined
