"""Layers, initialisers and clipping, with PyTorch's names, arguments and defaults."""

from tinygrad_seq.nn import init
from tinygrad_seq.nn.activations import (
    ELU,
    GELU,
    LeakyReLU,
    LogSoftmax,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Softsign,
    Tanh,
)
from tinygrad_seq.nn.attention import (
    AdditiveAttention,
    KVCache,
    LuongAttention,
    MultiheadAttention,
    watch_attention,
)
from tinygrad_seq.nn.cells import GRUCell, LSTMCell, RNNCell
from tinygrad_seq.nn.clip import (
    adaptive_clip_grad_,
    clip_each_grad_norm_,
    clip_grad_norm_,
    clip_grad_value_,
    clip_grads_with_norm_,
    get_total_norm,
)
from tinygrad_seq.nn.containers import ModuleDict, ModuleList, Sequential
from tinygrad_seq.nn.dropout import Dropout
from tinygrad_seq.nn.embedding import Embedding
from tinygrad_seq.nn.linear import Linear
from tinygrad_seq.nn.losses import (
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    CTCLoss,
    KLDivLoss,
    MSELoss,
    NLLLoss,
)
from tinygrad_seq.nn.module import Module
from tinygrad_seq.nn.normalization import LayerNorm, RMSNorm
from tinygrad_seq.nn.packing import (
    PackedSequence,
    pack_padded_sequence,
    pack_sequence,
    pad_packed_sequence,
    pad_sequence,
    unpack_sequence,
    unpad_sequence,
)
from tinygrad_seq.nn.parameter import Parameter
from tinygrad_seq.nn.positions import (
    AlibiBias,
    LearnedPositions,
    RotaryPositions,
    SinusoidalPositions,
)
from tinygrad_seq.nn.recurrent import GRU, LSTM, RNN
from tinygrad_seq.nn.transformer import (
    LayerCache,
    Transformer,
    TransformerCache,
    TransformerDecoder,
    TransformerDecoderLayer,
    TransformerEncoder,
    TransformerEncoderLayer,
)

__all__ = [n for n in dir() if not n.startswith("_")]
