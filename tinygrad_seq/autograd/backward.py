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
from tinygrad_seq.autograd.tape import Leaf, Node, Traced, tick
from tinygrad_seq.backend import xp_of
from tinygrad_seq.errors import ShapeError

Key = tuple[Node | Leaf, int]
Lift = Callable[[Any, Node | Leaf, int], Any]


def run_backward(
    roots: Iterable[tuple[Key, Any]],
    *,
    retain: bool = False,
    lift: Lift | None = None,
    wanted: Mapping[Key, Any] | None = None,
) -> dict[Key, Any]:
    """Send the gradients in ``roots`` back to where they came from.

    With ``wanted`` None they add up in the leaves' ``.grad``; otherwise only what is on the way to
    the wanted places is computed, and their gradients are returned.
    """
    pending: dict[Node | Leaf, list[Any]] = {}
    heap: list[tuple[int, Node | Leaf]] = []
    fresh: set[Key] = set()  # sums made here, that nobody else holds: safe to add to in place
    found: dict[Key, Any] = {}
    needed = None if wanted is None else _on_the_way(roots, wanted)

    def send(node: Node | Leaf, index: int, g: Any) -> None:
        slots = pending.get(node)
        if slots is None:
            slots = pending[node] = [None] * _width(node)
            heappush(heap, (-node.number, node))
        if slots[index] is None:
            slots[index] = g
        elif lift is None and (node, index) in fresh:
            slots[index] += g
        else:
            slots[index] = slots[index] + g
            fresh.add((node, index))

    for (node, index), g in roots:
        if needed is None or node in needed:
            send(node, index, g)
    while heap:
        node = heappop(heap)[1]
        grads = pending.pop(node)
        if node.hooks is not None:
            _run_hooks(node.hooks, grads, lift)
        if wanted is not None:
            found.update(
                {(node, i): g for i, g in enumerate(grads) if g is not None and (node, i) in wanted}
            )
        if isinstance(node, Leaf):
            if wanted is None:
                accumulate(node, grads[0], lift)
            continue
        if node.retained is not None and wanted is None:
            for i in node.retained:
                node.retained[i] = _plus(node.retained[i], grads[i])
        edges, inputs = node.edges, differentiate(node, grads, lift)
        for edge, g in zip(edges, inputs, strict=True):
            if edge is None or g is None or (needed is not None and edge[0] not in needed):
                continue
            target, index, shape, dtype = edge
            if g.shape != shape:
                g = unbroadcast(g, shape, node.op.name)
            if g.dtype != dtype:
                g = ops.astype(g, dtype)
            send(target, index, g)
        if not retain:
            node.saved = None
    return found


def differentiate(node: Node, grads: list[Any], lift: Lift | None) -> Sequence[Any]:
    """The gradients of a node's inputs, in order, from those of its outputs."""
    saved = node.unpack()
    if node.outs is not None:  # outputs that nobody used have gradient zero
        some = next(g for g in grads if g is not None)
        for i, (shape, dtype) in enumerate(node.outs):
            if grads[i] is None:
                grads[i] = ops.full_like(some, 0, shape=shape, dtype=dtype)
        g: Any = tuple(grads)
    else:
        g = grads[0]
    if lift is not None:
        with enable_grad():
            if node.op.composition is not None:
                return _through_composition(node, g, saved, lift)
            result = _apply_rules(node, g, _lifted(node, saved, lift))
    else:
        result = _apply_rules(node, g, saved)
    if modes.observer is not None:
        modes.observer.backward(node, result)
    return result


def _apply_rules(node: Node, g: Any, saved: Sequence[Any]) -> Sequence[Any]:
    rules = node.plan.rules
    if rules and rules[0][0] == -1:
        _, fn, places = rules[0]
        needs = node.needs
        given = tuple(fn(g, *[needs if p < 0 else saved[p] for p in places]))
        if len(given) == len(node.edges):
            return given
        # A joint rule answers for the differentiable inputs only.
        answers = iter(given)
        return [next(answers) if flag else None for flag in node.op._differentiable]
    result: list[Any] = [None] * len(node.edges)
    for i, fn, places in rules:
        result[i] = fn(g, *[saved[p] for p in places])
    return result


def _lifted(node: Node, saved: Sequence[Any], lift: Lift) -> list[Any]:
    """The saved arrays as Tensors that remember where they came from."""
    arity = node.op.arity
    lifted: list[Any] = []
    for (position, only_shape), value in zip(node.plan.slots, saved, strict=False):
        if only_shape:
            pass
        elif arity <= position < arity + len(node.op.outputs):
            value = lift(value, node, position - arity)
        elif position < arity:
            value = _lift_input(node, position, value, lift)
        lifted.append(value)
    return lifted


def _lift_input(node: Node, position: int, value: Any, lift: Lift) -> Any:
    """Input ``position`` of a node as a Tensor (or a list of them), if it has a place."""
    edges = node.edges
    if node.op.sequence:
        if position == 0:
            members = zip(value, edges, strict=False)
            return [lift(v, e[0], e[1]) if e is not None else v for v, e in members]
        position += len(edges) - node.op.arity
    edge = edges[position]
    return value if edge is None else lift(value, edge[0], edge[1])


def _through_composition(node: Node, g: Any, saved: Sequence[Any], lift: Lift) -> Sequence[Any]:
    """Differentiate a fused op's composition in place of its rule, which is first-order only.

    The inputs are passed through ``identity`` so that the composition's graph has ends of its own:
    where one input was computed from another, its gradient must not run on into that one.
    """
    op = node.op
    assert op.composition is not None
    values = list(saved[len(node.plan.slots) :])
    ends: list[Any] = [None] * len(values)
    for i, edge in enumerate(node.edges):
        if edge is not None:
            values[i] = ends[i] = ops.identity(lift(values[i], edge[0], edge[1]))
    outs = op.composition(*values)
    pairs = [(outs, g)] if len(op.outputs) == 1 else list(zip(outs, g, strict=True))
    roots = [((o._node, o._index), g_o) for o, g_o in pairs if o._node is not None]
    keys = {(end._node, 0): i for i, end in enumerate(ends) if end is not None}
    found = run_backward(roots, retain=True, lift=lift, wanted=keys)
    result: list[Any] = [None] * len(values)
    for key, i in keys.items():
        result[i] = found.get(key)
    return result


def _on_the_way(roots: Iterable[tuple[Key, Any]], wanted: Mapping[Key, Any]) -> set[Node | Leaf]:
    """The nodes from which a wanted place can be reached."""
    seen: set[Node | Leaf] = set()
    stack = [node for (node, _), _ in roots]
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            if isinstance(node, Node):
                stack += [edge[0] for edge in node.edges if edge is not None]
    needed = {node for node, _ in wanted}
    for node in sorted(seen, key=lambda n: n.number):  # inputs come before their consumers
        if isinstance(node, Node) and any(e is not None and e[0] in needed for e in node.edges):
            needed.add(node)
    return needed


def unbroadcast(g: Any, shape: tuple[int, ...], name: str) -> Any:
    """Sum ``g`` over the axes along which an input of ``shape`` was broadcast."""
    extra = len(g.shape) - len(shape)
    if extra < 0:
        raise ShapeError(f"{name}: its rule gave a gradient of shape {g.shape} for {shape}")
    axes = tuple(range(extra)) + tuple(
        extra + i for i, n in enumerate(shape) if n == 1 and g.shape[extra + i] != 1
    )
    if axes:
        g = ops.sum(g, axis=axes, keepdims=True)
    if g.shape[extra:] != shape:
        raise ShapeError(f"{name}: its rule gave a gradient of shape {g.shape} for {shape}")
    return ops.reshape(g, shape) if extra else g


def accumulate(leaf: Leaf, g: Any, lift: Lift | None) -> None:
    """Add ``g`` to a leaf's gradient. The leaf owns the array it keeps and adds to it in place."""
    held = leaf.grad
    if lift is not None:
        leaf.grad = _plus(held, g)
    elif held is None:
        leaf.grad = xp_of(g).array(g, copy=True)  # g may be shared with other leaves
    elif isinstance(held, Traced):
        if held._node is None:
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


def _run_hooks(
    hooks: Mapping[int, Sequence[Callable[[Any], Any]]], grads: list[Any], lift: Lift | None
) -> None:
    for index, functions in hooks.items():
        for fn in functions:
            if grads[index] is not None:
                changed = fn(grads[index])
                grads[index] = grads[index] if changed is None else changed
