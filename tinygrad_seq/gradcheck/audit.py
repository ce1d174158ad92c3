"""Faults that no finite difference is needed for.

Two runs that start alike must end alike, in values and in gradients; a gradient has the shape and
dtype of what it belongs to; and the gradient that is recorded for higher derivatives equals the
plain one, though the rules ran on Tensors, or through an op's composition.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_seq.gradcheck.analytic import host, pulled
from tinygrad_seq.gradcheck.subject import Subject

Fault = tuple[str, str]


def unsteady_values(subject: Subject, first: np.ndarray, tolerance: float) -> list[Fault]:
    """Whether a second run at the same point gives other values."""
    again = subject.evaluate(subject.point)
    for name, shape, part in zip(subject.names, subject.shapes, subject.slices, strict=True):
        at = _apart(first[part], again[part], tolerance)
        if at is not None:
            index = np.unravel_index(at, shape)
            return [("nondeterministic", _twice(name, index, first[part][at], again[part][at]))]
    return []


def gradient_faults(subject: Subject, seed: int, steady: float, rtol: float,
                    create_graph: bool) -> list[Fault]:  # fmt: skip
    """Whether gradients fit their variables, come out alike twice, and on both paths."""
    rng = np.random.default_rng(seed)
    weights = [rng.standard_normal(shape) for shape in subject.shapes]
    gradients = pulled(subject, weights)
    unfit = misfits(subject, gradients)
    if unfit:
        return unfit
    point = subject.point
    first, again = host(gradients, point), host(pulled(subject, weights), point)
    for variable, a, b in zip(subject.variables, first, again, strict=True):
        at = _apart(a, b, steady)
        if at is not None:
            index = np.unravel_index(at, variable.value.shape)
            name = f"the gradient of {variable.name}"
            return [("nondeterministic", _twice(name, index, a[at], b[at]))]
    return _recorded_faults(subject, weights, first, rtol) if create_graph else []


def misfits(subject: Subject, gradients: list[Any]) -> list[Fault]:
    """Gradients whose shape or dtype is not that of what they belong to."""
    faults = []
    for variable, g in zip(subject.variables, gradients, strict=True):
        x = variable.value
        if g is not None and (g.shape, g.dtype) != (x.shape, x.dtype):
            faults.append(("wrong", f"the gradient of {variable.name}, {x.dtype}{list(x.shape)}, "
                           f"is {g.dtype}{list(g.shape)}"))  # fmt: skip
    return faults


def _recorded_faults(
    subject: Subject, weights: list[np.ndarray], plain: list[np.ndarray], rtol: float
) -> list[Fault]:
    try:
        recorded = host(pulled(subject, weights, create_graph=True), subject.point)
    except Exception as error:  # whatever a rule does when it meets Tensors is the finding
        return [
            ("wrong", f"backward with create_graph=True raised {type(error).__name__}: {error}")
        ]
    for variable, a, b in zip(subject.variables, plain, recorded, strict=True):
        at = _apart(a, b, rtol)
        if at is not None:
            index = tuple(map(int, np.unravel_index(at, variable.value.shape)))
            return [("wrong", f"the gradient of {variable.name}{list(index) or ''} is {a[at]:.9g}, "
                     f"but {b[at]:.9g} with create_graph=True")]  # fmt: skip
    return []


def _apart(a: np.ndarray, b: np.ndarray, tolerance: float) -> int | None:
    """Where two vectors differ most, if by more than ``tolerance`` of the largest magnitude."""
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    if same.all():
        return None
    off = np.where(same, 0.0, np.nan_to_num(np.abs(a - b), nan=np.inf))
    finite = np.abs(a[np.isfinite(a)])
    at = int(np.argmax(off))
    return at if off[at] > tolerance * finite.max(initial=0.0) else None


def _twice(name: str, index: Any, a: float, b: float) -> str:
    where = list(map(int, index)) or ""
    return f"{name}{where} is {a:.9g}, then {b:.9g}, in two runs that start alike"
