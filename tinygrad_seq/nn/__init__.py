"""Layers, initialisers and clipping, with PyTorch's names, arguments and defaults."""

from tinygrad_seq.nn.module import Module
from tinygrad_seq.nn.parameter import Parameter

__all__ = [n for n in dir() if not n.startswith("_")]
