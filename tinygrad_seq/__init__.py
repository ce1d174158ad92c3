"""A from-scratch sequence-learning engine on NumPy and CuPy.

>>> import numpy as np
>>> import tinygrad_seq as tg
>>> w = tg.tensor(np.array([0.5, -1.0]), requires_grad=True)
>>> loss = tg.tanh(w * 2).sum()
>>> loss.backward()
>>> w.grad
tensor([0.83994868, 0.14130165], dtype=float64)

Tensor functions follow NumPy, layers and optimisers follow PyTorch. See ``tg.nn``, ``tg.optim`` and
``tg.bptt``; ``tg.gradcheck`` compares any gradient with finite differences.
"""

from tinygrad_seq import autograd, bptt, errors, nn, ops, optim
from tinygrad_seq.autograd import *  # noqa: F403
from tinygrad_seq.backend import (
    Device,
    Generator,
    default_device,
    default_generator,
    manual_seed,
    memory,
    set_default_device,
    synchronize,
)
from tinygrad_seq.errors import TinygradSeqError

# The package of this name can still be imported from; as an attribute it is the function.
from tinygrad_seq.gradcheck import gradcheck, gradgradcheck
from tinygrad_seq.kernels import reference_kernels
from tinygrad_seq.nn.serialization import load, save
from tinygrad_seq.ops import *  # noqa: F403

__version__ = "0.1.0"

__all__ = [
    "Device",
    "Generator",
    "TinygradSeqError",
    "bptt",
    "default_device",
    "default_generator",
    "errors",
    "gradcheck",
    "gradgradcheck",
    "load",
    "manual_seed",
    "memory",
    "nn",
    "optim",
    "reference_kernels",
    "save",
    "set_default_device",
    "synchronize",
]
__all__ += autograd.__all__
__all__ += ops.__all__
