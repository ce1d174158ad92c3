"""Keys and values that attention has seen, kept for the steps to come."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_seq import ops
from tinygrad_seq.autograd import Tensor, tensor
from tinygrad_seq.errors import OutOfRangeError, expect


class KVCache:
    """The projected keys and values of one attention layer, (B, H, S, D) each.

    ``attention(x, x, x, is_causal=True, cache=cache)`` then takes only the new steps x, looks at
    all steps so far, and gives what the whole sequence would have given for those steps.

    fixed: keep what the first call put in, and use it in all later ones, whatever their key and
    value: for a decoder that looks at the same memory again and again.
    """

    def __init__(self, fixed: bool = False):
        self.fixed = fixed
        self.keys: Tensor | None = None
        self.values: Tensor | None = None

    @property
    def length(self) -> int:
        """The number of steps it holds."""
        return 0 if self.keys is None else self.keys.shape[2]

    def extend(self, keys: Any, values: Any) -> tuple[Any, Any]:
        """Add steps at the end. → all keys and all values."""
        if self.keys is not None and self.values is not None:
            held, new = self.keys.shape, keys.shape
            ok = (*held[:2], *held[3:]) == (*new[:2], *new[3:])
            expect(ok, "KVCache", f"keys of shape ({held[0]}, {held[1]}, S, {held[3]})", new)
            keys = ops.concatenate([self.keys, keys], axis=2)
            values = ops.concatenate([self.values, values], axis=2)
        self.keys, self.values = keys, values
        return keys, values

    def select(self, rows: Any) -> None:
        """Let row i of the batch be what row ``rows[i]`` is: what beam search does to its beams."""
        if self.keys is None or self.values is None:
            return
        host = np.asarray(rows.numpy() if isinstance(rows, Tensor) else rows)
        ok = host.dtype.kind in "iu" and host.ndim == 1
        expect(ok, "KVCache", "rows to be integers along one axis", f"{host.dtype}{host.shape}")
        batch = self.keys.shape[0]
        for row in (int(host.min()), int(host.max())) if host.size else ():
            expect(0 <= row < batch, "KVCache", f"rows below {batch}", row, OutOfRangeError)
        places = tensor(host, device=self.keys.device)
        self.keys, self.values = self.keys[places], self.values[places]

    def crop(self, length: int) -> None:
        """Forget all but the first ``length`` steps."""
        ok = 0 <= length <= self.length
        expect(ok, "KVCache", f"a length of at most {self.length}", length, OutOfRangeError)
        if self.keys is not None and self.values is not None:
            self.keys, self.values = self.keys[:, :, :length], self.values[:, :, :length]

    def __repr__(self) -> str:
        return f"KVCache({self.length} steps{', fixed' if self.fixed else ''})"
