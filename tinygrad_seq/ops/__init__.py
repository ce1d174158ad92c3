"""Differentiable functions on arrays: forward and derivative side by side."""

from tinygrad_seq.ops.activations import relu, sigmoid, tanh
from tinygrad_seq.ops.arithmetic import abs, add, div, mul, neg, pow, sign, sub
from tinygrad_seq.ops.casting import astype, full_like, identity, to_device
from tinygrad_seq.ops.comparison import (
    bitwise_and,
    bitwise_or,
    bitwise_xor,
    equal,
    greater,
    greater_equal,
    invert,
    less,
    less_equal,
    not_equal,
)
from tinygrad_seq.ops.exponential import exp, log, sqrt, square
from tinygrad_seq.ops.indexing import getitem, scatter, where
from tinygrad_seq.ops.linalg import matmul
from tinygrad_seq.ops.lstm import lstm
from tinygrad_seq.ops.primitive import Primitive, primitive, registry
from tinygrad_seq.ops.reductions import all, any, argmax, argmin, max, mean, min, sum
from tinygrad_seq.ops.rnn import rnn
from tinygrad_seq.ops.shaping import (
    broadcast_to,
    concatenate,
    reshape,
    squeeze,
    stack,
    swapaxes,
    transpose,
)
from tinygrad_seq.ops.softmax import log_softmax, softmax

__all__ = [n for n in dir() if not n.startswith("_")]
