"""What every op must keep, read off its own declaration.

``for check in CHECKS: check(op, device)`` is all there is to testing a new op: its samples, bad
inputs, NumPy twin and rules say the rest. Each check raises AssertionError (or lets an op's own
exception through) where the op breaks its word.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

import tinygrad_seq as tg
from tests.support import watched
from tinygrad_seq.autograd import Tensor
from tinygrad_seq.backend import as_device, is_array, owner, to_host, transfer
from tinygrad_seq.errors import GraphError
from tinygrad_seq.gradcheck.strategies import LAYOUTS
from tinygrad_seq.gradcheck.suite import check_op
from tinygrad_seq.ops.primitive import Primitive
from tinygrad_seq.ops.sample import Sample

TOLERANCE = {np.dtype(np.float64): 1e-12, np.dtype(np.float32): 2e-5}


# ---------------------------------------------------------------------- calling an op on a sample


def mapped(fn: Any, value: Any) -> Any:
    """``fn`` on every array in an argument; the rest as it is."""
    if isinstance(value, list) and any(is_array(v) for v in value):
        return [mapped(fn, v) for v in value]
    return fn(value) if is_array(value) else value


def arguments(op: Primitive, sample: Sample, dtype: Any = np.float64) -> list[Any]:
    """All parameters of ``op``, drawn on the host."""
    args, params = sample.draw(0, dtype)
    return list(op.bind(args, params))


def floating(a: Any) -> bool:
    return is_array(a) and a.dtype.kind == "f"


def leaves_of(op: Primitive, values: list[Any], device: str) -> tuple[list[Any], list[Tensor]]:
    """``values`` on ``device``, with a leaf for everything a gradient can reach; and the leaves."""
    leaves: list[Tensor] = []

    def leaf(a: Any) -> Tensor:
        leaves.append(Tensor(transfer(a, as_device(device))).requires_grad_())
        return leaves[-1]

    there = as_device(device)
    given = [
        mapped(lambda a, name=name: leaf(a) if floating(a) and name in op.differentiable
               else transfer(a, there), value)
        for name, value in zip(op.params, values, strict=True)
    ]  # fmt: skip
    return given, leaves


def tuple_of(out: Any) -> tuple[Any, ...]:
    return out if isinstance(out, tuple) else (out,)


def tensors_of(out: Any) -> tuple[Tensor, ...]:
    """Outputs as tensors, those of an op that saw no tensor too."""
    return tuple(o if isinstance(o, Tensor) else Tensor(o) for o in tuple_of(out))


def weights(outs: Any, seed: int = 1) -> list[np.ndarray]:
    """A gradient for each floating output."""
    rng = np.random.default_rng(seed)
    return [
        np.asarray(rng.standard_normal(o.shape)).astype(o.dtype) if o.dtype.kind == "f" else None
        for o in outs
    ]


def run(op: Primitive, values: list[Any], device: str = "cpu") -> tuple[list[Any], list[Any]]:
    """→ outputs and gradients of the leaves, on the host. Random ops start from the same state."""
    tg.manual_seed(0)
    given, leaves = leaves_of(op, values, device)
    outs = tensors_of(op(*given))
    pairs = [(o, w) for o, w in zip(outs, weights(outs), strict=True) if o.requires_grad]
    grads: Any = [None] * len(leaves)
    if pairs:
        given_back = [transfer(w, as_device(device)) for _, w in pairs]
        grads = tg.grad([o for o, _ in pairs], leaves, given_back, allow_unused=True)
    return [to_host(o.data) for o in outs], [g if g is None else to_host(g.data) for g in grads]


def same(got: Any, expected: Any, what: str, tolerance: float = 0.0) -> None:
    for a, b in zip(got, expected, strict=True):
        assert (a is None) == (b is None), what
        if a is not None:
            assert a.shape == b.shape, f"{what}: shape {a.shape}, expected {b.shape}"
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance, err_msg=what)


def cases(op: Primitive) -> Iterator[tuple[str, Sample]]:
    assert op.samples, f"{op.name} declares no samples"
    for sample in op.samples:
        yield f"{op.name}{sample}", sample


# ---------------------------------------------------------------------- the checks


def check_reference(op: Primitive, device: str = "cpu") -> None:
    """Outputs equal those of the NumPy twin, or of the op on the host where there is no twin."""
    for what, sample in cases(op):
        values = arguments(op, sample)
        args, params = sample.draw(0)
        tg.manual_seed(0)
        expected = tuple_of((op.numpy or op)(*args, **params))
        outs, _ = run(op, values, device)
        same(outs, [np.asarray(e) for e in expected], what, 1e-12)
        raw = [mapped(lambda a: transfer(a, as_device(device)), v) for v in values]
        tg.manual_seed(0)
        same([to_host(o) for o in tuple_of(op(*raw))], outs, f"{what} on raw arrays")


def check_dtype(op: Primitive, device: str = "cpu") -> None:
    """Floating inputs of one dtype give outputs and gradients of that dtype, and a computation in
    float32 meets no float64 on its way."""
    for what, sample in cases(op):
        if "dtype" in op.params:
            continue  # its purpose is to change it
        for dtype in (np.float32, np.float64):
            values = arguments(op, sample, dtype)
            if not any(floating(a) for v in values for a in (v if isinstance(v, list) else [v])):
                continue
            with watched.float64(forbidden=dtype == np.float32) as arrays:
                guarded = [mapped(arrays.watch, v) for v in values] if device == "cpu" else values
                outs, grads = run(op, guarded, device)
            for part in (*outs, *grads):
                if part is not None and part.dtype.kind == "f":
                    assert part.dtype == dtype, f"{what}: {part.dtype} from {np.dtype(dtype)}"


def check_errors(op: Primitive, device: str = "cpu") -> None:
    """Bad inputs raise what is declared, with the op's name first, and change nothing."""
    for bad in op.bad:
        what = f"{op.name}{bad}"
        values = arguments(op, bad)
        raw = [mapped(lambda a: transfer(a.copy(), as_device(device)), v) for v in values]
        for given in (raw, leaves_of(op, values, device)[0]):
            try:
                op(*given)
            except bad.error as error:
                message = str(error)
            else:
                raise AssertionError(f"{what}: expected {bad.error.__name__}, nothing was raised")
            assert message.startswith(f"{op.name}: "), f"{what}: {message}"
            # What the array library adds in its own words may differ between libraries.
            assert bad.match in message or device != "cpu", f"{what}: {message}"


def check_numpy_dispatch(op: Primitive, device: str = "cpu") -> None:
    """``np.fn(tensor)`` is the op: the same numbers, with the same history."""
    if op.numpy is None:
        return
    for what, sample in cases(op):
        args, params = sample.draw(0)
        given = [mapped(lambda a: Tensor(transfer(a, as_device(device))), v) for v in args]
        params = {k: mapped(lambda a: Tensor(transfer(a, as_device(device))), v)
                  for k, v in params.items()}  # fmt: skip
        for t in (t for v in given for t in (v if isinstance(v, list) else [v])):
            if isinstance(t, Tensor) and t.dtype.kind == "f":
                t.requires_grad_()
        if op.nondiff & set(op.params[: len(given)]) and not op.differentiable:
            given = [mapped(lambda a: a.detach(), v) for v in given]
        out = op.numpy(*given, **params)
        assert isinstance(out, Tensor), f"np.{op.name}: {type(out)} from {what}"
        assert out.requires_grad == bool(op.differentiable), f"{what}: history lost"
        if out.requires_grad:
            assert out._node.op is op, f"{what}: recorded as {out._node.op}"


def check_layouts(op: Primitive, device: str = "cpu") -> None:
    """How the inputs lie in memory makes no difference, not even to gradients."""
    for what, sample in cases(op):
        values = arguments(op, sample)
        expected = run(op, values, device)
        for name, layout in LAYOUTS.items():
            if name in ("contiguous", "repeated"):
                continue
            given = [mapped(lambda a, layout=layout: np.asarray(layout(a)) if floating(a) else a, v)
                     for v in values]  # fmt: skip
            for got, right in zip(run(op, given, device), expected, strict=True):
                same(got, right, f"{what}, {name}", 1e-12)


def check_untouched(op: Primitive, device: str = "cpu") -> None:
    """Neither forward nor backward writes into inputs, outputs or the incoming gradient."""
    for what, sample in cases(op):
        values = arguments(op, sample)
        tg.manual_seed(0)
        given, leaves = leaves_of(op, values, "cpu")
        before = [mapped(lambda a: _data(a).copy(), v) for v in given]
        for v in given:
            mapped_any(lambda a: _data(a).setflags(write=False), v)
        outs = tensors_of(op(*given))
        for o in outs:
            o.data.flags.writeable = False
        live = [(o, w) for o, w in zip(outs, weights(outs), strict=True) if o.requires_grad]
        for _, w in live:
            w.flags.writeable = False
        if live:
            tg.grad([o for o, _ in live], leaves, [w for _, w in live], allow_unused=True)
        after = [mapped(lambda a: _data(a).copy(), v) for v in given]
        for a, b in zip(after, before, strict=True):
            if is_array(a):
                np.testing.assert_array_equal(a, b, err_msg=what)


def mapped_any(fn: Any, value: Any) -> None:
    for a in value if isinstance(value, list) else [value]:
        if is_array(a) or isinstance(a, Tensor):
            fn(a)


def _data(a: Any) -> Any:
    return a.data if isinstance(a, Tensor) else a


def check_view(op: Primitive, device: str = "cpu") -> None:
    """A view shares its input's memory and nothing else does, and a change made through the one
    is noticed by nodes that saved the other."""
    for what, sample in cases(op):
        given, leaves = leaves_of(op, arguments(op, sample), device)
        if not leaves or not leaves[0].size:
            continue
        x = leaves[0]
        tg.manual_seed(0)
        out = tensors_of(op(*given))[0]
        shared = owner(x.data) is owner(out.data)
        assert shared == op.view, f"{what}: view={op.view}, but memory is shared: {shared}"
        if device != "cpu" or not out.data.flags.writeable:
            continue  # a broadcast view of NumPy's cannot be written
        squares = (x * x).sum()
        with tg.no_grad():
            out.fill_(0)
        try:
            squares.backward()
            noticed = False
        except GraphError:
            noticed = True
        assert noticed == op.view, f"{what}: a change through the output went unseen"


def check_gradient(op: Primitive, device: str = "cpu") -> None:
    """The rules are the derivatives of the forward, by finite differences."""
    _passed(op, device, 1)


def check_second_order(op: Primitive, device: str = "cpu") -> None:
    """So are the derivatives of the rules."""
    _passed(op, device, 2)


def _passed(op: Primitive, device: str, order: int) -> None:
    # The host has seen every element; elsewhere random directions do, one call for each of many.
    reports = check_op(op, device, order, fast=device != "cpu")
    assert reports or not op.differentiable, f"{op.name}: no sample checks its rules"
    for report in reports:
        assert report, str(report)


CHECKS = [
    check_reference,
    check_dtype,
    check_errors,
    check_numpy_dispatch,
    check_layouts,
    check_untouched,
    check_view,
    check_gradient,
    check_second_order,
]
