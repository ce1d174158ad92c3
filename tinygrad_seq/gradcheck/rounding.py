"""What rounding inside a function does to its output, which the output itself does not show.

Every intermediate value v is rounded by a share ε of itself, and passes that on to the output as
ε·|v|·|∂out/∂v|. log(1 + x²) of a tiny x, times 10⁸, loses x in the sum and magnifies what is left:
its output is small, or does not move at all, and its error is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_seq.autograd.modes import Listener, modes, switched
from tinygrad_seq.backend import is_array, to_host
from tinygrad_seq.gradcheck.analytic import Weights, pulled
from tinygrad_seq.gradcheck.subject import Subject


class _Magnitudes(Listener):
    """Adds up |v·∂out/∂v| over the inputs of all ops."""

    def __init__(self) -> None:
        self.total = 0.0
        self.count = 0
        self._values: dict[int, tuple[Any, Sequence[Any]]] = {}

    def recorded(self, op: Any, values: Sequence[Any], results: Sequence[Any]) -> None:
        self.count += 1
        place = next((r._node for r in results if r._node is not None), None)
        node = getattr(place, "parent", place)  # an output of an op with several
        if node is not None:
            self._values[id(node)] = (node, values)  # the node, so that no other gets its id

    def differentiated(self, node: Any, given: Sequence[Any]) -> None:
        if id(node) not in self._values:
            return
        _, values = self._values[id(node)]
        inputs = values[0] if node.op.sequence else [values[i] for i in node.plan.inputs]
        for v, g in zip(inputs, given, strict=False):
            # a Tensor comes from a backward pass that is part of the function itself
            if is_array(g) and is_array(v) and v.size:
                self.total += float(np.abs(to_host(v) * to_host(g)).sum())


def inner_rounding(subject: Subject, weights: Weights, epsilon: float) -> float:
    """What rounding inside may add to Σ weights · outputs; 0 where there is but one op."""
    seen = _Magnitudes()
    with switched("listeners", (*modes.listeners, seen)):
        pulled(subject, weights)
    return epsilon * seen.total if seen.count > 1 and np.isfinite(seen.total) else 0.0


def count_ops(subject: Subject) -> int:
    """How many ops a gradient goes through."""
    seen = _Magnitudes()
    with switched("listeners", (*modes.listeners, seen)), subject.record(subject.point):
        return seen.count
