"""Packed batches: sequences of several lengths without padding, with PyTorch's names and layout.

Packed, the steps of all sequences stand in one array, time first: step 0 of every sequence, then
step 1 of those that have one, and so on, the longest sequence first. All that a batch needs beside
its data is known on the host. Packing takes real steps and padding puts them back, each with one
op: whatever padding holds, NaN included, reaches no result, and its gradient is exactly 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_seq import ops
from tinygrad_seq.autograd import Tensor
from tinygrad_seq.autograd.tensor import as_tensor
from tinygrad_seq.backend import Device
from tinygrad_seq.errors import ArgumentError, expect
from tinygrad_seq.nn.lengths import check_lengths, host_integers


class _Fields(NamedTuple):
    data: Tensor
    batch_sizes: np.ndarray
    sorted_indices: np.ndarray | None
    unsorted_indices: np.ndarray | None


class PackedSequence(_Fields):
    """Sequences of several lengths as one array without padding.

    * data (N, …): all N real steps, time first, the longest sequence first;
    * batch_sizes (T,): how many sequences have a step t, never growing; its sum is N;
    * sorted_indices (B,): which sequence of the batch stands at each place of that order, or None
      if the batch was in it; unsorted_indices: the other way round, found if not given.

    These three are int64 arrays on the host, wherever the data are. A field of the wrong shape
    raises ShapeError; batch sizes that grow, or indices that are no permutation, ArgumentError.
    """

    __slots__ = ()

    def __new__(
        cls,
        data: Tensor,
        batch_sizes: Any,
        sorted_indices: Any = None,
        unsorted_indices: Any = None,
    ) -> PackedSequence:
        """Check the fields, and complete them."""
        op = "PackedSequence"
        data, sizes = as_tensor(data), host_integers(op, "batch_sizes", batch_sizes)
        ok = sizes.size and sizes[-1] > 0 and (np.diff(sizes) <= 0).all()
        expect(ok, op, "batch_sizes ≥ 1 that never grow", sizes.tolist(), ArgumentError)
        expect(data.shape[:1] == (sizes.sum(),), op, f"data of {sizes.sum()} steps", data.shape)
        order = _permutation(op, "sorted_indices", sorted_indices, sizes[0])
        back = _permutation(op, "unsorted_indices", unsorted_indices, sizes[0])
        order = _inverse(back) if order is None else order
        back = _inverse(order) if back is None else back
        ok = order is None or back is None or (order[back] == np.arange(sizes[0])).all()
        expect(ok, op, "unsorted_indices that undo sorted_indices", back, ArgumentError)
        return super().__new__(cls, data, sizes, order, back)

    @property
    def lengths(self) -> np.ndarray:
        """(B,) the length of each sequence, in the order of the batch."""
        place = np.arange(self.batch_sizes[0])
        lengths = (self.batch_sizes[:, None] > place).sum(0)
        return lengths if self.unsorted_indices is None else lengths[self.unsorted_indices]

    @property
    def device(self) -> Device:
        """Where the data are."""
        return self.data.device

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the data's elements."""
        return self.data.dtype

    def to(self, device: str | Device | None = None, dtype: Any = None) -> PackedSequence:
        """With the data on another device, in another dtype, or both; itself if they are so."""
        data = self.data.to(device, dtype)
        return self if data is self.data else PackedSequence(data, *self[1:])

    def repack(self, padded: Tensor) -> PackedSequence:
        """The real steps of another batch (T, B, …) of the same lengths, packed as these are."""
        steps, batch = len(self.batch_sizes), int(self.batch_sizes[0])
        ok = padded.shape[:2] == (steps, batch)
        expect(ok, "repack", f"a batch of shape ({steps}, {batch}, …)", padded.shape)
        places = _places(*_steps(self.batch_sizes, self.sorted_indices), steps, batch)
        return PackedSequence(ops.take_distinct(padded, places, 2), *self[1:])


def _permutation(op: str, name: str, value: Any, size: int) -> np.ndarray | None:
    if value is None:
        return None
    found = host_integers(op, name, value)
    ok = np.array_equal(np.sort(found), np.arange(size))
    expect(ok, op, f"{name} to be a permutation of 0 … {size - 1}", found.tolist(), ArgumentError)
    return found


def _inverse(permutation: np.ndarray | None) -> np.ndarray | None:
    return None if permutation is None else np.argsort(permutation)


def _steps(sizes: np.ndarray, order: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Which step (N,) of which sequence (N,) each packed step is."""
    t = np.repeat(np.arange(len(sizes)), sizes)
    place = np.arange(len(t)) - (np.cumsum(sizes) - sizes)[t]
    return t, place if order is None else order[place]


def _places(
    t: np.ndarray, row: np.ndarray, steps: int, batch: int, batch_first: bool = False
) -> np.ndarray:
    """Where step t of a row stands in a padded batch, counted as ``take_distinct`` does."""
    return row * steps + t if batch_first else t * batch + row


def pack_padded_sequence(
    input: Tensor, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """The real steps of a padded batch.

    input: (T, B, …), or (B, T, …) if ``batch_first``. lengths: B whole numbers in 1 … T, a list,
    array or Tensor. Unless ``enforce_sorted`` is False they must not grow along the batch, else
    ArgumentError; if it is, the batch may be in any order, and comes out of
    ``pad_packed_sequence`` in the order that it had. Steps after the longest length are dropped.
    """
    op, x = "pack_padded_sequence", as_tensor(input)
    layout = "(B, T, …)" if batch_first else "(T, B, …)"
    expect(x.ndim >= 2, op, f"a batch of shape {layout}", x.shape)
    batch, steps = x.shape[:2] if batch_first else x.shape[1::-1]
    expect(batch > 0, op, "at least one sequence", x.shape)
    lengths = check_lengths(op, lengths, steps, batch)
    order = _order(op, lengths, enforce_sorted)
    sizes = _batch_sizes(lengths)
    places = _places(*_steps(sizes, order), steps, batch, batch_first)
    return PackedSequence(ops.take_distinct(x, places, 2), sizes, order)


def _order(op: str, lengths: np.ndarray, enforce_sorted: bool) -> np.ndarray | None:
    """The sequences from the longest to the shortest; None for as they are."""
    if not enforce_sorted:
        return np.argsort(-lengths, kind="stable")
    ok = (np.diff(lengths) <= 0).all()
    wanted = "lengths from the longest to the shortest, or enforce_sorted=False"
    expect(ok, op, wanted, lengths.tolist(), ArgumentError)
    return None


def _batch_sizes(lengths: np.ndarray) -> np.ndarray:
    """How many sequences have a step t, for each t."""
    sizes: np.ndarray = (lengths > np.arange(lengths.max())[:, None]).sum(1)
    return sizes


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Tensor, np.ndarray]:
    """→ the padded batch (T, B, …), or (B, T, …) if ``batch_first``, and its lengths (B,) on the
    host: ``pack_padded_sequence`` turned round.

    T is the longest length, or ``total_length``, which must not be shorter (ArgumentError).
    """
    op = "pad_packed_sequence"
    ok = isinstance(sequence, PackedSequence)
    expect(ok, op, "a PackedSequence", type(sequence).__name__, ArgumentError)
    steps, batch = len(sequence.batch_sizes), int(sequence.batch_sizes[0])
    if total_length is not None:
        expect(total_length >= steps, op, f"total_length ≥ {steps}", total_length, ArgumentError)
        steps = total_length
    shape = (batch, steps) if batch_first else (steps, batch)
    t, row = _steps(sequence.batch_sizes, sequence.sorted_indices)
    places = _places(t, row, steps, batch, batch_first)
    return ops.put_distinct(sequence.data, places, shape, padding_value), sequence.lengths


def _joined(op: str, sequences: Sequence[Tensor]) -> tuple[Tensor, np.ndarray]:
    """All steps of a list of sequences (length, …) one after the other, and the lengths."""
    expect(len(sequences), op, "at least one sequence", "none")
    tensors = [as_tensor(s) for s in sequences]
    shapes = [t.shape for t in tensors]
    ok = all(shapes) and len({shape[1:] for shape in shapes}) == 1
    expect(ok, op, "sequences (length, …) alike but for their lengths", shapes)
    return ops.concatenate(tensors), np.array([shape[0] for shape in shapes])


def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Pack a list of sequences (length, …), each at least one step long.

    enforce_sorted: as in ``pack_padded_sequence``.
    """
    op = "pack_sequence"
    steps, lengths = _joined(op, sequences)
    check_lengths(op, lengths, lengths.max(), len(lengths))
    order = _order(op, lengths, enforce_sorted)
    sizes = _batch_sizes(lengths)
    t, row = _steps(sizes, order)
    firsts = np.cumsum(lengths) - lengths
    return PackedSequence(ops.take_distinct(steps, firsts[row] + t), sizes, order)


def pad_sequence(
    sequences: Sequence[Tensor],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """One batch (T, B, …), or (B, T, …) if ``batch_first``, of a list of sequences (length, …).

    T is the longest length. padding_side: "right" pads at the end of sequences, "left" before
    their start.
    """
    op = "pad_sequence"
    known = padding_side in ("right", "left")
    expect(known, op, "padding_side 'right' or 'left'", repr(padding_side), ArgumentError)
    steps, lengths = _joined(op, sequences)
    longest, batch = int(lengths.max()), len(lengths)
    row = np.repeat(np.arange(batch), lengths)
    t = np.arange(lengths.sum()) - (np.cumsum(lengths) - lengths)[row]
    if padding_side == "left":
        t = t + (longest - lengths)[row]
    places = _places(t, row, longest, batch, batch_first)
    shape = (batch, longest) if batch_first else (longest, batch)
    padded: Tensor = ops.put_distinct(steps, places, shape, padding_value)
    return padded


def unpad_sequence(
    padded_sequences: Tensor, lengths: Any, batch_first: bool = False
) -> list[Tensor]:
    """The sequences of a padded batch (T, B, …), or (B, T, …) if ``batch_first``, as a list.

    lengths: B whole numbers in 0 … T. Each sequence (length, …) is a view of the batch.
    """
    op, x = "unpad_sequence", as_tensor(padded_sequences)
    expect(x.ndim >= 2, op, "a batch (T, B, …)", x.shape)
    batch, steps = x.shape[:2] if batch_first else x.shape[1::-1]
    lengths = check_lengths(op, lengths, steps, batch, least=0).tolist()
    if batch_first:
        return [x[b, :n] for b, n in enumerate(lengths)]
    return [x[:n, b] for b, n in enumerate(lengths)]


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The sequences of a packed batch as a list, in the order that the batch had."""
    padded, lengths = pad_packed_sequence(packed_sequences)
    return unpad_sequence(padded, lengths)
