"""What the tape says: rows of the Jacobian and projections of it, as host arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_seq.autograd import Tensor, grad
from tinygrad_seq.backend import to_host, transfer
from tinygrad_seq.gradcheck.subject import Point, Subject

Weights = Sequence["np.ndarray | None"]


def pull(
    outputs: Sequence[Tensor],
    leaves: Sequence[Tensor],
    weights: Weights,
    create_graph: bool = False,
) -> list[Tensor | None]:
    """Σ weights · ∂outputs/∂leaves; an output whose weight is None takes no part."""
    pairs = [(o, w) for o, w in zip(outputs, weights, strict=True)
             if w is not None and o.requires_grad]  # fmt: skip
    if not pairs or not leaves:
        return [None] * len(leaves)
    seeds = [Tensor(transfer(w.reshape(o.shape).astype(o.dtype), o.device)) for o, w in pairs]
    found = grad([o for o, _ in pairs], list(leaves), seeds, retain_graph=True,
                 create_graph=create_graph, allow_unused=True)  # fmt: skip
    return list(found)


def pulled(
    subject: Subject, weights: Weights, create_graph: bool = False, point: Point | None = None
) -> list[Any]:
    """``pull`` in a run of its own → gradients as they came, None for zero."""
    with subject.record(subject.point if point is None else point) as (outputs, leaves):
        return pull(outputs, leaves, weights, create_graph)


def wobbled(subject: Subject, weights: Weights, seed: int) -> list[np.ndarray]:
    """``pulled`` once more, so that rounding falls differently: every input off by a few units in
    its last place, and the weights larger by a part in a thousand, which is divided out again."""
    rng = np.random.default_rng(seed)
    factor = 1 + rng.uniform(-1e-3, 1e-3)
    point = []
    for x in subject.point:
        ulps = rng.integers(-4, 5, x.shape) * np.finfo(x.dtype).eps
        point.append((x * (1 + ulps)).astype(x.dtype))
    scaled = [None if w is None else factor * w for w in weights]
    return [g / factor for g in host(pulled(subject, scaled, point=point), point)]


def host(gradients: Sequence[Tensor | None], point: Point) -> list[np.ndarray]:
    """Gradients as float64 vectors, zeros for those that are None."""
    return [
        np.zeros(x.size) if g is None else to_host(g.data).astype(np.float64).ravel()
        for g, x in zip(gradients, point, strict=True)
    ]


def jacobian_rows(subject: Subject) -> list[np.ndarray]:
    """∂(all outputs, flat)/∂variable for every variable, one backward pass per output element."""
    total = sum(int(np.prod(s)) for s in subject.shapes)
    blocks = [np.zeros((total, v.value.size)) for v in subject.variables]
    row = 0
    with subject.record(subject.point) as (outputs, leaves):
        for o, shape in enumerate(subject.shapes):
            for i in range(int(np.prod(shape))):
                weights: list[np.ndarray | None] = [None] * len(outputs)
                weights[o] = np.eye(1, int(np.prod(shape)), i)
                gradients = host(pull(outputs, leaves, weights), subject.point)
                for block, g in zip(blocks, gradients, strict=True):
                    block[row] = g
                row += 1
    return blocks
