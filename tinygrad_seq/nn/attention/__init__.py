"""Attention layers: where to look among keys, and what is found there.

``MultiheadAttention`` is the Transformer's; ``AdditiveAttention`` and ``LuongAttention`` are those
of recurrent encoder–decoders. In the masks of all, True is left out. ``watch_attention`` shows the
weights of all layers of a model.
"""

from tinygrad_seq.nn.attention.alignment import AdditiveAttention, LuongAttention
from tinygrad_seq.nn.attention.cache import KVCache
from tinygrad_seq.nn.attention.multihead import MultiheadAttention
from tinygrad_seq.nn.attention.watch import Watchable, open_attention, watch_attention

__all__ = [
    "AdditiveAttention",
    "KVCache",
    "LuongAttention",
    "MultiheadAttention",
    "Watchable",
    "open_attention",
    "watch_attention",
]
