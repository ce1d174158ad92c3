"""Backpropagation through time over sequences too long to keep, and gradients that run forwards."""

from tinygrad_seq.bptt.compare import compare
from tinygrad_seq.bptt.flow import gradient_flow
from tinygrad_seq.bptt.influence import OnlineWindow, rtrl
from tinygrad_seq.bptt.ledger import ledger
from tinygrad_seq.bptt.memory import memory_model
from tinygrad_seq.bptt.rank_one import uoro
from tinygrad_seq.bptt.state import detach_state
from tinygrad_seq.bptt.truncated import TruncatedBPTT
from tinygrad_seq.bptt.unchain import unchain, unchain_backward
from tinygrad_seq.bptt.window import Window

__all__ = [
    "OnlineWindow",
    "TruncatedBPTT",
    "Window",
    "compare",
    "detach_state",
    "gradient_flow",
    "ledger",
    "memory_model",
    "rtrl",
    "unchain",
    "unchain_backward",
    "uoro",
]
