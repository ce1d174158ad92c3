"""Sequences of several lengths in one padded batch: what of it is real.

Everywhere x is (T, B, …), time first; row b holds ``lengths[b]`` real steps, then padding. Lengths
live on the host as int64 arrays: they decide shapes and loops, and no gradient reaches them.

How a recurrent net runs such a batch: what it computes at a real step depends on no later one. So
it runs over the blanked batch as if all of it were real; what it gave at padding is blanked, and
the last states are taken at each row's own last step. Backwards in time, it runs over the batch
with each row reversed for itself.
"""

from __future__ import annotations

from operator import index
from typing import Any

import numpy as np

from tinygrad_seq import ops
from tinygrad_seq.autograd import Tensor, tensor
from tinygrad_seq.backend import Device, is_array, to_host
from tinygrad_seq.errors import DTypeError, OutOfRangeError, expect


def host_integers(op: str, name: str, value: Any) -> np.ndarray:
    """A list, array or Tensor of whole numbers as a new int64 array on the host."""
    raw = value.data if isinstance(value, Tensor) else value
    try:
        host = to_host(raw) if is_array(raw) else np.asarray([index(i) for i in raw])
    except TypeError:  # not even a list, or of what is no whole number
        host = np.asarray(raw, object)
    got = host.dtype if is_array(raw) else repr(value)
    ok = host.dtype.kind in "iu" or not host.size
    expect(ok, op, f"{name} to be whole numbers", got, DTypeError)
    expect(host.ndim == 1, op, f"{name} along one axis", f"shape {host.shape}")
    return host.astype(np.int64)


def check_lengths(op: str, lengths: Any, steps: int, batch: int, least: int = 1) -> np.ndarray:
    """``lengths``, a list, array or Tensor, as an int64 array (batch,) on the host.

    ShapeError unless there is one for each sequence, DTypeError unless they are whole numbers,
    OutOfRangeError unless all are in ``least`` … ``steps``.
    """
    host = host_integers(op, "lengths", lengths)
    expect(host.shape == (batch,), op, f"lengths for {batch} sequences", f"{host.size} lengths")
    for n in (int(host.min()), int(host.max())) if batch else ():
        expect(least <= n <= steps, op, f"lengths in {least} … {steps}", n, OutOfRangeError)
    return host


def mask_of(lengths: np.ndarray, steps: int, device: str | Device | None = None) -> Tensor:
    """(steps, B, 1), true where padding is: mask[t, b] = (t ≥ lengths[b]). On the CPU if no
    ``device`` is named."""
    padding = np.arange(steps)[:, None] >= lengths
    return tensor(padding[..., None], device=device)


def blank(x: Tensor, mask: Tensor) -> Tensor:
    """x (T, B, F) with 0 at padding; what stood there, NaN included, and its gradient are gone."""
    blanked: Tensor = ops.masked_fill(x, mask, 0)
    return blanked


def last(x: Tensor, lengths: np.ndarray) -> Tensor:
    """(T, B, F) → (B, F), what each row holds at its last real step: out[b] = x[lengths[b] − 1, b].

    Everything else gets a gradient of exactly 0.
    """
    batch = x.shape[1]
    places = (lengths - 1) * batch + np.arange(batch)
    taken: Tensor = ops.take_distinct(x, places, 2)
    return taken


def reverse_padded(x: Tensor, lengths: np.ndarray) -> Tensor:
    """The real steps of each row in reverse order, padding left where it is; its own inverse.

    x (T, B, …): out[t, b] = x[lengths[b] − 1 − t, b] for t < lengths[b], else x[t, b].
    """
    steps, batch = x.shape[:2]
    t = np.arange(steps)[:, None]
    source = np.where(t < lengths, lengths - 1 - t, t)
    reversed_: Tensor = ops.take_distinct(x, source * batch + np.arange(batch), 2)
    return reversed_
