"""The tape: what was computed from what, and what its derivative needs.

Recording an op makes a ``Node``. A node keeps an edge to where each input came from, and just the
arrays that its derivative rules ask for. Nodes are numbered in the order they are made, so every
consumer of a node has a higher number than the node itself; backward.py needs no other order.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from tinygrad_seq.autograd.modes import modes
from tinygrad_seq.backend import Array, array_types, as_array
from tinygrad_seq.errors import GraphError
from tinygrad_seq.ops.primitive import Plan, Primitive

# One clock numbers the nodes and stamps in-place changes, so that "changed since?" is one compare.
tick = itertools.count(1).__next__

# When an array was last changed in place. Views of the same memory share one cell.
Version = list[int]

# A place on the tape: a node, which of its outputs, and the shape and dtype of that output. Edges
# and tensors are made by the thousand, so it is a plain tuple.
Edge = tuple["Node | Leaf", int, tuple[int, ...], Any]


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
    width = 1

    def __init__(self) -> None:
        self.number = tick()
        self.grad: Any = None
        self.extras: Extras | None = None


class Node:
    """One recorded op: where its inputs came from, and what its rules need."""

    __slots__ = ("edges", "extras", "number", "plan", "saved", "versions")
    width = 1  # how many outputs

    def __init__(self, plan: Plan, edges: list[Any], saved: Any, versions: Sequence[Any]):
        self.number = tick()
        self.plan = plan
        self.edges = edges  # of the inputs ``plan.inputs``; of each member, for a list of arrays
        self.saved = saved  # None once freed; a function that recomputes it inside tg.checkpoint
        self.versions = versions
        self.extras: Extras | None = None

    @property
    def op(self) -> Primitive:
        """The op that made this node."""
        return self.plan.op

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


class WideNode(Node):
    """The node of an op with several outputs: remembers their shapes and dtypes."""

    __slots__ = ("outs", "width")

    def __init__(self, outs: Sequence[Array], *args: Any):
        super().__init__(*args)
        self.width = len(outs)  # type: ignore[misc]
        self.outs = [(o.shape, o.dtype) for o in outs]


def record(op: Primitive, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Compute ``op`` and, if a gradient could be asked for, put it on the tape."""
    if op.sequence:
        return _record_sequence(op, *op.bind(args, kwargs))
    inputs = op.bind(args, kwargs) if kwargs or len(args) != op.arity else args
    values: list[Any] = []
    versions: list[Any] = []
    edges: list[Edge] = []
    needs, bit = 0, 1  # needs has a bit set for each input that has a place on the tape
    for value in inputs:
        if isinstance(value, Traced):
            values.append(value.data)
            versions.append(value._version)
            edge = value._edge
            if edge is not None:
                edges.append(edge)
                needs |= bit
        else:
            values.append(value)
            versions.append(None)
        bit += bit
    try:
        out = op.forward(*values)
    except Exception as error:
        raise op.explain(error, values) from error
    if not op.simple:
        return _put(op, out, values, edges, versions, needs)

    # What follows does for one output what _put does in general, and faster.
    result = new(Traced.result_class)
    if type(out) not in array_types:
        out = np.asarray(out)
    result.data = out
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
            node = Node(plan, edges, saved, plan.take(versions))
            result._edge = (node, 0, out.shape, out.dtype)
    if modes.listener is not None:
        modes.listener.recorded(op, values, (result,))
    return result


new = object.__new__


def _shape(value: Any) -> Any:
    return [v.shape for v in value] if isinstance(value, list) else getattr(value, "shape", ())


def _record_sequence(op: Primitive, arrays: Sequence[Any], *params: Any) -> Any:
    """``record`` for an op whose first input is a list of arrays: an edge for each of them."""
    members = [a if isinstance(a, Traced) else None for a in arrays]
    edges = [None if m is None else m._edge for m in members]
    values = [
        [a.data if isinstance(a, Traced) else a for a in arrays],
        *(p.data if isinstance(p, Traced) else p for p in params),
    ]
    try:
        out = op.forward(*values)
    except Exception as error:
        raise op.explain(error, values) from error
    needs = int(any(e is not None for e in edges))
    versions = [None] * op.arity
    also = [m._version for m in members if m is not None]
    return _put(op, out, values, edges, versions, needs, also)


def _put(
    op: Primitive,
    out: Any,
    values: list[Any],
    edges: Sequence[Edge | None],
    versions: list[Any],
    needs: int,
    also: Sequence[Version] = (),
) -> Any:
    """Wrap what ``op`` computed, with a node if a gradient could be asked for.

    ``also`` are versions to be watched beside those of what is saved by position.
    """
    width = len(op.outputs)
    parts = [*out] if op.residuals or width > 1 else [out]
    outs = [as_array(o) for o in parts[:width]]
    cells = [versions[0] if op.view and versions[0] is not None else [0] for _ in outs]
    places: list[Edge | None] = [None] * width
    plan = op.plan(needs) if needs and modes.grad_enabled else None
    if plan is not None:
        pool = [*values, *outs, *parts[width:]]
        saved = plan.take(pool) + tuple([_shape(pool[p]) for p in plan.shapes])
        watched = plan.take([*versions, *cells, *[None] * len(op.residuals)])
        if 0 in plan.arrays:
            watched += tuple(also)
        if op.composition is not None:  # higher derivatives start again from the inputs
            saved += tuple(values)
            watched += tuple(versions)
        rest = (plan, edges, saved, watched)
        node = WideNode(outs, *rest) if width > 1 else Node(*rest)
        places = [(node, i, o.shape, o.dtype) for i, o in enumerate(outs)]
    results = []
    for data, place, cell in zip(outs, places, cells, strict=True):
        result = new(Traced.result_class)
        result.data, result._edge, result._version = data, place, cell
        results.append(result)
    if modes.listener is not None:
        modes.listener.recorded(op, values, results)
    return results[0] if width == 1 else tuple(results)
