"""Numerical derivatives against the tape's: ``gradcheck`` and ``gradgradcheck``.

At the top level of the package the name ``gradcheck`` means the function. The modules in here are
reached with ``from tinygrad_seq.gradcheck import suite``. Two tools can be reached from the
function as well: ``tg.gradcheck.derivative`` and ``tg.gradcheck.mutation_audit``.
"""

from tinygrad_seq.gradcheck.check import gradcheck
from tinygrad_seq.gradcheck.corruptions import Corruption
from tinygrad_seq.gradcheck.examiner import Mutant
from tinygrad_seq.gradcheck.mutation import audit_all, audit_op, mutation_audit
from tinygrad_seq.gradcheck.mutation_report import AuditReport
from tinygrad_seq.gradcheck.report import Comparison, Entry, Report
from tinygrad_seq.gradcheck.reproduce import derivative
from tinygrad_seq.gradcheck.second import gradgradcheck
from tinygrad_seq.gradcheck.sweep import Derivative, Histogram, Sweep

for _tool in (derivative, mutation_audit):
    setattr(gradcheck, _tool.__name__, _tool)

__all__ = [
    "AuditReport",
    "Comparison",
    "Corruption",
    "Derivative",
    "Entry",
    "Histogram",
    "Mutant",
    "Report",
    "Sweep",
    "audit_all",
    "audit_op",
    "derivative",
    "gradcheck",
    "gradgradcheck",
    "mutation_audit",
]
