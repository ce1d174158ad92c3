"""The backward passes as textbooks have them, each right line beside the ways to get it wrong."""

from tinygrad_seq.bptt.compare.textbook.pick import Pick
from tinygrad_seq.bptt.compare.textbook.walk import Signals, signals_of

__all__ = ["Pick", "Signals", "signals_of"]
