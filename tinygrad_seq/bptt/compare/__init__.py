"""A backward pass written by hand against the tape's: where they part, and the likely mistake.

At ``tinygrad_seq.bptt`` the name ``compare`` means the function. The rest is loaded when it is
called; ``Comparison``, what it returns, is in ``report``, and ``Run``, what it hands over, in
``run``.
"""

from tinygrad_seq.bptt.compare.compare import compare

__all__ = ["compare"]
