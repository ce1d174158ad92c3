"""Initialisers: fill a tensor in place with numbers of a wanted spread, or a layer as a whole.

All of them draw on the host, from the default random stream or from ``generator``, so that one seed
gives the same weights on every device; and all return the tensor or the layer they filled.
"""

from tinygrad_seq.nn.init.distributions import (
    constant_,
    normal_,
    ones_,
    trunc_normal_,
    uniform_,
    zeros_,
)
from tinygrad_seq.nn.init.fans import (
    calculate_gain,
    kaiming_normal_,
    kaiming_uniform_,
    lecun_normal_,
    lecun_uniform_,
    xavier_normal_,
    xavier_uniform_,
)
from tinygrad_seq.nn.init.matrices import dirac_, eye_, orthogonal_, orthogonal_gates_, sparse_
from tinygrad_seq.nn.init.recurrent import chrono_, forget_bias_, irnn_, orthogonal_recurrent_

__all__ = [
    "calculate_gain",
    "chrono_",
    "constant_",
    "dirac_",
    "eye_",
    "forget_bias_",
    "irnn_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "lecun_normal_",
    "lecun_uniform_",
    "normal_",
    "ones_",
    "orthogonal_",
    "orthogonal_gates_",
    "orthogonal_recurrent_",
    "sparse_",
    "trunc_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]
