"""The tape: what was computed from what, and what its derivative needs.

Recording an op makes a ``Node``. A node keeps an edge to where each input came from, and just the
arrays that its derivative rules ask for. Nodes are numbered in the order they are made, so every
consumer of a node has a higher number than the node itself; backward.py needs no other order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from tinygrad_seq.autograd.changes import changed_since, tick
from tinygrad_seq.autograd.modes import modes
from tinygrad_seq.backend import Array, array_types, as_array
from tinygrad_seq.errors import GraphError
from tinygrad_seq.ops.primitive import Plan, Primitive

class Traced:
    """An array and its place on the tape: what the tape needs to know of a Tensor."""

    __slots__ = ("__weakref__", "_node", "data")

    data: Array
    _node: Place | None

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

    __slots__ = ("inputs", "plan", "saved")

    def __init__(self, data: Array, plan: Plan, inputs: Any, saved: Any):
        self.number = tick()
        self.shape = data.shape
        self.dtype = data.dtype
        self.extras = None
        self.plan = plan
        self.inputs = inputs  # the places of ``plan.inputs``, or of each of a list of arrays
        self.saved = saved  # a tuple; None once freed; what recomputes it inside tg.checkpoint

    @property
    def op(self) -> Primitive:
        """The op that made this node."""
        return self.plan.op

    def restore(self) -> tuple[Any, ...]:
        """What was saved, where it is not simply here."""
        if self.saved is None:
            raise GraphError(
                f"{self.op.name}: backward a second time through a graph that was freed; "
                "give the first backward retain_graph=True"
            )
        self.saved = self.saved()
        return self.saved  # type: ignore[no-any-return]

    def check_unchanged(self, saved: Sequence[Any]) -> None:
        """Raise if something that was saved has been changed in place since."""
        names = [*self.op.params, *self.op.outputs, *self.op.residuals]
        kept = [names[position] for position in self.plan.arrays]
        if self.op.composition is not None:
            kept += [*([""] * len(self.plan.shapes)), *self.op.params]
        for name, value in zip(kept, saved, strict=False):
            if changed_since(value, self.number):
                raise GraphError(
                    f"{self.op.name}: {name} was changed in place after it was used, and the "
                    "derivative needs it as it was; change a copy instead"
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
    values: list[Any] = []
    places: list[Place] = []
    needs, bit = 0, 1  # needs has a bit set for each input that has a place on the tape
    for value in op.bind(args, kwargs) if kwargs or len(args) != op.arity else args:
        if isinstance(value, Traced):
            values.append(value.data)
            place = value._node
            if place is not None:
                places.append(place)
                needs |= bit
        else:
            values.append(value)
        bit += bit
    try:
        out = op.forward(*values)
    except Exception as error:
        raise op.explain(error, values) from error
    watch = modes.watch if needs else 0
    if watch == 2 or not op.simple:
        return _put(op, out, values, places, needs)

    # What follows does for one output what _put does in general, and faster.
    result = new(Traced.result_class)
    result.data = out = out if type(out) in array_types else np.asarray(out)
    plan = op.plans.get(needs) or op.plan(needs) if watch else None
    if plan is None:
        result._node = None
    else:
        values.append(out)
        saved = plan.take(values)
        if plan.shapes:
            saved += tuple([_shape(values[p]) for p in plan.shapes])
        result._node = Node(out, plan, places, saved)
    return result


new = object.__new__


def _shape(value: Any) -> Any:
    return [v.shape for v in value] if isinstance(value, list) else getattr(value, "shape", ())


def _record_sequence(op: Primitive, arrays: Sequence[Any], *params: Any) -> Any:
    """``record`` for an op whose first input is a list of arrays, each with a place."""
    places = [a._node if isinstance(a, Traced) else None for a in arrays]
    values = [
        [a.data if isinstance(a, Traced) else a for a in arrays],
        *(p.data if isinstance(p, Traced) else p for p in params),
    ]
    try:
        out = op.forward(*values)
    except Exception as error:
        raise op.explain(error, values) from error
    return _put(op, out, values, places, int(any(p is not None for p in places)))


def _put(
    op: Primitive, out: Any, values: list[Any], places: Sequence[Place | None], needs: int
) -> Any:
    """Wrap what ``op`` computed, with a node if a gradient could be asked for."""
    width = len(op.outputs)
    parts = [*out] if op.residuals or width > 1 else [out]
    outs = [as_array(o) for o in parts[:width]]
    nodes: list[Place | None] = [None] * width
    plan = op.plan(needs) if needs and modes.grad_enabled else None
    if plan is not None:
        pool = [*values, *outs, *parts[width:]]
        saved = plan.take(pool) + tuple([_shape(pool[p]) for p in plan.shapes])
        if op.composition is not None:  # higher derivatives start again from the inputs
            saved += tuple(values)
        if width == 1:
            nodes = [Node(outs[0], plan, places, saved)]
        else:
            wide = WideNode(outs[0], plan, places, saved)
            wide.outs = [(o.shape, o.dtype) for o in outs]
            nodes = [Output(o, wide, i) for i, o in enumerate(outs)]
    results = []
    for data, node in zip(outs, nodes, strict=True):
        result = new(Traced.result_class)
        result.data, result._node = data, node
        results.append(result)
    if modes.listener is not None:
        modes.listener.recorded(op, values, results)
    return results[0] if width == 1 else tuple(results)
