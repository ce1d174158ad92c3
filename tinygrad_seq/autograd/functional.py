"""Derivatives as functions: grad, vjp, jvp, jacobian, hessian, hvp."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_seq import ops
from tinygrad_seq.autograd.backward import run_backward
from tinygrad_seq.autograd.modes import enable_grad
from tinygrad_seq.autograd.tensor import Tensor, seed
from tinygrad_seq.backend import Array, transfer, xp_of
from tinygrad_seq.errors import GraphError, expect

Fn = Callable[..., Any]


def _many(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


def _like(given: Any, results: tuple[Any, ...]) -> Any:
    """A tuple if a tuple (or list) was given, the one result otherwise."""
    return results if isinstance(given, (tuple, list)) else results[0]


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> Any:
    """The gradient of Σ outputs · grad_outputs with respect to inputs; ``.grad`` stays as it is.

    → one Tensor for one input, a tuple for a sequence. An input that the outputs do not depend on
    raises GraphError, or gives None with ``allow_unused``.
    """
    outs, ins = _many(outputs), _many(inputs)
    weights = (None,) * len(outs) if grad_outputs is None else _many(grad_outputs)
    expect(len(weights) == len(outs), "grad", f"{len(outs)} grad_outputs", len(weights))
    for i, x in enumerate(ins):
        if x._node is None:
            raise GraphError(f"grad: input {i} does not require grad")
    roots = [
        seed("grad", out, weight, create_graph)
        for out, weight in zip(outs, weights, strict=True)
        if out._node is not None or not allow_unused
    ]
    keys = [x._node for x in ins]
    found = run_backward(
        roots,
        retain=create_graph if retain_graph is None else retain_graph,
        lift=Tensor if create_graph else None,
        wanted=keys,
    )
    results: list[Tensor | None] = []
    for i, key in enumerate(keys):
        g = found.get(key)
        if g is None and not allow_unused:
            raise GraphError(
                f"grad: the outputs do not depend on input {i}; allow_unused=True gives None there"
            )
        results.append(g if g is None or isinstance(g, Tensor) else Tensor(g))
    return _like(inputs, tuple(results))


def _leaves(inputs: tuple[Any, ...], create_graph: bool = False) -> tuple[Tensor, ...]:
    """The inputs at places of their own, so that derivatives end there."""
    tensors = [x if isinstance(x, Tensor) else Tensor(x) for x in inputs]
    if create_graph:
        return tuple(ops.identity(x) if x.requires_grad else _leaf(x) for x in tensors)
    return tuple(_leaf(x) for x in tensors)


def _leaf(x: Tensor) -> Tensor:
    return Tensor(x.data).requires_grad_()


def _zeros(x: Tensor) -> Tensor:
    return Tensor(xp_of(x.data).zeros_like(x.data))


def vjp(fn: Fn, inputs: Any, v: Any = None) -> tuple[Any, Any]:
    """Vector–Jacobian product: → (fn(inputs), vᵀJ), one backward pass.

    ``v`` has the shape of the output (default: 1 for a scalar). Unused inputs give zeros.
    """
    with enable_grad():
        xs = _leaves(_many(inputs))
        out = fn(*xs)
        got = grad(out, xs, v, allow_unused=True)
    products = tuple(_zeros(x) if g is None else g for x, g in zip(xs, got, strict=True))
    detached = tuple(o.detach() for o in _many(out))
    return _like(out, detached), _like(inputs, products)


def jvp(fn: Fn, inputs: Any, tangents: Any) -> tuple[Any, Any]:
    """Jacobian–vector product: → (fn(inputs), Jv).

    vᵀJ is linear in v, so its own vector–Jacobian product with the tangents is Jv: two backward
    passes, and no forward-mode rule to keep right.
    """
    with enable_grad():
        xs = _leaves(_many(inputs))
        ts = [t if isinstance(t, Tensor) else Tensor(t) for t in _many(tangents)]
        out = fn(*xs)
        outs = _many(out)
        vs = [_zeros(o).requires_grad_() for o in outs]
        live = [(o, v) for o, v in zip(outs, vs, strict=True) if o.requires_grad]
        rows: Any = (None,) * len(xs)
        if live:
            rows = grad([o for o, _ in live], xs, [v for _, v in live], create_graph=True,
                        allow_unused=True)  # fmt: skip
        pairs = [(r, t) for r, t in zip(rows, ts, strict=True) if r is not None and r.requires_grad]
        if pairs:
            got = grad([r for r, _ in pairs], vs, [t for _, t in pairs], allow_unused=True)
        else:
            got = (None,) * len(vs)
    products = tuple(_zeros(v) if g is None else g for v, g in zip(vs, got, strict=True))
    return _like(out, tuple(o.detach() for o in outs)), _like(out, products)


def jacobian(fn: Fn, inputs: Any, create_graph: bool = False) -> Any:
    """∂out/∂input, one backward pass per output element.

    → shape out.shape + input.shape; a tuple over inputs if a sequence was given.
    """
    with enable_grad():
        xs = _leaves(_many(inputs), create_graph)
        out = fn(*xs)
        rows: list[tuple[Tensor, ...]] = []
        for i in range(out.size):
            if out.requires_grad:
                got = grad(out, xs, _one_hot(out, i), retain_graph=True, create_graph=create_graph,
                           allow_unused=True)  # fmt: skip
            else:
                got = (None,) * len(xs)
            rows.append(tuple(_zeros(x) if g is None else g for x, g in zip(xs, got, strict=True)))
        blocks = tuple(
            ops.reshape(ops.stack(list(column)), out.shape + x.shape)
            for column, x in zip(zip(*rows, strict=True), xs, strict=True)
        )
    return _like(inputs, blocks)


def _one_hot(out: Tensor, i: int) -> Array:
    host = np.zeros(out.size, out.dtype)
    host[i] = 1
    return transfer(host.reshape(out.shape), out.device)


def hessian(fn: Fn, x: Any) -> Tensor:
    """∂²fn/∂x∂x of a scalar function of one input: → shape x.shape + x.shape."""

    def gradient(x: Tensor) -> Any:
        out = fn(x)
        expect(out.size == 1, "hessian", "a function with a scalar output", f"shape {out.shape}")
        (g,) = grad(out, [x], create_graph=True, allow_unused=True)
        return _zeros(x) if g is None else g

    return jacobian(gradient, x)


def hvp(fn: Fn, inputs: Any, vectors: Any) -> tuple[Tensor, Any]:
    """Hessian–vector product of a scalar function: → (fn(inputs), Hv), two backward passes."""
    with enable_grad():
        xs = _leaves(_many(inputs))
        out = fn(*xs)
        first = grad(out, xs, create_graph=True, allow_unused=True)
        live = [(g, v) for g, v in zip(first, _many(vectors), strict=True)
                if g is not None and g.requires_grad]  # fmt: skip
        if live:
            got = grad([g for g, _ in live], xs, [v for _, v in live], allow_unused=True)
        else:
            got = (None,) * len(xs)
    products = tuple(_zeros(x) if g is None else g for x, g in zip(xs, got, strict=True))
    return out.detach(), _like(inputs, products)
