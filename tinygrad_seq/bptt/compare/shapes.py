"""Gradients of the wrong shape: what they are, if their numbers tell."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tinygrad_seq.bptt.compare.run import BY_STEP, difference
from tinygrad_seq.bptt.compare.textbook import Signals
from tinygrad_seq.bptt.compare.textbook.gather import SUMS, gathered, shares


def recognised(signals: Signals, name: str, array: np.ndarray) -> list[tuple[str, float]]:
    """(what it is, how far the numbers are from that), nearest first; only what has its shape."""
    found = [
        (mistake, difference(array, predicted))
        for mistake, predicted in _predicted(signals, name)
        if predicted.shape == array.shape
    ]
    return sorted(found, key=lambda pair: pair[1])


def _predicted(signals: Signals, name: str) -> Iterator[tuple[str, np.ndarray]]:
    right = gathered(signals, name)
    if name in SUMS:
        yield "shape_transposed", right.T
        each = shares(signals, name)  # (T+1, B, …)
        yield "shape_no_sum_over_batch", each.sum(axis=0)
        for rows in (each, each[1:]):
            yield "shape_no_sum_over_steps", rows.sum(axis=1)
            yield "shape_no_sum", rows
        if right.ndim == 1:
            yield "shape_summed_over_units", each.sum(axis=(0, 2))
            yield "shape_summed_over_all", np.asarray(right.sum())
    elif name in BY_STEP:
        for rows in (right, right[1:]):
            yield "shape_batch_first", rows.swapaxes(0, 1)
            yield "shape_summed_over_batch", rows.sum(axis=1)
        yield "shape_one_step", right[1]
    else:
        down = signals.down if name == "dh0" else signals.down_c
        yield "shape_summed_over_batch", right.sum(axis=0)
        yield "shape_transposed", right.T
        total = (signals.dh if name == "dh0" else signals.dc).copy()
        total[0] = right
        yield "shape_all_steps", total
        yield "shape_all_steps", down
        yield "shape_all_steps", down[:-1]
