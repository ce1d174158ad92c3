"""``gradcheck``: is the gradient that the tape gives the derivative of what was computed?"""

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


def gradcheck(
    fn: Callable[..., Any],
    inputs: Any,
    *,
    eps: float | None = None,
    atol: float | None = None,
    rtol: float | None = None,
    fast: bool = False,
    complex_step: bool = False,
    seed: int = 0,
    raise_exception: bool = True,
    params: Any = None,
    promote: bool = True,
    precision: Any = None,
    allow: Sequence[str] = (),
    directions: int = 2,
    generators: Iterable[Generator] = (),
    nondet_tol: float | None = None,
    create_graph: bool = True,
    name: str = "gradcheck",
) -> Report:
    """Compare the gradient of ``fn(*inputs)`` with finite differences of it.

    → a ``Report``: true if it passed, printed it shows the worst derivative. Otherwise raises
    ``GradcheckError`` with the report in ``.report``, unless ``raise_exception`` is False.

    Every floating input is checked, Tensor or array, and every floating output; integers and masks
    are held constant. If ``fn`` is a module, a method of one, or a function that refers to one, its
    parameters are checked too; ``params`` adds more (Tensors, pairs or a dict with names, a
    module). ``fn`` must leave its inputs alone and take the same path every time. Random streams
    (and ``generators``) and buffers start each run from the same state and are left as they were;
    ``detach()`` answers every run with its values from the first, so truncated gradients pass.

    An analytic derivative a and a numeric one n agree if |a − n| ≤ rtol·|n| + atol·max|n|, the
    maximum over all derivatives of that output by that input (plus 10⁴ rounding errors of
    the output). So neither the scale of inputs nor that of outputs matters. ``eps`` is the step of
    the first difference, as a share of an element's magnitude or of the median magnitude of its
    array, whichever is larger. What that leaves open is looked at with steps from 10⁻² to 10⁻¹⁰;
    see numerical.py. Defaults in float64: eps 1e-6, atol 1e-7, rtol 1e-5.

    fast: random projections instead of every element; ``directions`` of them from ``seed``. An
    error of r times the Jacobian's norm is missed with a probability of at most
    √2·(atol + rtol)/r to the power of ``directions``; see ``miss_probability``.
    complex_step: Im fn(x + ih)/h, exact to the last digits, for analytic functions.
    promote: compute in float64 whatever the inputs' dtype. If False, check in their own dtype, with
    defaults to suit it (float32: eps 5e-3, atol 1e-3, rtol 1e-2).
    precision: a coarser dtype that ``fn`` computes in, if neither inputs nor outputs show it; the
    defaults suit it.
    allow: verdicts that count as passed, such as ``("kink",)``.
    nondet_tol: by how much two equal runs may differ, as a share of the largest value; by default
    4096 rounding errors, as sums in another order make them.
    create_graph: also demand that the gradient recorded for higher derivatives is the same.
    """
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
