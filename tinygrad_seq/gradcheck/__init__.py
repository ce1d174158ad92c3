"""Numerical derivatives against the tape's: ``gradcheck`` and ``gradgradcheck``.

At the top level of the package the name ``gradcheck`` means the function. The modules in here are
reached with ``from tinygrad_seq.gradcheck import suite``.
"""

from tinygrad_seq.gradcheck.check import gradcheck
from tinygrad_seq.gradcheck.report import Entry, Report
from tinygrad_seq.gradcheck.second import gradgradcheck

__all__ = ["Entry", "Report", "gradcheck", "gradgradcheck"]
