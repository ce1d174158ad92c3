"""From a function to its blocks of compared derivatives: how to look, and looking.

``gradcheck`` looks once. The mutation audit looks at the same function again and again, each time
with another mistake in its derivative.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_seq.errors import ArgumentError, expect
from tinygrad_seq.gradcheck.compare import Block, closer_look, first_look
from tinygrad_seq.gradcheck.complex_step import complex_look
from tinygrad_seq.gradcheck.numerical import Tolerance
from tinygrad_seq.gradcheck.subject import Subject, coarsest
from tinygrad_seq.gradcheck.views import View, fast_views, full_views

# (eps, atol, rtol) by the size of the coarsest input's dtype.
_DEFAULTS = {8: (1e-6, 1e-7, 1e-5), 4: (5e-3, 1e-3, 1e-2), 2: (2e-2, 5e-2, 1e-1)}
_COMPLEX = (1e-6, 1e-13, 1e-12)


@dataclass(frozen=True)
class Options:
    """How to look; see ``gradcheck``."""

    tol: Tolerance
    fast: bool = False
    complex_step: bool = False
    seed: int = 0
    directions: int = 2


def coarsest_dtype(subject: Subject, precision: Any) -> np.dtype[Any]:
    """The least precise dtype that inputs, outputs and the caller tell of."""
    dtypes = [*(v.value.dtype for v in subject.variables), *subject.dtypes]
    dtypes += [] if precision is None else [np.dtype(precision)]
    return coarsest(dtypes)


def tolerance_for(
    dtype: np.dtype[Any],
    eps: float | None = None,
    atol: float | None = None,
    rtol: float | None = None,
    complex_step: bool = False,
) -> Tolerance:
    """What was asked for, and for the rest what suits the dtype."""
    fits = not complex_step or dtype == np.float64
    expect(fits, "gradcheck", "float64 for complex_step", dtype, ArgumentError)
    chosen = _COMPLEX if complex_step else _DEFAULTS[min(dtype.itemsize, 8)]
    eps = chosen[0] if eps is None else eps
    atol = chosen[1] if atol is None else atol
    rtol = chosen[2] if rtol is None else rtol
    ok = 0 < eps < 0.03 and atol >= 0 and rtol >= 0
    got = f"{eps}, {atol}, {rtol}"
    expect(ok, "gradcheck", "0 < eps < 0.03, atol ≥ 0, rtol ≥ 0", got, ArgumentError)
    return Tolerance(eps, atol, rtol, float(np.finfo(dtype).eps))


def views_of(subject: Subject, centre: np.ndarray, options: Options) -> list[View]:
    """What the tape says about each variable, and the lines to compare it with."""
    epsilon = options.tol.epsilon
    if options.fast:
        return fast_views(subject, centre, epsilon, options.seed, options.directions)
    return full_views(subject, centre, epsilon)


def look(view: View, options: Options) -> list[Block]:
    """Compare one variable's derivatives → a block per output, judged."""
    tol = options.tol
    if options.fast:  # a projection is as large as the whole Jacobian: one tolerance for both
        tol = Tolerance(tol.eps, tol.atol + tol.rtol, 0.0, tol.epsilon)
    if options.complex_step:
        return complex_look(view, tol)
    blocks = first_look(view, tol)
    closer_look(blocks, view, tol)
    return blocks


def verdicts_of(blocks: Sequence[Block]) -> set[str]:
    """The verdicts that these blocks hold."""
    return {block.worst()[1].verdict for block in blocks if block.analytic.size}
