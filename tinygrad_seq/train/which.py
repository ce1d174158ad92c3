"""Which of a Transformer's attention maps to look at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinygrad_seq.errors import OutOfRangeError, expect


@dataclass(frozen=True)
class Which:
    """A layer and a head, counted from 1; None: the mean over all of them."""

    layer: int | None = None
    head: int | None = None

    def of(self, maps: np.ndarray) -> np.ndarray:
        """maps (layers, heads, L, S) → (L, S). Raises OutOfRangeError for what is not there."""
        chosen = []
        for name, number, count in zip(
            ("layer", "head"), (self.layer, self.head), maps.shape, strict=False
        ):
            ok = number is None or 1 <= number <= count
            expect(ok, "attend", f"a {name} from 1 to {count}", number, OutOfRangeError)
            chosen.append(slice(None) if number is None else slice(number - 1, number))
        return np.asarray(maps[chosen[0], chosen[1]].mean(axis=(0, 1)))


#: the mean over all layers and heads
MEAN = Which()
