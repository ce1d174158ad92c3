"""The two ways to look at a Jacobian: element by element, or through random projections.

Full mode moves each element by itself. Fast mode compares uᵀJv with random u and v: one backward
pass and two evaluations whatever the size. The entries of u and v have random signs and magnitudes
in [½, 3/2]: signs, because non-negative directions see errors of one sign only through their sum's
accidents; magnitudes off zero, so that no single element escapes, and continuous, so that two
wrong elements do not cancel exactly.

The typical size of uᵀJv is the Frobenius norm of J, which ‖Jᵀu‖ estimates; the tolerance is a share
of that and so does not swell with the number of elements. An error matrix E shows as uᵀEv. It is
missed when that falls below the tolerance τ‖J‖, with a probability of at most √2·τ‖J‖/‖E‖ per
direction, to the power of the number of directions; see odds.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from tinygrad_seq.gradcheck.analytic import host, jacobian_rows, pulled, wobbled
from tinygrad_seq.gradcheck.numerical import Line
from tinygrad_seq.gradcheck.subject import Subject


@dataclass(frozen=True)
class View:
    """Derivatives by one variable: columns that a line can be drawn along, rows per output."""

    analytic: np.ndarray
    #: (row, column, seed) → the analytic value as it comes out of slightly different rounding
    again: Callable[[int, int, int], float]
    line: Callable[[int], Line]
    rows: list[slice]
    #: the magnitude of what each column moves
    sizes: np.ndarray
    #: what ``atol`` is a share of, if not the largest derivative of each block
    typical: np.ndarray | None = None
    #: (row, column, eps) → whether the derivative is right at points beside this one, where a
    #: projection sums up what happens at several kinks at once; None where it does not
    beside: Callable[[int, int, float], bool] | None = None


def full_views(subject: Subject, centre: np.ndarray, epsilon: float) -> list[View]:
    """Every element of every variable against every element of every output."""

    @cache  # one pass answers for all elements of the row
    def again(row: int, seed: int) -> list[np.ndarray]:
        one_hot = np.eye(1, centre.size, row)[0]
        return wobbled(subject, [one_hot[part] for part in subject.slices], seed)

    return [
        _full_view(subject, k, rows, again, centre, epsilon)
        for k, rows in enumerate(jacobian_rows(subject))
    ]


def _full_view(
    subject: Subject, k: int, analytic: np.ndarray, again: Callable[[int, int], list[np.ndarray]],
    centre: np.ndarray, epsilon: float,
) -> View:  # fmt: skip
    def again_here(row: int, j: int, seed: int) -> float:
        return float(again(row, seed)[k][j])

    sizes = np.abs(subject.variables[k].value.astype(np.float64)).ravel()
    line = _element_line(subject, k, centre, epsilon)
    return View(analytic, again_here, line, subject.slices, sizes)


def _element_line(
    subject: Subject, k: int, centre: np.ndarray, epsilon: float
) -> Callable[[int], Line]:
    value, scale = subject.variables[k].value, subject.variables[k].scale
    size = np.abs(centre) * subject.coarseness(epsilon)

    def line(j: int) -> Line:
        direction = np.zeros(value.size)
        direction[j] = 1.0
        return Line(mover(subject, k, direction), centre, float(scale[j]), size, epsilon)

    return line


def element(
    subject: Subject, k: int, row: int, j: int, centre: np.ndarray, epsilon: float
) -> tuple[float, Line]:
    """∂output/∂input of one element of all outputs and one of variable k → (it, its line)."""
    one_hot = np.eye(1, centre.size, row)[0]
    found = pulled(subject, [one_hot[part] for part in subject.slices])
    line = _element_line(subject, k, centre, epsilon)(j)
    return float(host(found, subject.point)[k][j]), line


def mover(subject: Subject, k: int, direction: np.ndarray) -> Callable[[complex], np.ndarray]:
    """t → all outputs with variable k moved by t·direction."""
    value = subject.variables[k].value

    def at(t: complex) -> np.ndarray:
        point = subject.point
        moved = (value.astype(np.float64).ravel() + t * direction).reshape(value.shape)
        point[k] = moved if isinstance(t, complex) else moved.astype(value.dtype)
        return subject.evaluate(point)

    return at


def fast_views(
    subject: Subject, centre: np.ndarray, epsilon: float, seed: int, directions: int
) -> list[View]:
    """``directions`` projections of every output by every variable."""
    us, vs = _directions(subject, seed, directions)
    pulls = [[host(pulled(subject, w), subject.point) for w in _one_by_one(u)] for u in us]
    views = []
    for k, variable in enumerate(subject.variables):
        moves = [v[k] * variable.scale for v in vs]
        analytic = np.array(
            [[per_output[o][k] @ move for per_output, move in zip(pulls, moves, strict=True)]
             for o in range(len(subject.names))]
        )  # fmt: skip
        typical = np.array(
            [[np.linalg.norm(per_output[o][k] * variable.scale) for per_output in pulls]
             for o in range(len(subject.names))]
        )  # fmt: skip
        line = _projected(subject, k, us, moves, centre, epsilon)

        def again(o: int, d: int, seed: int, k: int = k, moves: Any = moves) -> float:
            weights = _one_by_one(us[d])[o]
            return float(wobbled(subject, weights, seed)[k] @ moves[d])

        def beside(o: int, d: int, eps: float, k: int = k, moves: Any = moves) -> bool:
            return _right_beside(subject, k, us[d], o, moves[d], eps)

        rows = [slice(o, o + 1) for o in range(len(subject.names))]
        # Steps must suit the element that is smallest beside its neighbours.
        relative = np.abs(variable.value.astype(np.float64)).ravel() / variable.scale
        smallest = relative[relative > 0].min(initial=1.0)
        sizes = np.full(directions, smallest)
        views.append(View(analytic, again, line, rows, sizes, typical, beside))
    return views


def _right_beside(
    subject: Subject, k: int, u: list[np.ndarray], o: int, move: np.ndarray, eps: float
) -> bool:
    """Whether uᵀJv is right at two random points, a hundred steps ``eps`` away in all variables."""
    part = subject.slices[o]
    for seed in range(2):
        rng = np.random.default_rng(seed)
        point = []
        for v in subject.variables:
            shift = (100 * eps * signed(rng, v.value.size) * v.scale).reshape(v.value.shape)
            point.append((v.value + shift).astype(v.value.dtype))
        found = host(pulled(subject, _one_by_one(u)[o], point=point), point)[k]
        value = point[k]
        sides = []
        for t in (eps, -eps):
            step = (t * move).reshape(value.shape)
            point[k] = (value + step).astype(value.dtype)
            sides.append(u[o] @ subject.evaluate(point)[part])
        off = abs((sides[0] - sides[1]) / (2 * eps) - found @ move)
        if not off <= 1e-2 * np.linalg.norm(found * move):
            return False
    return True


def _projected(
    subject: Subject, k: int, us: list[list[np.ndarray]], moves: list[np.ndarray],
    centre: np.ndarray, epsilon: float,
) -> Callable[[int], Line]:  # fmt: skip
    parts = subject.slices
    size = np.abs(centre) * subject.coarseness(epsilon)

    def line(d: int) -> Line:
        raw = Line(mover(subject, k, moves[d]), centre, 1.0, size, epsilon)

        def project(values: np.ndarray) -> np.ndarray:
            return np.array([u @ values[p] for u, p in zip(us[d], parts, strict=True)])

        finite = np.where(np.isfinite(size), size, 0.0)
        sizes = [np.linalg.norm(u * finite[p]) for u, p in zip(us[d], parts, strict=True)]
        return Line(lambda t: project(raw(t)), project(raw.start), 1.0, np.array(sizes), epsilon)

    return line


def _directions(
    subject: Subject, seed: int, count: int
) -> tuple[list[list[np.ndarray]], list[list[np.ndarray]]]:
    """For each direction u per output and v per variable."""
    us, vs = [], []
    for d in range(count):
        rng = np.random.default_rng([seed, d])
        us.append([signed(rng, int(np.prod(shape))) for shape in subject.shapes])
        vs.append([signed(rng, v.value.size) for v in subject.variables])
    return us, vs


def signed(rng: np.random.Generator, n: int) -> np.ndarray:
    """n numbers of random sign with magnitudes uniform in [½, 3/2]."""
    direction: np.ndarray = rng.uniform(0.5, 1.5, n) * rng.choice([-1.0, 1.0], n)
    return direction


def _one_by_one(u: list[np.ndarray]) -> list[list[np.ndarray | None]]:
    """Weights that let one output at a time take part."""
    return [[w if i == o else None for i, w in enumerate(u)] for o in range(len(u))]
