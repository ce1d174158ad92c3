"""A from-scratch sequence-learning engine on NumPy and CuPy."""

from tinygrad_seq import errors, nn, optim
from tinygrad_seq.autograd import *  # noqa: F403
from tinygrad_seq.autograd import __all__ as _autograd_names
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
from tinygrad_seq.gradcheck import gradcheck, gradgradcheck
from tinygrad_seq.nn.serialization import load, save
from tinygrad_seq.ops import *  # noqa: F403
from tinygrad_seq.ops import __all__ as _op_names

__version__ = "0.1.0"
