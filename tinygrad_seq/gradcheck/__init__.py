"""Numerical derivatives against the tape's: ``gradcheck`` and ``gradgradcheck``.

At the top level of the package the name ``gradcheck`` means the function. The modules in here are
reached with ``from tinygrad_seq.gradcheck import suite``. Some tools can be reached from the
function as well: ``tg.gradcheck.derivative``, ``mutation_audit``, ``parity``. What only a few need
is loaded when it is asked for.
"""

import importlib
from typing import TYPE_CHECKING, Any

from tinygrad_seq.gradcheck.check import gradcheck
from tinygrad_seq.gradcheck.second import gradgradcheck

if TYPE_CHECKING:
    from tinygrad_seq.gradcheck.corruptions import Corruption
    from tinygrad_seq.gradcheck.devices import ParityRow, parity, parity_all
    from tinygrad_seq.gradcheck.examiner import Mutant
    from tinygrad_seq.gradcheck.mutation import audit_all, audit_op, mutation_audit
    from tinygrad_seq.gradcheck.mutation_report import AuditReport
    from tinygrad_seq.gradcheck.odds import miss_probability
    from tinygrad_seq.gradcheck.parity_report import ParityReport
    from tinygrad_seq.gradcheck.report import Comparison, Entry, Report
    from tinygrad_seq.gradcheck.reproduce import derivative
    from tinygrad_seq.gradcheck.sweep import Derivative, Histogram, Sweep

#: where what is loaded late is from
_LATE = {
    "AuditReport": "mutation_report",
    "Comparison": "report",
    "Corruption": "corruptions",
    "Derivative": "sweep",
    "Entry": "report",
    "Histogram": "sweep",
    "Mutant": "examiner",
    "ParityReport": "parity_report",
    "ParityRow": "devices",
    "Report": "report",
    "Sweep": "sweep",
    "audit_all": "mutation",
    "audit_op": "mutation",
    "derivative": "reproduce",
    "mutation_audit": "mutation",
    "miss_probability": "odds",
    "parity": "devices",
    "parity_all": "devices",
}


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = getattr(importlib.import_module(f"{__name__}.{_LATE[name]}"), name)
    return globals()[name]


def _derivative(fn: Any, inputs: Any, *args: Any, **options: Any) -> Any:
    """``tinygrad_seq.gradcheck.derivative``, where its options are described."""
    return __getattr__("derivative")(fn, inputs, *args, **options)


def _mutation_audit(fn: Any, inputs: Any, **options: Any) -> "AuditReport":
    """``tinygrad_seq.gradcheck.mutation_audit``, where its options are described."""
    return __getattr__("mutation_audit")(fn, inputs, **options)


def _parity(fn: Any, inputs: Any, *args: Any, **options: Any) -> "ParityReport":
    """``tinygrad_seq.gradcheck.parity``, where its options are described."""
    return __getattr__("parity")(fn, inputs, *args, **options)


for _name, _tool in {
    "derivative": _derivative,
    "mutation_audit": _mutation_audit,
    "parity": _parity,
}.items():
    setattr(gradcheck, _name, _tool)

__all__ = [
    "AuditReport",
    "Comparison",
    "Corruption",
    "Derivative",
    "Entry",
    "Histogram",
    "Mutant",
    "ParityReport",
    "ParityRow",
    "Report",
    "Sweep",
    "audit_all",
    "audit_op",
    "derivative",
    "gradcheck",
    "gradgradcheck",
    "miss_probability",
    "mutation_audit",
    "parity",
    "parity_all",
]
