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
from heapq import heappop, heappush, heappushpop
from typing import Any

from tinygrad_seq import ops
from tinygrad_seq.autograd.changes import last_change, stamp_change
from tinygrad_seq.autograd.modes import enable_grad, modes
from tinygrad_seq.autograd.tape import Extras, Node, Output, Place, Traced, WideNode
from tinygrad_seq.backend import beside, several_devices, xp_of
from tinygrad_seq.errors import ShapeError

Lift = Callable[[Any, Place], Any]


def run_backward(
    roots: Iterable[tuple[Place, Any]],
    *,
    retain: bool = False,
    lift: Lift | None = None,
    wanted: Iterable[Place] | None = None,
) -> dict[Place, Any]:
    """Send the gradients in ``roots`` back to where they came from.

    With ``wanted`` None they add up in the leaves' ``.grad``; otherwise only what is on the way to
    the wanted places is computed, and their gradients are returned.
    """
    # number of a place → [the place, its gradient so far, whether that is a sum made here]
    pending: dict[int, list[Any]] = {}
    youngest: list[int] = []  # a heap of their numbers
    found: dict[Place, Any] = {}
    arriving: Iterable[tuple[Place | None, Any]] = [*roots]
    targets = frozenset(wanted or ())
    needed = None if wanted is None else _on_the_way([place for place, _ in arriving], targets)
    listeners = modes.listeners
    newest = 0  # a number that is not on the heap yet: most often it would be taken off at once
    source: Node | None = None  # whose rules gave what is arriving
    while True:
        for place, g in arriving:
            if g is None or place is None or (needed is not None and place not in needed):
                continue
            if g.shape != place.shape:
                g = unbroadcast(g, place.shape, source)
            if g.dtype is not place.dtype and g.dtype != place.dtype:
                g = ops.astype(g, place.dtype)
            number = place.number
            slot = pending.get(number)
            if slot is None:
                pending[number] = [place, g, False]
                if newest:
                    heappush(youngest, newest)
                newest = number
            elif slot[2] and not several_devices:
                slot[1] += g  # nobody else holds this array
            else:
                slot[1] = ops.add(slot[1], g)
                slot[2] = lift is None
        if newest:
            number, newest = heappushpop(youngest, newest), 0
        elif youngest:
            number = heappop(youngest)
        else:
            return found
        place, g, _ = pending.pop(number)
        if place.extras is not None:
            g = _serve(place.extras, g, wanted is None)
        if targets and place in targets:
            found[place] = g
        if isinstance(place, Node):
            saved = place.saved
            if type(saved) is not tuple:
                saved = place.restore()
            if last_change[0] < number:
                place.check_unchanged(saved)
            if lift is None and not several_devices:
                given = place.plan.differentiate(g, saved)
            else:
                given = _differentiate(place, g, saved, lift)
            for listener in listeners:
                listener.differentiated(place, given)
            source = place
            arriving = zip(place.inputs, given)  # noqa: B905 - equal by construction
            if not retain:
                place.saved = None
        else:
            arriving = ()
            if isinstance(place, Output):
                _pass_on(place, g, pending, youngest)
            elif wanted is None:
                accumulate(place, g, lift)


def _pass_on(place: Output, g: Any, pending: dict[int, list[Any]], youngest: list[int]) -> None:
    """Hand the gradient of one output to the node of an op with several.

    All outputs are younger than their node, so it waits until each that was used has come.
    """
    parent = place.parent
    slot = pending.get(parent.number)
    if slot is None:
        slot = pending[parent.number] = [parent, _nothing(parent, g), False]
        heappush(youngest, parent.number)
    slot[1][place.index] = g


def _nothing(node: WideNode, like: Any) -> list[Any]:
    """What stands for the gradients of outputs that nobody used: zeros, or None."""
    if node.op.unused_as_none:
        return [None] * len(node.outs)
    return [ops.full_like(like, 0, shape=shape, dtype=dtype) for shape, dtype in node.outs]


def _differentiate(node: Node, g: Any, saved: Sequence[Any], lift: Lift | None) -> Sequence[Any]:
    """Apply a node's rules where that takes more than calling them: on another device, or to
    Tensors, so that what they compute is on the tape in its turn."""
    if lift is None:
        with beside(*g) if isinstance(node, WideNode) else beside(g):
            return node.plan.differentiate(g, saved)
    with enable_grad():
        if node.op.composition is not None:
            return _through_composition(node, g, saved, lift)
        return node.plan.differentiate(g, _lifted(node, saved, lift))


def _lifted(node: Node, saved: Sequence[Any], lift: Lift) -> list[Any]:
    """The saved arrays as Tensors that remember where they came from."""
    op, plan = node.op, node.plan
    lifted = list(saved)
    for i, name in enumerate(plan.saved):
        if op.sequence and name == op.params[0]:
            pairs = zip(saved[i], node.inputs, strict=True)
            lifted[i] = [v if place is None else lift(v, place) for v, place in pairs]
        elif name in op.params and op.params.index(name) in plan.inputs:
            lifted[i] = lift(saved[i], node.inputs[plan.inputs.index(op.params.index(name))])
        elif name == op.outputs[0]:
            lifted[i] = lift(saved[i], node)
    return lifted


def _through_composition(node: Node, g: Any, saved: Sequence[Any], lift: Lift) -> Sequence[Any]:
    """Differentiate a fused op's composition in place of its rule, which is first-order only.

    The inputs are passed through ``identity`` so that the composition's graph has ends of its own:
    where one input was computed from another, its gradient must not run on into that one.
    """
    op = node.op
    assert op.composition is not None
    values = list(saved[-op.arity :])
    ends: list[Place] = []
    for position, place in zip(node.plan.inputs, node.inputs, strict=True):
        values[position] = ops.identity(lift(values[position], place))
        ends.append(values[position]._node)
    outs = op.composition(*values)
    pairs = zip(outs, g, strict=True) if isinstance(node, WideNode) else [(outs, g)]
    roots = [(o._node, g_o) for o, g_o in pairs if o._node is not None and g_o is not None]
    found = run_backward(roots, retain=True, lift=lift, wanted=ends)
    return [found.get(end) for end in ends]


def _on_the_way(roots: Sequence[Any], targets: frozenset[Place]) -> set[Place]:
    """The places from which a wanted one can be reached."""
    seen: set[Place] = set()
    stack = list(roots)
    while stack:
        place = stack.pop()
        if place is not None and place not in seen:
            seen.add(place)
            stack += _sources(place)
    needed = set(targets)
    for place in sorted(seen, key=lambda p: -p.number):  # inputs come before their consumers
        if any(source in needed for source in _sources(place)):
            needed.add(place)
    return needed


def _sources(place: Place) -> Sequence[Place | None]:
    if isinstance(place, Node):
        return place.inputs
    return (place.parent,) if isinstance(place, Output) else ()


def unbroadcast(g: Any, shape: tuple[int, ...], source: Node | None) -> Any:
    """Sum ``g`` over the axes along which an input of ``shape`` was broadcast."""
    extra = len(g.shape) - len(shape)
    axes = tuple(range(extra)) + tuple(
        extra + i for i, n in enumerate(shape) if n == 1 and g.shape[extra + i] != 1
    )
    total = ops.sum(g, axis=axes, keepdims=True) if axes else g
    if extra < 0 or total.shape[extra:] != shape:
        name = "backward" if source is None else source.op.name
        raise ShapeError(
            f"{name}: its rule gave a gradient of shape {g.shape} for an input of shape {shape}"
        )
    return ops.reshape(total, shape) if extra else total


def accumulate(leaf: Any, g: Any, lift: Lift | None) -> None:
    """Add ``g`` to a leaf's gradient. The leaf owns the array it keeps and adds to it in place."""
    held = leaf.grad
    if lift is not None or (isinstance(held, Traced) and held._node is not None):
        leaf.grad = _plus(held, g)
        return
    with beside(g):
        if held is None:
            leaf.grad = xp_of(g).array(g, copy=True)  # g may be shared with other leaves
        elif isinstance(held, Traced):
            held.data += g
            stamp_change(held.data)
        else:
            leaf.grad += g


def _plus(total: Any, g: Any) -> Any:
    return g if total is None else total if g is None else total + g


def _serve(extras: Extras, g: Any, retain: bool) -> Any:
    """Run the hooks on a gradient that is complete; keep it if that was asked for."""
    for hook in list(extras.hooks):
        changed = hook(g)
        g = g if changed is None else changed
    if retain and extras.retain:
        extras.retained = _plus(extras.retained, g)
    return g
