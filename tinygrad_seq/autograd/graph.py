"""Reading the tape: what was computed from what, as plain records to look at or to draw."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from tinygrad_seq.autograd.backward import run_backward
from tinygrad_seq.autograd.functional import _many
from tinygrad_seq.autograd.tape import Node, Output, Place, Traced, WideNode
from tinygrad_seq.autograd.tensor import Tensor, seed
from tinygrad_seq.backend import to_host, xp_of
from tinygrad_seq.errors import ArgumentError, GraphError, expect


class GraphInput(NamedTuple):
    """One input of an op: the node it came from, and which of that node's outputs it is."""

    node: int
    argument: str
    output: int = 0


class GraphNode(NamedTuple):
    """One op that was recorded, or one leaf, that is a tensor the user made.

    kind: "op", "parameter" (a leaf that a Module named) or "input" (any other leaf). op: which one,
    "" for a leaf. name: what the caller calls it, "" without one. shapes, dtypes, outputs: of each
    output, most often one, and what the op calls it. inputs: those that gradients flow to, by
    their place among ``Graph.nodes``. grad_norm: ‖∂L/∂x‖₂ of all outputs together, None where it is
    not known.
    """

    kind: str
    op: str
    name: str
    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[str, ...]
    outputs: tuple[str, ...]
    inputs: tuple[GraphInput, ...] = ()
    grad_norm: float | None = None


class Graph(NamedTuple):
    """The nodes in the order they were made, inputs before what uses them; ``outputs`` are places
    among them."""

    nodes: tuple[GraphNode, ...]
    outputs: tuple[int, ...]


def graph(outputs: Any, names: Any = None, *, gradients: bool = False) -> Graph:
    """What the tape holds behind a tensor, or several: ops, shapes, dtypes and gradient norms.

    names: what tensors are called: a Module (its ``named_parameters``), or a mapping of names to
    tensors and Modules. gradients: go back from the outputs, which must be scalars, and note the
    norm of every gradient of their sum; hooks are called, no ``.grad`` changes, the graph is kept.
    Without it norms are known where a gradient lies already: in leaves' ``.grad``, or where
    ``retain_grad`` asked for it.

    What needs no gradient is not on the tape, and so not in the graph. Nothing here keeps an array
    alive or changes the tape. ``tinygrad_seq.viz.graph`` draws the result.

    >>> import tinygrad_seq as tg
    >>> x = tg.ones((2, 3), requires_grad=True)
    >>> g = tg.graph(tg.tanh(x).sum(), {"x": x}, gradients=True)
    >>> [(node.op or node.name, node.shapes[0]) for node in g.nodes]
    [('x', (2, 3)), ('tanh', (2, 3)), ('sum', ())]

    Raises GraphError if an output does not require grad, or ``gradients`` is asked of a graph that
    was freed; ArgumentError for a named tensor that does not require grad.
    """
    outs = _many(outputs)
    for out in outs:
        ok = isinstance(out, Tensor) and out._node is not None
        got = "one without a history" if isinstance(out, Tensor) else type(out).__name__
        expect(ok, "graph", "outputs that require grad", got, GraphError)
    called = _names(names)
    places = _behind([out._node for out in outs])
    norms = _norms(outs, places) if gradients else {p: _held_norm(p) for p in places}
    at = {place: i for i, place in enumerate(p for p in places if not isinstance(p, Output))}
    nodes = tuple(_record(place, at, called, norms.get(place)) for place in at)
    return Graph(nodes, tuple(_source(out._node, at)[0] for out in outs))


def _names(names: Any) -> dict[Place, tuple[str, str]]:
    """For each place that has a name its kind and name. One with several gets the first."""
    called: dict[Place, tuple[str, str]] = {}
    given = names if isinstance(names, Mapping) else {} if names is None else {"": names}
    for name, value in given.items():
        if hasattr(value, "named_parameters"):
            for inner, parameter in value.named_parameters(name):
                if parameter._node is not None:  # a frozen one is not on the tape
                    called.setdefault(parameter._node, ("parameter", inner))
        else:
            ok = isinstance(value, Traced) and value._node is not None
            expected = f"a tensor that requires grad for {name!r}"
            got = "one that does not" if isinstance(value, Traced) else type(value).__name__
            expect(ok, "graph", expected, got, ArgumentError)
            place = value._node.parent if isinstance(value._node, Output) else value._node
            called.setdefault(place, ("input", str(name)))
    return called


def _behind(roots: Sequence[Place]) -> list[Place]:
    """All places that lead to the roots, in the order they were made."""
    seen: set[Place] = set()
    stack = list(roots)
    while stack:
        place = stack.pop()
        if place not in seen:
            seen.add(place)
            stack += [source for source in _sources(place) if source is not None]
    return sorted(seen, key=lambda place: -place.number)


def _sources(place: Place) -> Sequence[Place | None]:
    if isinstance(place, Output):
        return (place.parent,)
    return place.inputs if isinstance(place, Node) else ()


def _record(
    place: Place,
    at: Mapping[Place, int],
    called: Mapping[Place, tuple[str, str]],
    norm: float | None,
) -> GraphNode:
    outs = place.outs if isinstance(place, WideNode) else [(place.shape, place.dtype)]
    shapes, dtypes = tuple(s for s, _ in outs), tuple(_dtype_name(d) for _, d in outs)
    kind, name = called.get(place, ("input", ""))
    if not isinstance(place, Node):
        return GraphNode(kind, "", name, shapes, dtypes, ("",), (), norm)
    inputs = tuple(
        GraphInput(*_source(source, at)._replace(argument=argument))
        for argument, source in zip(_arguments(place), place.inputs, strict=True)
        if source is not None
    )
    return GraphNode("op", place.op.name, name, shapes, dtypes, place.op.outputs, inputs, norm)


@cache
def _dtype_name(dtype: Any) -> str:
    return str(dtype)


def _source(place: Place, at: Mapping[Place, int]) -> GraphInput:
    """Where a gradient for ``place`` goes: a node, and which output of it."""
    if isinstance(place, Output):
        return GraphInput(at[place.parent], "", place.index)
    return GraphInput(at[place], "")


def _arguments(node: Node) -> Iterator[str]:
    """What the op calls each of the inputs."""
    op = node.op
    if op.sequence:
        return (f"{op.params[0]}[{i}]" for i in range(len(node.inputs)))
    return (op.params[i] for i in node.plan.inputs)


def _held_norm(place: Place) -> float | None:
    """The norm of a gradient that an earlier backward pass left here."""
    held = getattr(place, "grad", None)
    if held is None and place.extras is not None:
        held = place.extras.retained
    return None if held is None else _norm([held])


def _norms(outs: Sequence[Tensor], places: Sequence[Place]) -> dict[Place, float]:
    """The norms of all gradients, from a backward pass of their own."""
    roots = [seed("graph", out, None, False) for out in outs]
    found = run_backward(roots, retain=True, wanted=places)
    return {p: _norm(g if isinstance(p, WideNode) else [g]) for p, g in found.items()}


def _norm(parts: Sequence[Any]) -> float:
    arrays = [part.data if isinstance(part, Traced) else part for part in parts if part is not None]
    return math.hypot(*(float(to_host(xp_of(a).linalg.norm(a.reshape(-1)))) for a in arrays))
