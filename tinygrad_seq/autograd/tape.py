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

class Traced:
    """An array and its place on the tape: what the tape needs to know of a Tensor."""

    __slots__ = ("__weakref__", "_node", "_version", "data")

    data: Array
    _node: Place | None
    _version: Version

    #: the class of what ops return; it declares itself: ``class Tensor(Traced, result=True)``
    result_class: ClassVar[type[Traced]]

    def __init_subclass__(cls, result: bool = False) -> None:
        if result:
            Traced.result_class = cls


class Extras:
    """What few places have: hooks on their gradient, a wish to retain it, a trace of its making."""

    __slots__ = ("hooks", "retain", "retained", "trace")

    def __init__(self) -> None:
        self.hooks: list[Callable[[Any], Any]] = []
        self.retain = False
        self.retained: Any = None
        self.trace: str | None = None


class Place:
    """A place on the tape that one gradient arrives at, of this shape and dtype."""

    __slots__ = ("dtype", "extras", "number", "shape")

    def __init__(self, data: Array):
        self.number = tick()
        self.shape: tuple[int, ...] = data.shape
        self.dtype = data.dtype
        self.extras: Extras | None = None


class Leaf(Place):
    """The place of a tensor that the user made; gradients end and add up here."""

    __slots__ = ("grad",)

    def __init__(self, data: Array):
        super().__init__(data)
        self.grad: Any = None


class Node(Place):
    """The place of an op's output: where its inputs came from, and what its rules need."""

    __slots__ = ("inputs", "plan", "saved", "versions")

    def __init__(self, data: Array, plan: Plan, inputs: Any, saved: Any, versions: Sequence[Any]):
        self.number = tick()
        self.shape = data.shape
        self.dtype = data.dtype
        self.extras = None
        self.plan = plan
        self.inputs = inputs  # the places of ``plan.inputs``, or of each of a list of arrays
        self.saved = saved  # a tuple; None once freed; what recomputes it inside tg.checkpoint
        self.versions = versions

    @property
    def op(self) -> Primitive:
        """The op that made this node."""
        return self.plan.op

    def restore(self) -> tuple[Any, ...]:
        """What was saved, where it is no longer here as it was."""
        if self.saved is None:
            raise GraphError(
                f"{self.op.name}: backward a second time through a graph that was freed; "
                "give the first backward retain_graph=True"
            )
        self.saved = self.saved()
        return self.saved  # type: ignore[no-any-return]

    def changed(self) -> GraphError:
        """The error for a saved array that is no longer what it was."""
        return GraphError(
            f"{self.op.name}: an array that its derivative needs was changed in place after it "
            "was used; change a copy instead"
        )


class WideNode(Node):
    """The node of an op with several outputs. Each has a place of its own, which passes the
    gradient on to here; ``outs`` holds their shapes and dtypes."""

    __slots__ = ("outs",)


class Output(Place):
    """The place of one output of an op with several."""

    __slots__ = ("index", "parent")

    def __init__(self, data: Array, parent: WideNode, index: int):
        super().__init__(data)
        self.parent = parent
        self.index = index


def record(op: Primitive, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Compute ``op`` and, if a gradient could be asked for, put it on the tape."""
    if op.sequence:
        return _record_sequence(op, *op.bind(args, kwargs))
    inputs = op.bind(args, kwargs) if kwargs or len(args) != op.arity else args
    values: list[Any] = []
    versions: list[Any] = []
    places: list[Place] = []
    needs, bit = 0, 1  # needs has a bit set for each input that has a place on the tape
    for value in inputs:
        if isinstance(value, Traced):
            values.append(value.data)
            versions.append(value._version)
            place = value._node
            if place is not None:
                places.append(place)
                needs |= bit
        else:
            values.append(value)
            versions.append(None)
        bit += bit
    try:
        out = op.forward(*values)
    except Exception as error:
        raise op.explain(error, values) from error
    watch = modes.watch if needs else 0
    if watch == 2 or not op.simple:
        return _put(op, out, values, places, versions, needs)

    # What follows does for one output what _put does in general, and faster.
    result = new(Traced.result_class)
    result.data = out = out if type(out) in array_types else np.asarray(out)
    result._version = version = versions[0] if op.view and versions[0] is not None else [0]
    plan = op.plans.get(needs) or op.plan(needs) if watch else None
    if plan is None:
        result._node = None
    else:
        values.append(out)
        versions.append(version)
        saved = plan.take(values)
        if plan.shapes:
            saved += tuple([_shape(values[p]) for p in plan.shapes])
        result._node = Node(out, plan, places, saved, plan.take(versions))
    return result


new = object.__new__


def _shape(value: Any) -> Any:
    return [v.shape for v in value] if isinstance(value, list) else getattr(value, "shape", ())


def _record_sequence(op: Primitive, arrays: Sequence[Any], *params: Any) -> Any:
    """``record`` for an op whose first input is a list of arrays, each with a place."""
    members = [a if isinstance(a, Traced) else None for a in arrays]
    places = [None if m is None else m._node for m in members]
    values = [
        [a.data if isinstance(a, Traced) else a for a in arrays],
        *(p.data if isinstance(p, Traced) else p for p in params),
    ]
    try:
        out = op.forward(*values)
    except Exception as error:
        raise op.explain(error, values) from error
    needs = int(any(p is not None for p in places))
    versions = [None] * op.arity
    also = [m._version for m in members if m is not None]
    return _put(op, out, values, places, versions, needs, also)


def _put(
    op: Primitive,
    out: Any,
    values: list[Any],
    places: Sequence[Place | None],
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
    nodes: list[Place | None] = [None] * width
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
        if width == 1:
            nodes = [Node(outs[0], plan, places, saved, watched)]
        else:
            wide = WideNode(outs[0], plan, places, saved, watched)
            wide.outs = [(o.shape, o.dtype) for o in outs]
            nodes = [Output(o, wide, i) for i, o in enumerate(outs)]
    results = []
    for data, node, cell in zip(outs, nodes, cells, strict=True):
        result = new(Traced.result_class)
        result.data, result._node, result._version = data, node, cell
        results.append(result)
    if modes.listener is not None:
        modes.listener.recorded(op, values, results)
    return results[0] if width == 1 else tuple(results)
