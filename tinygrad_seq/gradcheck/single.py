"""One derivative by itself: to reproduce what a report found, and to look at it at every step."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from tinygrad_seq.errors import ArgumentError, expect
from tinygrad_seq.gradcheck.examine import Options
from tinygrad_seq.gradcheck.report import Entry, Index
from tinygrad_seq.gradcheck.subject import Subject
from tinygrad_seq.gradcheck.sweep import Derivative
from tinygrad_seq.gradcheck.views import element, fast_views
from tinygrad_seq.ops.primitive import Primitive, registry

#: which of the outputs or inputs, and the index into it
Place = tuple[int, Index]

_PLACE = re.compile(r"(.*?)(?:\[\s*([-\d,\s]*)\])?")


def of_entry(
    subject: Subject, centre: np.ndarray, options: Options, i: int, entry: Entry
) -> Derivative:
    """The derivative that entry number ``i`` of a report shows."""
    k, o = divmod(i, len(subject.names))
    with np.errstate(all="ignore"):
        return derivative_at(subject, centre, options, (o, entry.at_output or ()),
                           (k, entry.at_input or ()), entry.direction, entry.step)  # fmt: skip


def derivative_at(
    subject: Subject,
    centre: np.ndarray,
    options: Options,
    output: Place,
    input: Place,
    direction: int | None,
    step: float | None,
) -> Derivative:
    (o, at_output), (k, at_input) = output, input
    epsilon, variable = options.tol.epsilon, subject.variables[k]
    where = f"d {subject.names[o]}{_written(at_output)} / d {variable.name}{_written(at_input)}"
    if direction is None:
        row = subject.slices[o].start + _flat(at_output, subject.shapes[o])
        j = _flat(at_input, variable.value.shape)
        analytic, line = element(subject, k, row, j, centre, epsilon)
    else:
        where += f", direction {direction}"
        view = fast_views(subject, centre, epsilon, options.seed, direction + 1)[k]
        row, line, analytic = o, view.line(direction), float(view.analytic[o, direction])
    return Derivative(where, analytic, options.tol.eps * line.reach if step is None else step,
                      line, row)  # fmt: skip


def _flat(index: Index, shape: tuple[int, ...]) -> int:
    return int(np.ravel_multi_index(index, shape)) if shape else 0


def _written(index: Index) -> str:
    return str(list(index)) if index else ""


def find(text: str, names: list[str], shapes: list[tuple[int, ...]], indexed: bool) -> Place:
    """``"w[0, 3]"`` → which of the names, and the index."""
    match = _PLACE.fullmatch(text.strip())
    name, inside = match.groups() if match else (text, None)
    numbered = name.isdigit() and int(name) < len(names)  # a long name can be told by its position
    known = numbered or name in names
    expect(known, "derivative", f"one of {', '.join(names)}", repr(name), ArgumentError)
    place = int(name) if numbered else names.index(name)
    if not indexed:
        return place, ()
    index = tuple(int(i) for i in (inside or "").split(",") if i.strip())
    shape = shapes[place]
    fits = len(index) == len(shape) and all(-n <= i < n for i, n in zip(index, shape, strict=True))
    expect(fits, "derivative", f"an index into {name} of shape {shape}", text, ArgumentError)
    return place, tuple(i % n for i, n in zip(index, shape, strict=True))


def call_of(fn: Any, order: int = 1, **options: Any) -> tuple[str, str]:
    """How a line that reproduces something begins and, beside the place, ends."""
    name = str(getattr(fn, "__name__", ""))
    own = str(getattr(fn, "__module__", "")).startswith("tinygrad_seq.")
    if isinstance(fn, Primitive) and registry.get(name) is fn and own:
        name = f"tg.{name}"
    elif not name.isidentifier():
        name = "fn"
    end = "" if order == 1 else f", order={order}"
    end += "" if options.get("promote", True) else ", promote=False"
    end += "".join(f", {o}={o}" for o in ("params", "grad_outputs") if options.get(o) is not None)
    if options.get("precision") is not None:
        end += f", precision={np.dtype(options['precision']).name!r}"
    return f"tg.gradcheck.derivative({name}, inputs", f"{end})"
