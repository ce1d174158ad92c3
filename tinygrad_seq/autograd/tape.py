"""The tape: what was computed from what, and what its derivative needs.

Recording an op makes a ``Node``. A node keeps an edge to where each input came from, and just the
arrays that its derivative rules ask for. Nodes are numbered in the order they are made, so every
consumer of a node has a higher number than the node itself; backward.py needs no other order.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from tinygrad_seq.autograd.modes import modes
from tinygrad_seq.backend import Array
from tinygrad_seq.errors import GraphError
from tinygrad_seq.ops.primitive import Plan, Primitive

# One clock numbers the nodes and stamps in-place changes, so that "changed since?" is one compare.
_ticks = itertools.count(1)
tick = _ticks.__next__

# When an array was last changed in place. Views of the same memory share one cell.
Version = list[int]


class Traced:
    """An array and the place on the tape it came from: what the tape needs to know of a Tensor."""

    __slots__ = ("__weakref__", "_index", "_node", "_version", "data")

    data: Array
    _node: Node | Leaf | None
    _index: int
    _version: Version


class Edge(NamedTuple):
    """Where a gradient goes: output ``index`` of ``node``, in the shape and dtype it has there."""

    node: Node | Leaf
    index: int
    shape: tuple[int, ...]
    dtype: Any


class Leaf:
    """The place on the tape of a tensor that the user made; gradients end and add up here."""

    __slots__ = ("grad", "hooks", "number")

    def __init__(self) -> None:
        self.number = tick()
        self.grad: Any = None
        self.hooks: dict[int, list[Callable[[Any], Any]]] | None = None


class Node:
    """One recorded op."""

    __slots__ = ("edges", "hooks", "needs", "number", "op", "outs", "plan", "retained", "saved",
                 "trace", "versions")  # fmt: skip

    def __init__(self, op: Primitive, plan: Plan, needs: tuple[bool, ...], edges: list[Any]):
        self.number = tick()
        self.op = op
        self.plan = plan
        self.needs = needs
        self.edges = edges
        #: (shape, dtype) of each output of an op with several
        self.outs: Any = None
        #: the saved arrays; None once freed
        self.saved: Any = None
        self.versions: list[Version] = []
        self.hooks: dict[int, list[Callable[[Any], Any]]] | None = None
        self.retained: dict[int, Any] | None = None
        self.trace: Any = None

    def unpack(self) -> Sequence[Any]:
        """The saved arrays, if they are still there and still what they were."""
        saved = self.saved
        if saved is None:
            raise GraphError(
                f"{self.op.name}: backward a second time through a graph that was freed; "
                "give the first backward retain_graph=True"
            )
        number = self.number
        for version in self.versions:
            if version[0] > number:
                raise GraphError(
                    f"{self.op.name}: an array that its derivative needs was changed in place "
                    "after it was used; change a copy instead"
                )
        if type(saved) is not list:  # inside tg.checkpoint: recompute
            saved = self.saved = saved()
        return saved  # type: ignore[no-any-return]


def record(
    op: Primitive, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[Any, Node | None, list[Version]]:
    """Compute ``op`` and, if a gradient could be asked for, put it on the tape.

    → the raw result (a tuple for an op with several outputs), its node, and a version cell for
    each output.
    """
    bound = op.bind(args, kwargs)
    inputs = [*bound[0], *bound[1:]] if op.sequence else bound
    raw: list[Any] = []
    edges: list[Any] = []
    tracked = False
    for value in inputs:
        if isinstance(value, Traced):
            data = value.data
            raw.append(data)
            node = value._node
            if node is None:
                edges.append(None)
            else:
                edges.append((node, value._index, data.shape, data.dtype))
                tracked = True
        else:
            raw.append(value)
            edges.append(None)
    count = len(inputs) - op.arity + 1  # how many arrays a sequence op was given; else 1
    values = [raw[:count], *raw[count:]] if op.sequence else raw
    try:
        out = op.forward(*values)
    except Exception as error:
        raise op.explain(error, values) from error

    single = len(op.outputs) == 1
    residuals: Sequence[Any] = ()
    if op.residuals:
        n = len(op.outputs)
        out, residuals = (out[0] if single else out[:n]), out[n:]
    outs = (out,) if single else out
    if op.view and isinstance(inputs[0], Traced):
        versions = [inputs[0]._version] * len(outs)
    else:
        versions = [[0] for _ in outs]
    recorded = None
    if tracked and modes.grad_enabled:
        recorded = _make_node(op, inputs, edges, values, outs, residuals, versions, count)
    if modes.observer is not None:
        modes.observer.forward(op, values, outs, recorded)
    return out, recorded, versions


def _make_node(
    op: Primitive,
    inputs: Sequence[Any],
    edges: list[Any],
    values: list[Any],
    outs: Sequence[Any],
    residuals: Sequence[Any],
    versions: list[Version],
    count: int,
) -> Node | None:
    if op.sequence:
        flags = op._differentiable[:1] * count + op._differentiable[1:]
    else:
        flags = op._differentiable
    if not any(flags):
        return None  # a comparison, an argmax: nothing flows back
    needs = tuple([edge is not None for edge in edges])
    for flag, need, position in zip(flags, needs, range(len(needs)), strict=True):
        if need and not flag:
            name = op.params[max(0, position - count + 1)]
            raise GraphError(f"{op.name}: there is no gradient for {name!r}; detach() it")
    plan = op.plan(needs if not op.sequence else (any(needs[:count]), *needs[count:]))
    node = Node(op, plan, needs, edges)
    saved: list[Any] = []
    arity = op.arity
    for position, only_shape in plan.slots:
        if position < arity:
            value = values[position]
            if only_shape:
                shapes = [v.shape for v in value] if op.sequence and position == 0 else None
                saved.append(shapes if shapes is not None else getattr(value, "shape", ()))
                continue
            if op.sequence:
                members = inputs[:count] if position == 0 else ()
                node.versions += [v._version for v in members if isinstance(v, Traced)]
            elif isinstance(inputs[position], Traced):
                node.versions.append(inputs[position]._version)
        elif position < arity + len(outs):
            value = outs[position - arity]
            node.versions.append(versions[position - arity])
        else:
            value = residuals[position - arity - len(outs)]
        saved.append(value.shape if only_shape else value)
    if op.composition is not None:  # higher derivatives start again from the inputs
        saved += values
        node.versions += [v._version for v in inputs if isinstance(v, Traced)]
    if len(outs) > 1:
        node.outs = [(o.shape, o.dtype) for o in outs]
    if modes.segment is not None:
        node.saved = modes.segment.keep(node, saved)
    else:
        node.saved = saved
    return node
