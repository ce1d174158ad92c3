"""The layouts a sequence may come in: time or batch first, without a batch, padded, packed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_seq import ops
from tinygrad_seq.autograd import Tensor
from tinygrad_seq.errors import ArgumentError, expect
from tinygrad_seq.nn.lengths import blank, check_lengths, mask_of
from tinygrad_seq.nn.packing import PackedSequence, pad_packed_sequence


def shape_of(value: Any) -> Any:
    """The shape of a tensor or array; for anything else the name of what it is."""
    return getattr(value, "shape", type(value).__name__)


class Layout:
    """One sequence's way in, to ``x`` (T, B, I) and ``lengths``, and its results' way out.

    lengths: of the sequences in the batch, on the host, or None where all have T steps. What x
    holds at padding is 0, and steps that are padding in every sequence are left out till ``out``.
    """

    def __init__(self, op: str, x: Any, lengths: Any, width: int, batch_first: bool):
        self.op = op
        self.packed = x if isinstance(x, PackedSequence) else None
        if self.packed is not None:
            got = "both"
            expect(lengths is None, op, "lengths or a PackedSequence", got, ArgumentError)
            x, lengths = pad_packed_sequence(self.packed)
        self.batch_first = batch_first and self.packed is None
        layout = "(B, T, {0}) or (T, {0})" if self.batch_first else "(T, B, {0}) or (T, {0})"
        layout = layout if self.packed is None else "(T, B, {0})"
        shape, ranks = shape_of(x), (2, 3) if self.packed is None else (3,)
        ok = isinstance(shape, tuple) and len(shape) in ranks and shape[-1] == width
        expect(ok, op, f"x of shape {layout.format(width)}", shape)
        self.batched = x.ndim == 3
        if not self.batched:
            expect(lengths is None, op, "lengths only where x has a batch", shape)
            x = ops.reshape(x, (x.shape[0], 1, width))
        elif self.batch_first:
            x = ops.swapaxes(x, 0, 1)
        self.lengths: np.ndarray | None = None
        self.mask: Tensor | None = None
        self.steps = x.shape[0]
        if lengths is not None:
            self.lengths = check_lengths(op, lengths, *x.shape[:2])
            longest = int(self.lengths.max(initial=1))
            x = x[:longest] if longest < self.steps else x
            if self.lengths.min(initial=longest) < longest:
                self.mask = mask_of(self.lengths, longest, x.device)
        self.x: Tensor = self._blanked(x)

    def _blanked(self, x: Tensor) -> Tensor:
        return x if self.mask is None else blank(x, self.mask)

    def out(self, y: Tensor) -> Any:
        """y (T, B, ·) as the sequence came, 0 at padding."""
        if self.packed is not None:
            return self.packed.repack(y)
        y = self._blanked(y)
        if y.shape[0] < self.steps:
            y = ops.pad(y, ((0, self.steps - y.shape[0]), (0, 0), (0, 0)))
        if not self.batched:
            return ops.reshape(y, (y.shape[0], y.shape[2]))
        return ops.swapaxes(y, 0, 1) if self.batch_first else y

    def state_in(self, name: str, state: Any, count: int, width: int) -> Tensor:
        """A state the user gave, (count, B, width), or (count, width) where x has no batch."""
        inside = (count, self.x.shape[1], width)
        outside = inside if self.batched else (count, width)
        shape = shape_of(state)
        expect(shape == outside, self.op, f"{name} of shape {outside}", shape)
        given: Tensor = state if self.batched else ops.reshape(state, inside)
        return given

    def state_out(self, parts: Sequence[Tensor]) -> Tensor:
        """The last states (B, width) of all units in one tensor, shaped as ``state_in`` takes."""
        joined: Tensor = ops.stack(parts) if len(parts) > 1 else ops.expand_dims(parts[0], 0)
        if self.batched:
            return joined
        return ops.reshape(joined, (joined.shape[0], joined.shape[2]))
