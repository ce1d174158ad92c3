"""An op and a module that are not part of tinygrad_seq."""

from example_ops.leaky import Leaky
from example_ops.shrink import shrink

__all__ = ["Leaky", "shrink"]
