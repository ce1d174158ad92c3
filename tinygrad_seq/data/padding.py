"""Sequences of different lengths side by side: padding, masks, and batches of like lengths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_seq.backend import Generator
from tinygrad_seq.errors import ArgumentError, ShapeError, expect


class Padded(NamedTuple):
    """Sequences side by side: ``data`` (T, B, …), and each one's length in ``lengths`` (B,)."""

    data: np.ndarray
    lengths: np.ndarray


def pad(sequences: Sequence[Any], value: Any = 0) -> Padded:
    """Sequences (T_b, …) as one time-major batch (T, B, …), T the longest, filled with ``value``.

    The order stays; the dtype is the one that holds them all. Raises ArgumentError if there are
    none or ``value`` is not of that dtype, ShapeError if they differ in more than their length.

    >>> pad([np.array([1, 2, 3]), np.array([4])]).data.T
    array([[1, 2, 3],
           [4, 0, 0]])
    """
    arrays = [np.asarray(sequence) for sequence in sequences]
    expect(arrays, "pad", "one sequence or more", "none", ArgumentError)
    for i, array in enumerate(arrays):
        expect(array.ndim >= 1, "pad", "sequences of shape (T, …)", f"{array.shape} at {i}")
        same = array.shape[1:] == arrays[0].shape[1:]
        wanted = f"sequences of shape (T, {str(arrays[0].shape[1:])[1:]}"
        expect(same, "pad", wanted, f"{array.shape} at {i}", ShapeError)
    lengths = np.array([len(array) for array in arrays], np.int64)
    shape = (int(lengths.max()), len(arrays), *arrays[0].shape[1:])
    dtype = np.result_type(*arrays)
    expect(_fits(value, dtype), "pad", f"a value of {dtype}", repr(value), ArgumentError)
    data = np.full(shape, value, dtype)
    for b, array in enumerate(arrays):
        data[: len(array), b] = array
    return Padded(data, lengths)


def _fits(value: Any, dtype: np.dtype[Any]) -> bool:
    given = np.asarray(value)
    if given.ndim or given.dtype.kind not in "biufc":
        return False
    if dtype.kind in "fc":
        return np.can_cast(given.dtype, dtype, "same_kind")
    with np.errstate(invalid="ignore"):
        return bool(given.astype(dtype) == given)


def step_mask(lengths: Any, steps: int | None = None) -> np.ndarray:
    """True (T, B) at the steps that take part, False at padding; T is ``steps`` or the longest.

    A loss averages over the True ones; ``~step_mask(lengths).T`` is a ``key_padding_mask``. Raises
    ShapeError unless lengths are (B,), ArgumentError for one below 0 or above ``steps``.

    >>> step_mask([3, 1]).T.astype(int)
    array([[1, 1, 1],
           [1, 0, 0]])
    """
    lengths = np.asarray(lengths)
    expect(lengths.ndim == 1, "step_mask", "lengths of shape (B,)", lengths.shape)
    longest = int(lengths.max(initial=0))
    steps = longest if steps is None else steps
    ok = longest <= steps and lengths.min(initial=0) >= 0
    expect(ok, "step_mask", f"lengths from 0 to {steps}", lengths.tolist(), ArgumentError)
    return np.arange(steps)[:, np.newaxis] < lengths


def bucketed(
    lengths: Sequence[int] | np.ndarray,
    batch: int,
    generator: Generator | None = None,
    pool: int = 8,
) -> list[np.ndarray]:
    """Indices of sequences in batches of up to ``batch`` of like lengths, each sequence once.

    With a ``generator``: the sequences are shuffled, every ``pool`` batches' worth of them is
    sorted by length and cut, and the batches are shuffled. A larger pool pads less and mixes less;
    pool = 1 does not sort. Without one: all are sorted, longest first, the same every time.
    At most one batch is smaller, the others are full. Raises ArgumentError for a batch or pool
    below 1.
    """
    for name, value in (("batch", batch), ("pool", pool)):
        expect(value >= 1, "bucketed", f"{name} ≥ 1", value, ArgumentError)
    size = np.asarray(lengths)
    if generator is None:
        return _cut(np.argsort(-size, kind="stable"), batch)
    order = generator.permutation(len(size))
    if pool > 1:
        order = np.concatenate([i[np.argsort(-size[i], kind="stable")]
                                for i in _cut(order, pool * batch)] or [order])  # fmt: skip
    batches = _cut(order, batch)
    return [batches[i] for i in generator.permutation(len(batches))]


def _cut(order: np.ndarray, size: int) -> list[np.ndarray]:
    return [order[i : i + size] for i in range(0, len(order), size)]
