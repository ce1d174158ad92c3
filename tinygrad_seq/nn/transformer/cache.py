"""What a Transformer remembers between the steps of decoding."""

from __future__ import annotations

from typing import Any, NamedTuple

from tinygrad_seq.nn.attention.cache import KVCache
from tinygrad_seq.nn.linear import check_size


class LayerCache(NamedTuple):
    """One layer's: of the steps so far, and, in a decoder, of the memory it looks at."""

    own: KVCache
    memory: KVCache


class TransformerCache:
    """The keys and values of all layers of an encoder or a decoder, for decoding step by step.

    ``stack(x, …, cache=cache)`` takes only the new steps x and gives what the whole sequence would
    have given for them, if every step sees only those before it. The memory of a decoder is
    projected in the first call and kept.
    """

    def __init__(self, num_layers: int):
        check_size("TransformerCache", "num_layers", num_layers)
        self.layers = [LayerCache(KVCache(), KVCache(fixed=True)) for _ in range(num_layers)]

    @property
    def length(self) -> int:
        """The number of steps it holds."""
        return self.layers[0].own.length

    def select(self, rows: Any) -> None:
        """Let row i of the batch be what row ``rows[i]`` is, in every layer."""
        for layer in self.layers:
            for part in layer:
                part.select(rows)

    def crop(self, length: int) -> None:
        """Forget all but the first ``length`` steps."""
        for layer in self.layers:
            layer.own.crop(length)

    def __repr__(self) -> str:
        return f"TransformerCache({len(self.layers)} layers, {self.length} steps)"
