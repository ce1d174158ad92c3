"""Reverse accumulation over the tape: one loop, no recursion.

Always take the youngest node that has received a gradient. All its consumers are younger, so they
are done and its gradient is complete. The heap holds no more than the frontier of the graph, and
100,000 steps of recurrence are ordinary.

The same loop serves both orders: with ``lift`` None gradients are raw arrays and nothing is
recorded; with ``lift`` a function that puts an array back at its place on the tape, gradients are
Tensors, every rule is recorded as it runs, and can be differentiated again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import heappop, heappush
from typing import Any

from tinygrad_seq import ops
from tinygrad_seq.autograd.modes import enable_grad, modes
from tinygrad_seq.autograd.tape import Edge, Extras, Leaf, Node, Traced, tick
from tinygrad_seq.backend import xp_of
from tinygrad_seq.errors import ShapeError

Key = tuple[Node | Leaf, int]  # an output of a node
Lift = Callable[[Any, Edge], Any]
Gradients = list[tuple[Edge | None, Any]]


def run_backward(
    roots: Sequence[tuple[Edge, Any]],
    *,
    retain: bool = False,
    lift: Lift | None = None,
    wanted: Iterable[Key] | None = None,
) -> dict[Key, Any]:
    """Send the gradients in ``roots`` back to where they came from.

    With ``wanted`` None they add up in the leaves' ``.grad``; otherwise only what is on the way to
    the wanted places is computed, and their gradients are returned.
    """
    pending: dict[Node | Leaf, list[Any]] = {}
    heap: list[tuple[int, Node | Leaf]] = []
    ours: set[Key] = set()  # sums made here, which nobody else holds: safe to add to in place
    found: dict[Key, Any] = {}
    targets = set(wanted or ())
    needed = None if wanted is None else _on_the_way(roots, targets)
    arriving: Gradients = list(roots)
    node: Node | Leaf
    while True:
        for edge, g in arriving:
            if edge is None or g is None:
                continue
            node, index, shape, dtype = edge
            if needed is not None and node not in needed:
                continue
            if g.shape != shape:
                g = unbroadcast(g, shape)
            if g.dtype != dtype:
                g = ops.astype(g, dtype)
            slots = pending.get(node)
            if slots is None:
                slots = pending[node] = [None] * _width(node)
                heappush(heap, (-node.number, node))
            if slots[index] is None:
                slots[index] = g
            elif lift is None and (node, index) in ours:
                slots[index] += g
            else:
                slots[index] = slots[index] + g
                ours.add((node, index))
        if not heap:
            return found
        node = heappop(heap)[1]
        grads = pending.pop(node)
        if node.extras is not None:
            _serve_extras(node.extras, grads, wanted is None)
        if targets:
            found.update({(node, i): g for i, g in enumerate(grads) if (node, i) in targets})
        if isinstance(node, Leaf):
            if wanted is None:
                accumulate(node, grads[0], lift)
            arriving = []
            continue
        arriving = differentiate(node, grads, lift)
        if not retain:
            node.saved = None


def differentiate(node: Node, grads: list[Any], lift: Lift | None) -> Gradients:
    """The gradients of a node's inputs, each with where it goes, from those of its outputs."""
    saved = node.unpack()
    g = grads[0]
    if node.outs is not None:
        g = _with_zeros(grads, node.outs)
    if lift is None:
        result = _apply_rules(node, g, saved)
    else:
        with enable_grad():
            if node.op.composition is not None:
                result = _through_composition(node, g, saved, lift)
            else:
                result = _apply_rules(node, g, _lifted(node, saved, lift))
    if modes.observer is not None:
        modes.observer.differentiated(node, [g for _, g in result])
    return result


def _apply_rules(node: Node, g: Any, saved: Sequence[Any]) -> Gradients:
    edges, rules = node.edges, node.plan.rules
    if rules[0][0] >= 0:
        return [(edges[i], rule(g, *take(saved))) for i, rule, take in rules]
    _, rule, take = rules[0]
    given = rule(g, *take(saved))
    if node.op.sequence:
        return list(zip(edges, given, strict=False))
    return [(edges[i], g_i) for i, g_i in zip(node.op.answers, given, strict=True)]


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
    members = len(edges) - op.arity + 1  # how many arrays a list argument holds
    lifted = list(saved)
    for i, position in enumerate(node.plan.arrays):
        value = saved[i]
        if op.sequence and position == 0:
            pairs = zip(value, edges[:members], strict=True)
            lifted[i] = [v if edge is None else lift(v, edge) for v, edge in pairs]
        elif position < op.arity:
            edge = edges[position + members - 1] if op.sequence else edges[position]
            lifted[i] = value if edge is None else lift(value, edge)
        elif position < op.arity + len(op.outputs):
            lifted[i] = lift(value, Edge(node, position - op.arity, value.shape, value.dtype))
    return lifted


def _through_composition(node: Node, g: Any, saved: Sequence[Any], lift: Lift) -> Gradients:
    """Differentiate a fused op's composition in place of its rule, which is first-order only.

    The inputs are passed through ``identity`` so that the composition's graph has ends of its own:
    where one input was computed from another, its gradient must not run on into that one.
    """
    op, edges = node.op, node.edges
    assert op.composition is not None
    values = list(saved[-op.arity :])
    ends = {}
    for i, edge in enumerate(edges):
        if edge is not None:
            values[i] = ops.identity(lift(values[i], edge))
            ends[i] = (values[i]._edge.node, 0)
    outs = op.composition(*values)
    pairs = [(outs, g)] if len(op.outputs) == 1 else list(zip(outs, g, strict=True))
    roots = [(o._edge, g_o) for o, g_o in pairs if o._edge is not None]
    found = run_backward(roots, retain=True, lift=lift, wanted=ends.values())
    return [(edges[i], found.get(end)) for i, end in ends.items()]


def _on_the_way(roots: Iterable[tuple[Edge, Any]], targets: set[Key]) -> set[Node | Leaf]:
    """The nodes from which a wanted place can be reached."""
    seen: set[Node | Leaf] = set()
    stack = [edge.node for edge, _ in roots]
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            if isinstance(node, Node):
                stack += [edge.node for edge in node.edges if edge is not None]
    needed = {node for node, _ in targets}
    for node in sorted(seen, key=lambda n: n.number):  # inputs come before their consumers
        if isinstance(node, Node) and any(e is not None and e.node in needed for e in node.edges):
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


def _width(node: Node | Leaf) -> int:
    return 1 if isinstance(node, Leaf) else len(node.op.outputs)


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
