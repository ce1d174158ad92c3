"""A gradient check from start to end; ``check.py`` says what it does and what its options mean."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np

from tinygrad_seq.backend import Generator
from tinygrad_seq.errors import ArgumentError, expect
from tinygrad_seq.gradcheck.audit import Fault, gradient_faults, unsteady_values
from tinygrad_seq.gradcheck.compare import Block
from tinygrad_seq.gradcheck.complex_step import expect_analytic
from tinygrad_seq.gradcheck.examine import Options, coarsest_dtype, look, tolerance_for, views_of
from tinygrad_seq.gradcheck.report import Comparison, Entry, Report
from tinygrad_seq.gradcheck.single import call_of, of_entry
from tinygrad_seq.gradcheck.subject import Subject, Variable
from tinygrad_seq.gradcheck.verdict import VERDICTS


def check(
    fn: Callable[..., Any],
    inputs: Any,
    *,
    eps: float | None,
    atol: float | None,
    rtol: float | None,
    fast: bool,
    complex_step: bool,
    seed: int,
    raise_exception: bool,
    params: Any,
    promote: bool,
    precision: Any,
    allow: Sequence[str],
    directions: int,
    generators: Iterable[Generator],
    nondet_tol: float | None,
    create_graph: bool,
    name: str,
) -> Report:
    """``gradcheck``, with every option given."""
    unknown = set(allow) - set(VERDICTS)
    expect(not unknown, "gradcheck", f"allow among {VERDICTS}", sorted(unknown), ArgumentError)
    expect(directions > 0, "gradcheck", "directions > 0", directions, ArgumentError)
    subject = Subject(fn, inputs, params, promote, generators)
    expect(subject.variables, "gradcheck", "an input that is floating", "none", ArgumentError)
    with np.errstate(all="ignore"):  # what leaves the domain is said by the verdict
        centre = subject.first_run()
        dtype = coarsest_dtype(subject, precision)
        tol = tolerance_for(dtype, eps, atol, rtol, complex_step)
        steady = 4096 * tol.epsilon if nondet_tol is None else nondet_tol
        options = Options(tol, fast, complex_step, seed, directions)
        faults = _faults(subject, centre, options, steady, create_graph)
        # differences of a function that gives other values each time mean nothing
        steadily = all(verdict != "nondeterministic" for verdict, _ in faults)
        entries, tables = _examine(subject, centre, options) if steadily else ([], [])
    subject.keep()
    mode = "fast" if fast else "full"
    report = Report(
        entries=tuple(entries),
        mode=f"{mode}, complex step" if complex_step else mode,
        dtype=str(dtype),
        seed=seed,
        eps=tol.eps,
        atol=tol.atol,
        rtol=tol.rtol,
        allow=tuple(allow),
        faults=tuple(faults),
        what=name,
        comparisons=tuple(tables),
        call=call_of(fn, promote=promote, params=params, precision=precision),
        source=partial(of_entry, subject, centre, options),
    )
    return report.demanded() if raise_exception else report


def _faults(
    subject: Subject, centre: np.ndarray, options: Options, steady: float, create_graph: bool
) -> list[Fault]:
    """What is wrong as a whole, before any derivative is compared."""
    return unsteady_values(subject, centre, steady) or gradient_faults(
        subject, options.seed, steady, options.tol.rtol, create_graph
    )


def _examine(
    subject: Subject, centre: np.ndarray, options: Options
) -> tuple[list[Entry], list[Comparison]]:
    if options.complex_step:
        expect_analytic(subject, centre, options.tol.epsilon)
    entries, tables = [], []
    views = views_of(subject, centre, options)
    for variable, view in zip(subject.variables, views, strict=True):
        for o, block in enumerate(look(view, options)):
            entries.append(_entry(subject, o, variable, block, options))
            names = (subject.names[o], variable.name)
            tables.append(Comparison(*names, block.analytic, block.numeric, block.tolerance))
    return entries, tables


def _entry(subject: Subject, o: int, variable: Variable, block: Block, options: Options) -> Entry:
    if not block.analytic.size:
        return Entry(subject.names[o], variable.name, "pass", 0.0, 0.0, 0.0, 0.0, 0.0, checked=0)
    (i, j), found = block.worst()
    return Entry(
        output=subject.names[o],
        input=variable.name,
        verdict=found.verdict,
        analytic=float(block.analytic[i, j]),
        numeric=found.numeric,
        tolerance=float(block.tolerance[i, j]),
        uncertainty=found.error,
        step=found.step,
        at_output=None if options.fast else _index(i, subject.shapes[o]),
        at_input=None if options.fast else _index(j, variable.value.shape),
        direction=j if options.fast else None,
        checked=block.analytic.size,
        differing=0 if found.verdict == "pass" else block.count(found.verdict),
        largest=float(np.abs(block.numeric[np.isfinite(block.numeric)]).max(initial=0.0)),
        floor=float(block.floor[j]),
        epsilon=options.tol.epsilon,
        note=found.note,
    )


def _index(flat: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(flat, shape))
