"""``gradcheck``: is the gradient that the tape gives the derivative of what was computed?

What a check needs is loaded by the first one, so that importing the package stays cheap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from tinygrad_seq.backend import Generator

if TYPE_CHECKING:
    from tinygrad_seq.gradcheck.report import Report


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
    options = dict(locals())
    from tinygrad_seq.gradcheck.running import check

    return check(**options)
