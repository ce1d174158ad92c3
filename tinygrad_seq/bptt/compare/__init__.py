"""A backward pass written by hand against the tape's: where they part, and the likely mistake.

At ``tinygrad_seq.bptt`` the name ``compare`` means the function.
"""

from tinygrad_seq.bptt.compare.compare import compare
from tinygrad_seq.bptt.compare.report import Comparison, TensorError
from tinygrad_seq.bptt.compare.run import Run

__all__ = ["Comparison", "Run", "TensorError", "compare"]
