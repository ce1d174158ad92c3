"""Tensor and tape: recording ops and differentiating what was recorded."""

from tinygrad_seq.autograd.anomaly import detect_anomaly
from tinygrad_seq.autograd.checkpoint import checkpoint
from tinygrad_seq.autograd.creation import (
    arange,
    default_dtype,
    full,
    ones,
    rand,
    randn,
    set_default_dtype,
    tensor,
    zeros,
)
from tinygrad_seq.autograd.functional import grad, hessian, hvp, jacobian, jvp, vjp
from tinygrad_seq.autograd.graph import graph
from tinygrad_seq.autograd.modes import enable_grad, is_grad_enabled, no_grad
from tinygrad_seq.autograd.tensor import Tensor

__all__ = [
    "Tensor",
    "arange",
    "checkpoint",
    "default_dtype",
    "detect_anomaly",
    "enable_grad",
    "full",
    "grad",
    "graph",
    "hessian",
    "hvp",
    "is_grad_enabled",
    "jacobian",
    "jvp",
    "no_grad",
    "ones",
    "rand",
    "randn",
    "set_default_dtype",
    "tensor",
    "vjp",
    "zeros",
]
