"""Every op checked from its own declaration, and layers from a table that the caller brings.

An op's samples say what to call it with. What is perturbed are its differentiable floating
arguments; indices, masks and parameters stay as they were drawn. Perturbing happens on the host,
computing on the device.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from tinygrad_seq import ops
from tinygrad_seq.autograd import Tensor
from tinygrad_seq.backend import as_device, transfer
from tinygrad_seq.errors import ArgumentError
from tinygrad_seq.gradcheck.check import gradcheck
from tinygrad_seq.gradcheck.references import with_arguments
from tinygrad_seq.gradcheck.report import Report
from tinygrad_seq.gradcheck.second import gradgradcheck
from tinygrad_seq.gradcheck.subject import Subject
from tinygrad_seq.gradcheck.verdict import VERDICTS
from tinygrad_seq.ops.primitive import Primitive
from tinygrad_seq.ops.sample import Sample

#: device → a function and its inputs
Layer = Callable[[str], tuple[Callable[..., Any], Any]]


@dataclasses.dataclass(frozen=True)
class Row:
    """How one op or layer fared. ``verdict`` is ``error`` where the check itself raised, and
    ``no gradient`` where there is nothing to check: a comparison, an argmax."""

    name: str
    kind: str
    worst: float
    verdict: str
    seconds: float
    note: str = ""


@dataclasses.dataclass(frozen=True)
class Call:
    """One sample of an op, as a function of the arrays that a gradient can reach."""

    fn: Callable[..., Any]
    composition: Callable[..., Any] | None
    inputs: list[Tensor]


def call_of(op: Primitive, sample: Sample, device: str = "cpu", seed: int = 0) -> Call:
    """``sample`` drawn in float64 on ``device``."""
    drawn, keywords = sample.draw(seed)
    values = list(op.bind(drawn, keywords))
    if op.sequence:
        values = [*values[0], *values[1:]]
    count = len(values) - op.arity + 1 if op.sequence else 1
    place = as_device(device)
    names = [op.params[max(0, i - count + 1)] for i in range(len(values))]
    inputs: list[Tensor] = []
    where: list[int] = []
    for i, (name, value) in enumerate(zip(names, values, strict=True)):
        if isinstance(value, np.ndarray):
            values[i] = transfer(value, place)
            if value.dtype.kind == "f" and name in op.differentiable:
                inputs.append(Tensor(values[i]))
                where.append(i)

    def calling(target: Callable[..., Any]) -> Callable[..., Any]:
        def fn(*xs: Tensor) -> Any:
            full = list(values)
            for i, x in zip(where, xs, strict=True):
                full[i] = x
            return target(*([full[:count], *full[count:]] if op.sequence else full))

        fn.__name__ = op.name
        return fn

    fn = with_arguments(calling(op), [_numbered(names, i) for i in where])
    return Call(fn, None if op.composition is None else calling(op.composition), inputs)


def _numbered(names: Sequence[str], i: int) -> str:
    same = [k for k, name in enumerate(names) if name == names[i]]
    return names[i] if len(same) == 1 else f"{names[i]}{same.index(i)}"


def check_op(
    op: Primitive | str, device: str = "cpu", order: int = 1, fast: bool = False, **options: Any
) -> list[Report]:
    """Check an op on each of its samples → a report for each that has something to check.

    Every floating output is checked against every differentiable floating input. ``order`` 1
    checks the gradient, and an op that has a composition against it; 2 checks the gradient's
    derivative. Nothing is raised; the other options are those of ``gradcheck``.
    """
    if isinstance(op, str):
        op = ops.registry[op]
    if order not in (1, 2):
        raise ArgumentError(f"check_op: expected order 1 or 2, got {order}")
    reports = []
    for sample in op.samples:
        call = call_of(op, sample, device)
        if not call.inputs or not has_gradient(call):
            continue
        check = gradcheck if order == 1 else gradgradcheck
        name = f"{op.name}{sample}"
        given = {"name": name, "raise_exception": False, "fast": fast, **options}
        report = check(call.fn, call.inputs, **given)
        if order == 1 and call.composition is not None:
            faults = (*report.faults, *_composition_faults(call))
            report = dataclasses.replace(report, faults=faults)
        reports.append(report)
    return reports


def has_gradient(call: Call) -> bool:
    """Whether an output is floating."""
    out = call.fn(*call.inputs)
    outs = out if isinstance(out, tuple) else (out,)
    return any(o.dtype.kind == "f" for o in outs)


def _composition_faults(call: Call, rtol: float = 1e-9) -> list[tuple[str, str]]:
    """Where the fused op's values differ from those of its composition. Their gradients are
    compared by every check: with create_graph, backward goes through the composition."""
    assert call.composition is not None
    fused, composed = Subject(call.fn, call.inputs), Subject(call.composition, call.inputs)
    a, b = fused.first_run(), composed.first_run()
    if fused.shapes != composed.shapes:
        return [("wrong", f"outputs {fused.shapes}, but {composed.shapes} from the composition")]
    for name, part in zip(fused.names, fused.slices, strict=True):
        off = np.abs(a[part] - b[part]).max(initial=0.0)
        if not off <= rtol * np.abs(b[part]).max(initial=0.0):
            return [("wrong", f"{name} differs from the composition's by up to {off:.3g}")]
    return []


def check_all(
    names: Iterable[str] | None = None,
    device: str = "cpu",
    layers: Iterable[tuple[str, Layer]] = (),
    order: int = 1,
    fast: bool = False,
) -> Iterator[Row]:
    """Check ops and layers one after another → a row for each as soon as it is done.

    ``names`` picks some (default: all); an unknown one raises ArgumentError. ``layers`` holds
    pairs of a name and a function that, given the device, makes the function to check (a module,
    say) and its inputs.
    """
    table = dict(layers)
    known = [*ops.registry, *table]
    wanted = list(names or known)
    for name in wanted:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ArgumentError(f"gradcheck: there is no op or layer {name!r}{hint}")
    check = gradcheck if order == 1 else gradgradcheck

    def of_layer(name: str) -> list[Report]:
        fn, inputs = table[name](device)
        return [check(fn, inputs, fast=fast, name=name, raise_exception=False)]

    for name in wanted:
        if name in ops.registry:
            yield _row(name, "op", lambda name: check_op(name, device, order, fast))
        if name in table:
            yield _row(name, "layer", of_layer)


def _row(name: str, kind: str, check: Callable[[str], list[Report]]) -> Row:
    start = time.perf_counter()
    try:
        reports = check(name)
    except Exception as error:  # one op that cannot run must not hide the others
        seconds = time.perf_counter() - start
        return Row(name, kind, math.nan, "error", seconds, f"{type(error).__name__}: {error}")
    seconds = time.perf_counter() - start
    worst = max((r.error for r in reports), default=0.0)
    verdict = min((r.verdict for r in reports), key=VERDICTS.index, default="no gradient")
    note = next((str(r) for r in reports if verdict != "pass" and r.verdict == verdict), "")
    return Row(name, kind, worst, verdict, seconds, note)
