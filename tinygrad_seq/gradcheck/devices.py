"""The same numbers on two devices? ``parity``, and ``parity_all`` for every op and layer.

The same function runs on the same inputs, weights and random streams on both devices, in float32.
Outputs and gradients are compared with each other, and each with a float64 run on the CPU from the
same float32 inputs, so that it shows which of the two is off.

Errors are counted in ULP: units in the last place of the reference value, whose magnitude counts as
no less than the median of its array, nor than a thousandth of the largest output (or gradient):
what is left over where terms cancel has no digits of its own.
"""

from __future__ import annotations

import difflib
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from tinygrad_seq import ops
from tinygrad_seq.autograd import Tensor
from tinygrad_seq.backend import Device, as_device, to_host, transfer
from tinygrad_seq.errors import ArgumentError, GradcheckError, expect
from tinygrad_seq.gradcheck.analytic import pull
from tinygrad_seq.gradcheck.cases import Case, placed, surroundings
from tinygrad_seq.gradcheck.parity_report import Compared, ParityReport
from tinygrad_seq.gradcheck.references import buffers_of, modules_of, named_parameters
from tinygrad_seq.gradcheck.subject import Subject
from tinygrad_seq.gradcheck.suite import Layer, call_of
from tinygrad_seq.ops.primitive import Primitive
from tinygrad_seq.ops.sample import Sample

#: what came out, by name: the dtype it was computed in and its value on the host
Values = dict[str, tuple[np.dtype[Any], np.ndarray]]


def parity(
    fn: Callable[..., Any],
    inputs: Any,
    devices: tuple[str, str] = ("cpu", "cuda"),
    *,
    seed: int = 0,
    dtype: Any = np.float32,
    bound: float = 16.0,
    params: Any = None,
    raise_exception: bool = True,
    name: str = "parity",
) -> ParityReport:
    """Run ``fn(*inputs)`` and its gradient on two devices and compare → a ``ParityReport``.

    Inputs, parameters (found as ``gradcheck`` finds them; ``params`` adds more) and buffers are
    cast to ``dtype`` and moved for the length of a run. What is random, and the weights of the
    outputs whose gradient is compared, start from ``seed`` on both.

    It passes if no element of the two is further apart than ``bound`` ULP plus four times the
    largest error of the first device: as much as rounding in another order explains. Otherwise it
    raises GradcheckError with the report in ``.report``, unless ``raise_exception`` is False.
    """
    expect(len(devices) == 2, "parity", "two devices", devices, ArgumentError)
    expect(bound >= 0, "parity", "bound ≥ 0", bound, ArgumentError)
    kind = np.dtype(dtype)
    expect(kind.kind == "f", "parity", "a real floating dtype", kind, ArgumentError)
    cases = [(fn, inputs)] * 3
    report = _compare(cases, devices, seed, kind, bound, params, name)
    if raise_exception and not report:
        raise GradcheckError(str(report), report)
    return report


def _compare(
    cases: Sequence[Case], devices: tuple[str, str], seed: int, dtype: np.dtype[Any],
    bound: float, params: Any, name: str,
) -> ParityReport:  # fmt: skip
    """Three cases, which are one computation: for each device, and for the reference."""
    places = (*devices, "cpu")
    kinds = (dtype, dtype, np.dtype(np.float64))
    first, second, truth = (
        _values(case, place, dtype, kind, seed, params)
        for case, place, kind in zip(cases, places, kinds, strict=True)
    )
    entries = []
    for key, (kind, a) in first.items():
        peers = [v for k, (_, v) in truth.items() if k.startswith("d ") == key.startswith("d ")]
        floor = max(_largest(v) for v in peers) / 1000
        entries.append(Compared.of(key, kind, a, second[key][1], truth[key][1], floor, bound))
    return ParityReport(tuple(entries), devices, str(dtype), seed, name)


def _largest(x: np.ndarray) -> float:
    return float(np.abs(x[np.isfinite(x)]).max(initial=0.0))


def _values(
    case: Case, device: str, drawn: np.dtype[Any], dtype: np.dtype[Any], seed: int, params: Any
) -> Values:
    """Outputs and gradients computed on ``device`` in ``dtype``, at inputs rounded to ``drawn``."""
    fn, inputs = case
    modules = modules_of(fn)
    fixed = [p for _, p in named_parameters(modules, params) if not p.requires_grad]
    args = inputs if isinstance(inputs, (tuple, list)) else [inputs]
    held = [*buffers_of(modules), *fixed]
    with surroundings(seed, device) as place, _moved(held, place, dtype), np.errstate(all="ignore"):
        subject = Subject(fn, placed(args, place), params)
        for variable in subject.variables:
            variable.device = place
            variable.value = variable.value.astype(drawn).astype(dtype)
        subject.first_run()
        rng = np.random.default_rng(seed)
        weights = [rng.standard_normal(shape).astype(drawn) for shape in subject.shapes]
        with subject.record(subject.point) as (outputs, leaves):
            gradients = pull(outputs, leaves, weights)
            found = dict(zip(subject.names, outputs, strict=True))
            found |= {
                f"d / d {v.name}": g
                for v, g in zip(subject.variables, gradients, strict=True)
                if g is not None
            }
            return {k: (t.dtype, to_host(t.data).astype(np.float64)) for k, t in found.items()}


@contextmanager
def _moved(tensors: Iterable[Tensor], device: Device, dtype: np.dtype[Any]) -> Iterator[None]:
    """What a module holds constant, on ``device`` and in ``dtype`` for a while."""
    before = [(t, t.data) for t in tensors]
    for t, data in before:
        host = to_host(data)
        t.data = transfer(host.astype(dtype) if host.dtype.kind == "f" else host, device)
    try:
        yield
    finally:
        for t, data in before:
            t.data = data


# ------------------------------------------------------------------- every op and layer


@dataclass(frozen=True)
class ParityRow:
    """How one op or layer fared: ULP errors of both devices, and how far they are apart.

    ``verdict`` is ``pass``, ``apart``, ``error`` where it could not run, and ``no gradient`` where
    there is nothing to compare."""

    name: str
    kind: str
    verdict: str
    errors: tuple[float, float]
    apart: float
    seconds: float
    reports: tuple[ParityReport, ...] = ()
    note: str = ""


def parity_all(
    names: Iterable[str] | None = None,
    device: str = "cuda",
    layers: Iterable[tuple[str, Layer]] = (),
    *,
    seed: int = 0,
    dtype: Any = np.float32,
    bound: float = 16.0,
) -> Iterator[ParityRow]:
    """Compare ops (on each of their samples) and layers on the CPU and on ``device`` → a row each.

    ``names`` picks some (default: all); an unknown one raises ArgumentError. ``layers`` is as for
    ``check_all``; the other options are those of ``parity``.
    """
    table = dict(layers)
    known = [*ops.registry, *table]
    wanted = list(names or known)
    as_device(device)
    for name in wanted:
        near = difflib.get_close_matches(name, known, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        expect(name in known, "parity", f"the name of an op or layer{hint}", repr(name),
               ArgumentError)  # fmt: skip
    kind = np.dtype(dtype)

    def compare(cases: Sequence[Case], name: str) -> ParityReport:
        return _compare(cases, ("cpu", device), seed, kind, bound, None, name)

    def of_op(name: str) -> list[ParityReport]:
        op = ops.registry[name]
        calls = ((f"{name}{s}", _calls(op, s, device, kind)) for s in op.samples)
        return [compare(cases, what) for what, cases in calls if _is_differentiable(cases[0])]

    def of_layer(name: str) -> list[ParityReport]:
        return [compare([table[name](d) for d in ("cpu", device, "cpu")], name)]

    for name in wanted:
        if name in ops.registry:
            yield _row(name, "op", of_op)
        if name in table:
            yield _row(name, "layer", of_layer)


def _calls(op: Primitive, sample: Sample, device: str, dtype: np.dtype[Any]) -> list[Case]:
    """One sample on both devices and for the reference: the same numbers, constants too."""

    def case(place: str, kind: Any) -> Case:
        def draw(seed: int) -> Any:
            args, keywords = sample.draw(seed, dtype)
            return [_cast(x, kind) for x in args], {k: _cast(x, kind) for k, x in keywords.items()}

        call = call_of(op, cast(Sample, SimpleNamespace(draw=draw)), place)
        return call.fn, call.inputs

    return [case("cpu", dtype), case(device, dtype), case("cpu", np.float64)]


def _cast(x: Any, dtype: Any) -> Any:
    if isinstance(x, list):
        return [_cast(item, dtype) for item in x]
    return x.astype(dtype) if isinstance(x, np.ndarray) and x.dtype.kind == "f" else x


def _is_differentiable(case: Case) -> bool:
    fn, inputs = case
    out = fn(*inputs) if inputs else ()
    return any(o.dtype.kind == "f" for o in (out if isinstance(out, tuple) else (out,)))


def _row(name: str, kind: str, compare: Callable[[str], list[ParityReport]]) -> ParityRow:
    start = time.perf_counter()
    try:
        with surroundings(0):  # a layer's maker may seed the stream
            reports = tuple(compare(name))
    except Exception as error:  # one op that cannot run must not hide the others
        seconds = time.perf_counter() - start
        nan = (math.nan, math.nan)
        text = f"{type(error).__name__}: {error}"
        return ParityRow(name, kind, "error", nan, math.nan, seconds, (), text)
    seconds = time.perf_counter() - start
    first, second = (max((r.errors[i] for r in reports), default=0.0) for i in (0, 1))
    verdict = next((r.verdict for r in reports if not r), "pass" if reports else "no gradient")
    apart = max((r.apart for r in reports), default=0.0)
    note = next((str(r) for r in reports if not r), "")
    return ParityRow(name, kind, verdict, (first, second), apart, seconds, reports, note)
