"""Differentiable functions on arrays: forward and derivative side by side.

An op is declared in one place, with ``@primitive``; see ``primitive`` for how. Rounding functions
are left out on purpose: their derivative is zero almost everywhere, and a gradient that vanishes
without a word helps nobody. Round ``tensor.detach()``.
"""

from tinygrad_seq.ops.activations import (
    elu,
    leaky_relu,
    relu,
    sigmoid,
    silu,
    softplus,
    softsign,
    tanh,
)
from tinygrad_seq.ops.arithmetic import abs, add, div, mul, neg, pow, sign, sub
from tinygrad_seq.ops.attention import attention, scaled_dot_product_attention
from tinygrad_seq.ops.casting import astype, copy, full_like, identity, to_device
from tinygrad_seq.ops.choosing import clip, masked_fill, maximum, minimum, where
from tinygrad_seq.ops.classification import cross_entropy, nll_loss
from tinygrad_seq.ops.comparison import (
    bitwise_and,
    bitwise_or,
    bitwise_xor,
    equal,
    greater,
    greater_equal,
    invert,
    isfinite,
    isinf,
    isnan,
    less,
    less_equal,
    not_equal,
)
from tinygrad_seq.ops.ctc import ctc_loss
from tinygrad_seq.ops.cumulative import cumsum, prod
from tinygrad_seq.ops.distinct import put_distinct, take_distinct
from tinygrad_seq.ops.dropout import drop, dropout
from tinygrad_seq.ops.einsum import einsum
from tinygrad_seq.ops.embedding import add_rows, embedding
from tinygrad_seq.ops.exponential import exp, expm1, log, log1p, sqrt, square
from tinygrad_seq.ops.gelu import gelu
from tinygrad_seq.ops.gru import gru
from tinygrad_seq.ops.indexing import (
    array_getitem,
    basic_getitem,
    getitem,
    index_add,
    scatter,
    take_along_axis,
    tril,
    triu,
)
from tinygrad_seq.ops.kl_div import kl_div
from tinygrad_seq.ops.layer_norm import layer_norm
from tinygrad_seq.ops.linalg import linear, matmul, outer
from tinygrad_seq.ops.losses import binary_cross_entropy_with_logits, mse_loss
from tinygrad_seq.ops.lstm import lstm
from tinygrad_seq.ops.norms import logsumexp, norm
from tinygrad_seq.ops.primitive import Primitive, primitive, registry
from tinygrad_seq.ops.rearranging import flip, pad, repeat, roll, split, tile
from tinygrad_seq.ops.reductions import (
    all,
    any,
    argmax,
    argmin,
    max,
    mean,
    min,
    std,
    sum,
    var,
)
from tinygrad_seq.ops.rnn import rnn
from tinygrad_seq.ops.shaping import (
    broadcast_to,
    concatenate,
    expand_dims,
    reshape,
    squeeze,
    stack,
    swapaxes,
    transpose,
)
from tinygrad_seq.ops.softmax import log_softmax, softmax
from tinygrad_seq.ops.special import cos, erf, sin

# What a user calls. The machinery (Primitive, registry, Sample) is imported by its name.
__all__ = [
    "abs", "add", "all", "any", "argmax", "argmin", "astype", "attention",
    "binary_cross_entropy_with_logits", "bitwise_and", "bitwise_or", "bitwise_xor", "broadcast_to",
    "clip", "concatenate", "copy", "cos", "cross_entropy", "ctc_loss", "cumsum", "div", "dropout",
    "einsum", "elu", "embedding", "equal", "erf", "exp", "expand_dims", "expm1", "flip",
    "full_like", "gelu", "getitem", "greater", "greater_equal", "gru", "identity", "index_add",
    "invert", "isfinite", "isinf", "isnan", "kl_div", "layer_norm", "leaky_relu", "less",
    "less_equal", "linear", "log", "log1p", "log_softmax", "logsumexp", "lstm", "masked_fill",
    "matmul", "max", "maximum", "mean", "min", "minimum", "mse_loss", "mul", "neg", "nll_loss",
    "norm", "not_equal", "outer", "pad", "pow", "primitive", "prod", "put_distinct", "relu",
    "repeat", "reshape", "rnn", "roll", "scaled_dot_product_attention", "scatter", "sigmoid",
    "sign", "silu", "sin", "softmax", "softplus", "softsign", "split", "sqrt", "square", "squeeze",
    "stack", "std", "sub", "sum", "swapaxes", "take_along_axis", "take_distinct", "tanh", "tile",
    "to_device", "transpose", "tril", "triu", "var", "where",
]  # fmt: skip
