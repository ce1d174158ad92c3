"""Numerical derivatives against the tape's: ``gradcheck`` and ``gradgradcheck``.

At the top level of the package the name ``gradcheck`` means the function. The modules in here are
reached with ``from tinygrad_seq.gradcheck import suite``. What else there is can be reached from
the function as well: ``tg.gradcheck.derivative``.
"""

from tinygrad_seq.gradcheck.check import gradcheck
from tinygrad_seq.gradcheck.report import Comparison, Entry, Report
from tinygrad_seq.gradcheck.reproduce import derivative
from tinygrad_seq.gradcheck.second import gradgradcheck
from tinygrad_seq.gradcheck.sweep import Derivative, Histogram, Sweep

for _tool in (derivative,):
    setattr(gradcheck, _tool.__name__, _tool)

__all__ = [
    "Comparison",
    "Derivative",
    "Entry",
    "Histogram",
    "Report",
    "Sweep",
    "derivative",
    "gradcheck",
    "gradgradcheck",
]
