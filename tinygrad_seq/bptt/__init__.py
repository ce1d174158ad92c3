"""Backpropagation through time over sequences too long to keep."""

from tinygrad_seq.bptt.truncated import TruncatedBPTT, Window, detach_state

__all__ = ["TruncatedBPTT", "Window", "detach_state"]
