"""One derivative again, from the line that a report prints."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from tinygrad_seq.backend import Generator
from tinygrad_seq.errors import ArgumentError, expect
from tinygrad_seq.gradcheck.doubled import doubled
from tinygrad_seq.gradcheck.examine import Options, coarsest_dtype, tolerance_for
from tinygrad_seq.gradcheck.single import derivative_at, find
from tinygrad_seq.gradcheck.subject import Subject
from tinygrad_seq.gradcheck.sweep import Derivative


def derivative(
    fn: Callable[..., Any],
    inputs: Any,
    output: str,
    input: str,
    *,
    step: float | None = None,
    seed: int = 0,
    direction: int | None = None,
    order: int = 1,
    grad_outputs: Any = None,
    params: Any = None,
    promote: bool = True,
    precision: Any = None,
    generators: Iterable[Generator] = (),
) -> Derivative:
    """One derivative of ``fn(*inputs)``, from the tape and by a central difference.

    ``output`` and ``input`` are names as the report prints them (or their positions) with an index:
    ``derivative(fn, (x, w), "out[2,1]", "w[0,3]")`` is ∂out[2, 1]/∂w[0, 3]. With ``direction`` they
    go without one: it is uᵀJv, along that random direction of ``seed``, as in fast mode. ``step``
    is the distance h by which the input is moved; by default the one ``gradcheck`` starts from.
    ``order`` 2 is a derivative of the gradient, as ``gradgradcheck`` looks at it with the same
    ``seed`` or ``grad_outputs``. The other options are those of ``gradcheck``.

    → ``Derivative``: ``.analytic``, ``.numeric``, ``.error``, ``.sweep()``. Raises ArgumentError
    where there is no such output, input or index.
    """
    expect(order in (1, 2), "derivative", "order 1 or 2", order, ArgumentError)
    if order == 2:
        gradient, inputs, coarse = doubled(fn, inputs, grad_outputs, seed, params, promote)
        fn, precision = gradient, coarse if precision is None else precision
    subject = Subject(fn, inputs, params, promote, generators)
    indexed = direction is None
    with np.errstate(all="ignore"):
        centre = subject.first_run()
        tol = tolerance_for(coarsest_dtype(subject, precision))
        options = Options(tol, fast=not indexed, seed=seed)
        out = find(output, subject.names, subject.shapes, indexed)
        names = [v.name for v in subject.variables]
        shapes = [v.value.shape for v in subject.variables]
        by = find(input, names, shapes, indexed)
        return derivative_at(subject, centre, options, out, by, direction, step)
