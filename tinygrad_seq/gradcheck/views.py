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
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from tinygrad_seq.gradcheck.analytic import host, jacobian_rows, pulled, wobbled
from tinygrad_seq.gradcheck.numerical import Line, Tolerance
from tinygrad_seq.gradcheck.rounding import count_ops, inner_rounding
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
    #: (row, column, tolerance) → whether the derivative is right at points beside this one
    beside: Callable[[int, int, Tolerance], bool] = lambda row, column, tol: False
    #: row → what rounding of intermediate values may do to the function there
    inner: Callable[[int], float] = lambda row: 0.0


def full_views(subject: Subject, centre: np.ndarray, epsilon: float) -> list[View]:
    """Every element of every variable against every element of every output."""

    def pick(row: int) -> list[np.ndarray | None]:
        one_hot = np.eye(1, centre.size, row)[0]
        return [one_hot[p] if p.start <= row < p.stop else None for p in subject.slices]

    @cache  # one pass answers for all elements of the row
    def again(row: int, seed: int) -> list[np.ndarray]:
        return wobbled(subject, pick(row), seed)

    @cache
    def inner(row: int) -> float:
        return inner_rounding(subject, pick(row), epsilon)

    @cache
    def single() -> bool:  # at a kink of a single op nothing else can be to blame
        return count_ops(subject) < 2

    def view(k: int, rows: np.ndarray) -> View:
        def beside(row: int, j: int, tol: Tolerance) -> bool:
            move = np.zeros(rows.shape[1])
            move[j] = subject.variables[k].scale[j]
            return not single() and _right_beside(subject, k, pick(row), move, tol)

        made = _full_view(subject, k, rows, again, centre, epsilon)
        return replace(made, beside=beside, inner=inner)

    return [view(k, rows) for k, rows in enumerate(jacobian_rows(subject))]


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

        def beside(o: int, d: int, tol: Tolerance, k: int = k, moves: Any = moves) -> bool:
            return _right_beside(subject, k, _one_by_one(us[d])[o], moves[d], tol)

        def inner(o: int) -> float:
            return max(inner_rounding(subject, _one_by_one(u)[o], epsilon) for u in us)

        rows = [slice(o, o + 1) for o in range(len(subject.names))]
        # Steps must suit the element that is smallest beside its neighbours.
        relative = np.abs(variable.value.astype(np.float64)).ravel() / variable.scale
        smallest = relative[relative > 0].min(initial=1.0)
        sizes = np.full(directions, smallest)
        views.append(View(analytic, again, line, rows, sizes, typical, beside, inner))
    return views


def _right_beside(
    subject: Subject, k: int, weights: list[np.ndarray | None], move: np.ndarray, tol: Tolerance
) -> bool:
    """Whether Σ weights·∂outputs/∂(variable k)·move is right at two random points, a hundred steps
    away in all variables: then it is this very point that is special."""
    parts = subject.slices
    for seed in range(2):
        rng = np.random.default_rng(seed)
        point = []
        for v in subject.variables:
            shift = (100 * tol.eps * signed(rng, v.value.size) * v.scale).reshape(v.value.shape)
            point.append((v.value + shift).astype(v.value.dtype))
        found = host(pulled(subject, weights, point=point), point)[k]
        value = point[k]
        sides = []
        for t in (tol.eps, -tol.eps):
            point[k] = (value + (t * move).reshape(value.shape)).astype(value.dtype)
            values = subject.evaluate(point)
            pairs = zip(weights, parts, strict=True)
            sides.append(sum(float(w.ravel() @ values[p]) for w, p in pairs if w is not None))
        off = abs((sides[0] - sides[1]) / (2 * tol.eps) - found @ move)
        if not off <= (tol.atol + tol.rtol) * np.linalg.norm(found * move):
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
