"""Reverse accumulation over the tape: one loop, no recursion.

Always take the youngest node that has received a gradient. All its consumers are younger, so they
are done and its gradient is complete. The heap holds no more than the frontier of the graph, and
100,000 steps of recurrence are ordinary.

The same loop serves both orders: with ``lift`` None gradients are raw arrays and nothing is
recorded; with ``lift`` a function that puts an array back at its place on the tape, gradients are
Tensors, every rule is recorded as it runs, and can be differentiated again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from heapq import heappop, heappush
from typing import Any

from tinygrad_seq import ops
from tinygrad_seq.autograd.modes import enable_grad, modes
from tinygrad_seq.autograd.tape import Edge, Extras, Leaf, Node, Traced, tick
from tinygrad_seq.backend import xp_of
from tinygrad_seq.errors import ShapeError

Key = tuple[Node | Leaf, int]  # an output of a node
Lift = Callable[[Any, Edge], Any]


def run_backward(
    roots: Iterable[tuple[Edge, Any]],
    *,
    retain: bool = False,
    lift: Lift | None = None,
    wanted: Iterable[Key] | None = None,
) -> dict[Key, Any]:
    """Send the gradients in ``roots`` back to where they came from.

    With ``wanted`` None they add up in the leaves' ``.grad``; otherwise only what is on the way to
    the wanted places is computed, and their gradients are returned.
    """
    # number of a node → [node, gradient of each output so far]
    pending: dict[int, list[Any]] = {}
    youngest: list[int] = []  # a heap of −number
    ours: set[tuple[int, int]] = set()  # sums made here, that nobody else holds
    found: dict[Key, Any] = {}
    roots = list(roots)
    targets = set(wanted or ())
    needed = None if wanted is None else _on_the_way(roots, targets)
    arriving: Iterable[tuple[Edge | None, Any]] = roots
    while True:
        for edge, g in arriving:
            if g is None or edge is None:
                continue
            node, index, shape, dtype = edge
            if needed is not None and node not in needed:
                continue
            if g.shape != shape:
                g = unbroadcast(g, shape)
            if g.dtype is not dtype and g.dtype != dtype:
                g = ops.astype(g, dtype)
            number = node.number
            slots = pending.get(number)
            if slots is None:
                pending[number] = slots = [node] + [None] * node.width
                heappush(youngest, -number)
            index += 1
            if slots[index] is None:
                slots[index] = g
            elif lift is None and (number, index) in ours:
                slots[index] += g
            else:
                slots[index] = slots[index] + g
                ours.add((number, index))
        if not youngest:
            return found
        node, *grads = pending.pop(-heappop(youngest))
        if node.extras is not None:
            _serve_extras(node.extras, grads, wanted is None)
        if targets:
            found.update({(node, i): g for i, g in enumerate(grads) if (node, i) in targets})
        if type(node) is Leaf:
            if wanted is None:
                accumulate(node, grads[0], lift)
            arriving = ()
            continue
        saved = node.unpack()
        g = grads[0] if node.width == 1 else _with_zeros(grads, node.outs)
        if lift is None:
            given = node.plan.differentiate(g, saved)
        else:
            given = _differentiate_recording(node, g, saved, lift)
        if modes.listener is not None:
            modes.listener.differentiated(node, given)
        arriving = zip(node.edges, given, strict=True)
        if not retain:
            node.saved = None


def _differentiate_recording(node: Node, g: Any, saved: Sequence[Any], lift: Lift) -> Sequence[Any]:
    """Apply a node's rules to Tensors, so that what they compute is on the tape in its turn."""
    with enable_grad():
        if node.op.composition is not None:
            return _through_composition(node, g, saved, lift)
        return node.plan.differentiate(g, _lifted(node, saved, lift))


def _with_zeros(grads: list[Any], outs: Sequence[tuple[Any, Any]]) -> tuple[Any, ...]:
    """The gradients of an op's outputs, zero for those that nobody used."""
    some = next(g for g in grads if g is not None)
    return tuple(
        [
            ops.full_like(some, 0, shape=shape, dtype=dtype) if g is None else g
            for g, (shape, dtype) in zip(grads, outs, strict=True)
        ]
    )


def _lifted(node: Node, saved: Sequence[Any], lift: Lift) -> list[Any]:
    """The saved arrays as Tensors that remember where they came from."""
    op, edges = node.op, node.edges
    lifted = list(saved)
    for i, position in enumerate(node.plan.arrays):
        value = saved[i]
        if op.sequence and position == 0:
            pairs = zip(value, edges, strict=True)
            lifted[i] = [v if edge is None else lift(v, edge) for v, edge in pairs]
        elif position in node.plan.inputs:
            lifted[i] = lift(value, edges[node.plan.inputs.index(position)])
        elif op.arity <= position < op.arity + len(op.outputs):
            lifted[i] = lift(value, (node, position - op.arity, value.shape, value.dtype))
    return lifted


def _through_composition(node: Node, g: Any, saved: Sequence[Any], lift: Lift) -> Sequence[Any]:
    """Differentiate a fused op's composition in place of its rule, which is first-order only.

    The inputs are passed through ``identity`` so that the composition's graph has ends of its own:
    where one input was computed from another, its gradient must not run on into that one.
    """
    op = node.op
    assert op.composition is not None
    values = list(saved[-op.arity :])
    ends: list[Key] = []
    for position, edge in zip(node.plan.inputs, node.edges, strict=True):
        values[position] = ops.identity(lift(values[position], edge))
        ends.append((values[position]._edge[0], 0))
    outs = op.composition(*values)
    pairs = [(outs, g)] if len(op.outputs) == 1 else list(zip(outs, g, strict=True))
    roots = [(o._edge, g_o) for o, g_o in pairs if o._edge is not None]
    found = run_backward(roots, retain=True, lift=lift, wanted=ends)
    return [found.get(end) for end in ends]


def _on_the_way(roots: Iterable[tuple[Edge, Any]], targets: set[Key]) -> set[Node | Leaf]:
    """The nodes from which a wanted place can be reached."""
    seen: set[Node | Leaf] = set()
    stack = [edge[0] for edge, _ in roots]
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            if isinstance(node, Node):
                stack += [edge[0] for edge in node.edges if edge is not None]
    needed = {node for node, _ in targets}
    for node in sorted(seen, key=lambda n: n.number):  # inputs come before their consumers
        if isinstance(node, Node) and any(e is not None and e[0] in needed for e in node.edges):
            needed.add(node)
    return needed


def unbroadcast(g: Any, shape: tuple[int, ...]) -> Any:
    """Sum ``g`` over the axes along which an input of ``shape`` was broadcast."""
    extra = len(g.shape) - len(shape)
    axes = tuple(range(extra)) + tuple(
        extra + i for i, n in enumerate(shape) if n == 1 and g.shape[extra + i] != 1
    )
    total = ops.sum(g, axis=axes, keepdims=True) if axes else g
    if extra < 0 or total.shape[extra:] != shape:
        raise ShapeError(f"backward: a rule gave a gradient of shape {g.shape} for {shape}")
    return ops.reshape(total, shape) if extra else total


def accumulate(leaf: Leaf, g: Any, lift: Lift | None) -> None:
    """Add ``g`` to a leaf's gradient. The leaf owns the array it keeps and adds to it in place."""
    held = leaf.grad
    if lift is not None:
        leaf.grad = _plus(held, g)
    elif held is None:
        leaf.grad = xp_of(g).array(g, copy=True)  # g may be shared with other leaves
    elif isinstance(held, Traced):
        if held._edge is None:
            held.data += g
            held._version[0] = tick()
        else:
            leaf.grad = held + g  # type: ignore[operator]
    else:
        leaf.grad += g


def _plus(total: Any, g: Any) -> Any:
    return g if total is None else total if g is None else total + g


def _serve_extras(extras: Extras, grads: list[Any], retain: bool) -> None:
    """Run the hooks on a node's outputs, then keep the gradients that were asked to be kept."""
    for index, functions in extras.hooks.items():
        for fn in list(functions):
            if grads[index] is not None:
                changed = fn(grads[index])
                grads[index] = grads[index] if changed is None else changed
    if retain:
        for index, held in extras.retained.items():
            extras.retained[index] = _plus(held, grads[index])
