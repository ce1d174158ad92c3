"""Optimisers, with PyTorch's names, arguments and defaults."""

from tinygrad_seq.optim.adam import Adam, AdamW
from tinygrad_seq.optim.optimizer import Optimizer
from tinygrad_seq.optim.sgd import SGD

__all__ = ["SGD", "Adam", "AdamW", "Optimizer"]
