"""``gradgradcheck``: is the derivative of the gradient right?"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tinygrad_seq.gradcheck.report import Report


def gradgradcheck(
    fn: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    seed: int = 0,
    params: Any = None,
    promote: bool = True,
    **options: Any,
) -> Report:
    """Compare second derivatives of ``fn(*inputs)`` with finite differences of its gradient.

    What is checked is the map (inputs, parameters, v) → Σ v·∂outputs/∂(inputs, parameters), with
    v = ``grad_outputs`` (random from ``seed`` by default): its derivatives by the inputs and
    parameters are second derivatives of ``fn``, those by v are the gradient again, now by way of
    ``create_graph``. The options are those of ``gradcheck``.
    """
    from tinygrad_seq.gradcheck.doubled import check_second

    given = {"seed": seed, "params": params, "promote": promote, **options}
    return check_second(fn, inputs, grad_outputs, **given)
