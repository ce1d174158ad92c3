"""The Transformer: layers, stacks of layers, and the two stacks together."""

from tinygrad_seq.nn.transformer.cache import LayerCache, TransformerCache
from tinygrad_seq.nn.transformer.layers import TransformerDecoderLayer, TransformerEncoderLayer
from tinygrad_seq.nn.transformer.model import Transformer
from tinygrad_seq.nn.transformer.stacks import TransformerDecoder, TransformerEncoder

__all__ = [
    "LayerCache",
    "Transformer",
    "TransformerCache",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
]
