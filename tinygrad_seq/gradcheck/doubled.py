"""The gradient of a function as a function to be checked in turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tinygrad_seq.autograd import Tensor, grad
from tinygrad_seq.backend import transfer, xp_of
from tinygrad_seq.errors import expect
from tinygrad_seq.gradcheck.check import gradcheck
from tinygrad_seq.gradcheck.references import argument_names, with_arguments
from tinygrad_seq.gradcheck.report import Report
from tinygrad_seq.gradcheck.single import call_of
from tinygrad_seq.gradcheck.subject import Subject, coarsest, floating


def check_second(
    fn: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any,
    *,
    seed: int,
    params: Any,
    promote: bool,
    **options: Any,
) -> Report:
    """``gradgradcheck``: what it does and what its options mean stands in ``second.py``."""
    gradient, args, precision = doubled(fn, inputs, grad_outputs, seed, params, promote)
    given = {"create_graph": False, "name": "gradgradcheck", "precision": precision, **options}
    given |= {"seed": seed, "params": params, "promote": promote, "raise_exception": False}
    report = gradcheck(gradient, args, **given)
    call = call_of(fn, order=2, grad_outputs=grad_outputs, params=params, promote=promote)
    report = replace(report, call=call)
    return report.demanded() if options.get("raise_exception", True) else report


def doubled(
    fn: Callable[..., Any], inputs: Any, grad_outputs: Any, seed: int, params: Any, promote: bool
) -> tuple[Callable[..., Any], list[Any], np.dtype[Any]]:
    """→ the map that is checked, its arguments (inputs and v), and how precise it is."""
    subject = Subject(fn, inputs, params, promote)
    subject.first_run()
    args = list(inputs) if isinstance(inputs, (tuple, list)) else [inputs]
    vs = _weights(subject, grad_outputs, seed)
    # With respect to v the function is as precise as its outputs, which need not show any more.
    return _gradient(subject, len(args)), [*args, *vs], coarsest(subject.dtypes)


def _gradient(subject: Subject, count: int) -> Callable[..., Any]:
    """(inputs, v) → Σ v·∂outputs/∂x for every variable x of ``subject``, recorded."""
    places = [v.place for v in subject.variables]

    def gradient(*args: Any) -> list[Tensor]:
        outputs = list(floating(subject.fn(*args[:count])))
        xs = [args[p] if isinstance(p, int) else p for p in places]
        live = [(o, v) for o, v in zip(outputs, args[count:], strict=True) if o.requires_grad]
        found: Sequence[Any] = [None] * len(xs)
        if live:
            found = grad([o for o, _ in live], xs, [v for _, v in live], create_graph=True,
                         allow_unused=True)  # fmt: skip
        return [zeros_like(x) if g is None else g for g, x in zip(found, xs, strict=True)]

    names = [*argument_names(subject.fn, count), *(f"grad_{n}" for n in subject.names)]
    gradient.__wrapped__ = subject.fn  # type: ignore[attr-defined] # its modules are ours
    return with_arguments(gradient, names)


def _weights(subject: Subject, given: Any, seed: int) -> list[Tensor]:
    """``grad_outputs`` as Tensors that fit the outputs."""
    device = subject.variables[0].device
    if given is None:
        rng = np.random.default_rng(seed)
        return [
            Tensor(transfer(rng.standard_normal(shape).astype(dtype), device))
            for shape, dtype in zip(subject.shapes, subject.dtypes, strict=True)
        ]
    vs = [given] if not isinstance(given, (tuple, list)) else list(given)
    vs = [v if isinstance(v, Tensor) else Tensor(v) for v in vs]
    shapes = [v.shape for v in vs]
    expect(shapes == subject.shapes, "gradgradcheck", f"grad_outputs {subject.shapes}", shapes)
    return vs


def zeros_like(x: Tensor) -> Tensor:
    """Zeros beside ``x``."""
    return Tensor(xp_of(x.data).zeros_like(x.data))
