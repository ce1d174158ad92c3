"""The tape: what was computed from what, and what its derivative needs.

Recording an op makes a ``Node``. A node keeps an edge to where each input came from, and just the
arrays that its derivative rules ask for. Nodes are numbered in the order they are made, so every
consumer of a node has a higher number than the node itself; backward.py needs no other order.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

from tinygrad_seq.autograd.modes import modes
from tinygrad_seq.backend import Array, as_array
from tinygrad_seq.errors import GraphError
from tinygrad_seq.ops.primitive import Plan, Primitive

# One clock numbers the nodes and stamps in-place changes, so that "changed since?" is one compare.
tick = itertools.count(1).__next__

# When an array was last changed in place. Views of the same memory share one cell.
Version = list[int]


class Edge(NamedTuple):
    """A place on the tape: output ``index`` of ``node``, and the shape and dtype it has there."""

    node: Node | Leaf
    index: int
    shape: tuple[int, ...]
    dtype: Any


class Traced:
    """An array and its place on the tape: what the tape needs to know of a Tensor."""

    __slots__ = ("__weakref__", "_edge", "_version", "data")

    data: Array
    _edge: Edge | None
    _version: Version

    #: the class of what ops return; it declares itself: ``class Tensor(Traced, result=True)``
    result_class: ClassVar[type[Traced]]

    def __init_subclass__(cls, result: bool = False) -> None:
        if result:
            Traced.result_class = cls


class Extras:
    """What few nodes have: hooks on their outputs, gradients to retain, a trace of their making."""

    __slots__ = ("hooks", "retained", "trace")

    def __init__(self) -> None:
        self.hooks: dict[int, list[Callable[[Any], Any]]] = {}
        self.retained: dict[int, Any] = {}
        self.trace: str | None = None


class Leaf:
    """The place on the tape of a tensor that the user made; gradients end and add up here."""

    __slots__ = ("extras", "grad", "number")

    def __init__(self) -> None:
        self.number = tick()
        self.grad: Any = None
        self.extras: Extras | None = None


class Node:
    """One recorded op: where its inputs came from, and what its rules need."""

    __slots__ = ("edges", "extras", "number", "op", "outs", "plan", "saved", "versions")

    def __init__(self, op: Primitive, plan: Plan, edges: list[Any], saved: Any, versions: Any):
        self.number = tick()
        self.op = op
        self.plan = plan
        self.edges = edges
        self.saved = saved  # None once freed; a function that recomputes it inside tg.checkpoint
        self.versions = versions
        self.extras: Extras | None = None
        self.outs: Any = None  # (shape, dtype) of each output, for an op with several

    def unpack(self) -> Sequence[Any]:
        """The saved arrays, if they are still there and still what they were."""
        saved, number = self.saved, self.number
        if saved is None:
            raise GraphError(
                f"{self.op.name}: backward a second time through a graph that was freed; "
                "give the first backward retain_graph=True"
            )
        for version in self.versions:
            if version is not None and version[0] > number:
                raise GraphError(
                    f"{self.op.name}: an array that its derivative needs was changed in place "
                    "after it was used; change a copy instead"
                )
        if type(saved) is not tuple:
            saved = self.saved = saved()
        return saved  # type: ignore[no-any-return]


def record(op: Primitive, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Compute ``op`` and, if a gradient could be asked for, put it on the tape."""
    inputs = op.bind(args, kwargs) if kwargs or len(args) != op.arity else args
    if op.sequence:
        inputs = [*inputs[0], *inputs[1:]]
    values: list[Any] = []
    edges: list[Edge | None] = []
    versions: list[Any] = []
    needs, bit = 0, 1  # needs has a bit set for each input that has a place on the tape
    for value in inputs:
        if isinstance(value, Traced):
            values.append(value.data)
            versions.append(value._version)
            edge = value._edge
            if edge is not None:
                needs |= bit
        else:
            values.append(value)
            versions.append(None)
            edge = None
        edges.append(edge)
        bit += bit
    if op.sequence:
        values, versions, needs = _fold(op, values, versions, needs)
    try:
        out = op.forward(*values)
    except Exception as error:
        raise op.explain(error, values) from error
    if not op.simple:
        return _put_several(op, out, values, edges, versions, needs)

    result = new(Traced.result_class)
    result.data = out = as_array(out)
    result._version = version = versions[0] if op.view and versions[0] is not None else [0]
    result._edge = None
    if needs and modes.grad_enabled:
        plan = op.plan(needs)
        if plan is not None:
            values.append(out)
            versions.append(version)
            saved = plan.take(values)
            if plan.shapes:
                saved += tuple([_shape(values[p]) for p in plan.shapes])
            node = Node(op, plan, edges, saved, plan.take(versions))
            result._edge = Edge(node, 0, out.shape, out.dtype)
            if modes.segment is not None:
                modes.segment.keep(node)
    if modes.observer is not None:
        modes.observer.recorded(op, values, (result,))
    return result


new = object.__new__


def _fold(op: Primitive, values: list[Any], versions: list[Any], needs: int) -> tuple[Any, ...]:
    """Put the members of an op's list argument back into a list; they share one bit of needs."""
    count = len(values) - op.arity + 1
    some = int(needs & ((1 << count) - 1) > 0)
    folded = [None, *versions[count:], *versions[:count]]  # the members' versions stand last
    return [values[:count], *values[count:]], folded, some | needs >> count << 1


def _shape(value: Any) -> Any:
    return [v.shape for v in value] if isinstance(value, list) else getattr(value, "shape", ())


def _put_several(
    op: Primitive,
    out: Any,
    values: list[Any],
    edges: list[Edge | None],
    versions: list[Any],
    needs: int,
) -> Any:
    """``record``'s second half for an op with several outputs, residuals or a composition."""
    several = op.residuals or len(op.outputs) > 1
    parts = [*out] if several else [out]
    width = len(op.outputs)
    outs = [as_array(o) for o in parts[:width]]
    cells = [versions[0] if op.view and versions[0] is not None else [0] for _ in outs]
    places: list[Edge | None] = [None] * width
    plan = op.plan(needs) if needs and modes.grad_enabled else None
    if plan is not None:
        pool = [*values, *outs, *parts[width:]]
        saved = plan.take(pool) + tuple([_shape(pool[p]) for p in plan.shapes])
        checked = plan.take([*versions[: op.arity], *cells, *[None] * len(op.residuals)])
        if op.sequence and 0 in plan.arrays:
            checked += tuple(versions[op.arity :])
        if op.composition is not None:  # higher derivatives start again from the inputs
            saved += tuple(values)
            checked += tuple(versions)
        node = Node(op, plan, edges, saved, checked)
        places = [Edge(node, i, o.shape, o.dtype) for i, o in enumerate(outs)]
        if width > 1:
            node.outs = [(o.shape, o.dtype) for o in outs]
        if modes.segment is not None:
            modes.segment.keep(node)
    results = []
    for data, place, cell in zip(outs, places, cells, strict=True):
        result = new(Traced.result_class)
        result.data, result._edge, result._version = data, place, cell
        results.append(result)
    if modes.observer is not None:
        modes.observer.recorded(op, values, results)
    return results[0] if width == 1 else tuple(results)
