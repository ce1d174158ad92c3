"""The mutation audit: would the check have noticed if the derivative were wrong?

A test that cannot fail shows nothing. So the derivative is corrupted in every way of a list, one at
a time, and the check has to notice. What it does not notice is either no mistake at all (a
symmetric gradient, transposed) or too small for the tolerances; the audit tells these apart.
"""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tinygrad_seq import ops
from tinygrad_seq.errors import ArgumentError, expect
from tinygrad_seq.gradcheck.check import gradcheck
from tinygrad_seq.gradcheck.corruptions import SCALES, Corruption, chosen
from tinygrad_seq.gradcheck.examiner import Examiner, Mutant
from tinygrad_seq.gradcheck.mutation_report import AuditReport
from tinygrad_seq.gradcheck.sites import Site, rule_sites, sites_of
from tinygrad_seq.gradcheck.subject import Subject
from tinygrad_seq.gradcheck.suite import Layer, call_of, has_gradient
from tinygrad_seq.ops.primitive import Primitive


def mutation_audit(
    fn: Callable[..., Any],
    inputs: Any,
    *,
    eps: float | None = None,
    atol: float | None = None,
    rtol: float | None = None,
    fast: bool = False,
    seed: int = 0,
    directions: int = 2,
    params: Any = None,
    promote: bool = True,
    precision: Any = None,
    allow: Sequence[str] = (),
    corruptions: Sequence[str | Corruption] | None = None,
    scales: Sequence[float] = SCALES,
    sites: Sequence[str] | None = None,
    name: str = "mutation audit",
) -> AuditReport:
    """Corrupt the derivative of ``fn(*inputs)`` in every way of a list → what went unnoticed.

    ``fn`` is what ``gradcheck`` takes: a function, an op, a module; the options up to ``allow`` are
    its own, and the differences alone have to notice (nothing is compared with
    ``create_graph``). Corrupted are the whole gradient of each input and parameter, and each rule
    of each op on the way, one at a time, in each of these ways (``corruptions`` picks some by name,
    or adds ``Corruption`` objects; ``scales`` are the δ of the factors 1 + δ)::

        other sign, scale 1 + δ, factor 2 missing, counted twice, zero, element dropped, element
        negated, element NaN, transposed, shifted by one, turned around, constant added, through
        float16, chain rule missing (the incoming gradient is handed on), stale save (the rule
        answers from other values), other argument's, broadcast not summed, broadcast averaged,
        batch not summed, batch averaged

    ``sites`` picks where: names of inputs, or ``"tanh by x"``. Each mutant is *detected*,
    *equivalent* (it changes nothing here) or *missed*, with the reason. The report is true if none
    was missed. Raises GradcheckError if ``fn`` does not pass as it is, ArgumentError for unknown
    names.
    """
    ways = chosen(corruptions, scales)
    options = {"eps": eps, "atol": atol, "rtol": rtol, "fast": fast, "seed": seed,
               "directions": directions, "allow": tuple(allow)}  # fmt: skip
    given = {"params": params, "promote": promote, "precision": precision}
    gradcheck(fn, inputs, create_graph=False, **options, **given)  # type: ignore[arg-type]
    subject = Subject(fn, inputs, params, promote)
    examiner = Examiner(subject, precision, **options)  # type: ignore[arg-type]
    found = _picked(sites_of(subject), sites)
    return AuditReport(tuple(_mutants([examiner], found, ways)), name)


def _picked(found: list[Site], wanted: Sequence[str] | None) -> list[Site]:
    names = [site.name for site in found]
    unknown = [w for w in wanted or () if w not in names]
    expect(not unknown, "mutation_audit", f"sites among {names}", unknown, ArgumentError)
    return [site for site in found if wanted is None or site.name in wanted]


def _mutants(
    examiners: Sequence[Examiner], sites: Iterable[Site], ways: Iterable[Corruption]
) -> Iterator[Mutant]:
    """Each corruption at each site, on one example after another until it is detected."""
    ways = list(ways)
    for site in sites:
        for way in ways:
            tried = []
            for examiner in examiners:
                mutant = examiner.examine(site, way)
                if mutant is not None:
                    tried.append(mutant)
                    if mutant.detected:
                        break
            if tried:
                yield max(tried, key=lambda m: (m.detected, m.missed, m.off))


def audit_op(
    op: Primitive | str,
    device: str = "cpu",
    corruptions: Sequence[str | Corruption] | None = None,
    scales: Sequence[float] = SCALES,
    **options: Any,
) -> AuditReport:
    """``mutation_audit`` of every rule of an op, on its declared samples taken together: a mutant
    counts as detected if the check of any sample notices it."""
    if isinstance(op, str):
        op = ops.registry[op]
    calls = [call_of(op, sample, device) for sample in op.samples]
    subjects = [Subject(c.fn, c.inputs) for c in calls if c.inputs and has_gradient(c)]
    examiners = [Examiner(subject, **options) for subject in subjects]
    examiners = [e for e in examiners if e.passes]
    names = op.params[:1] if op.sequence else op.differentiable
    sites = rule_sites([(op, name) for name in names])
    ways = chosen(corruptions, scales)
    return AuditReport(tuple(_mutants(examiners, sites, ways)), op.name)


@dataclass(frozen=True)
class AuditRow:
    """How the audit of one op or layer went, in numbers; ``report`` has all of it."""

    name: str
    kind: str
    mutants: int
    detected: int
    equivalent: int
    missed: int
    seconds: float
    report: AuditReport


def audit_all(
    names: Iterable[str] | None = None,
    device: str = "cpu",
    layers: Iterable[tuple[str, Layer]] = (),
    **options: Any,
) -> Iterator[AuditRow]:
    """Audit ops and layers one after another → a row for each as soon as it is done.

    ``names`` picks some (default: all); an unknown one raises ArgumentError. ``layers`` are as in
    ``suite.check_all``; ``options`` go to ``audit_op`` and ``mutation_audit``. Ops without a
    gradient have no row.
    """
    table = dict(layers)
    known = [*ops.registry, *table]
    wanted = list(names or known)
    for name in wanted:
        near = "".join(f"; did you mean {n!r}?" for n in difflib.get_close_matches(name, known, 1))
        if name not in known:
            raise ArgumentError(f"gradcheck: there is no op or layer {name!r}{near}")
    for name in wanted:
        start = time.perf_counter()
        if name in ops.registry and ops.registry[name].differentiable:
            yield _row("op", audit_op(name, device, **options), start)
        start = time.perf_counter()
        if name in table:
            fn, inputs = table[name](device)
            yield _row("layer", mutation_audit(fn, inputs, name=name, **options), start)


def _row(kind: str, report: AuditReport, start: float) -> AuditRow:
    counts = (len(report.mutants), len(report.detected), len(report.equivalent), len(report.missed))
    return AuditRow(report.name, kind, *counts, time.perf_counter() - start, report)
