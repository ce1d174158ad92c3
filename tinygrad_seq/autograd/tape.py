"""The tape: what was computed from what, and what its derivative needs.

Every tensor that requires grad has a ``Place`` on the tape. The place of an op's output is a
``Node``: it leads to the places of the inputs, and keeps just what its derivative rules ask for.
Places are numbered downwards as they are made, so every consumer has a lower number than what it
consumed; backward.py needs no other order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from tinygrad_seq.autograd.changes import changed_since, tick
from tinygrad_seq.backend import Array
from tinygrad_seq.errors import GraphError
from tinygrad_seq.ops.plan import Plan
from tinygrad_seq.ops.primitive import Primitive


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
        if not self.inputs:  # cut off from its history, see unchain.py
            return ()
        if self.saved is None:
            raise GraphError(
                f"{self.op.name}: backward a second time through a graph that was freed; "
                "give the first backward retain_graph=True"
            )
        self.saved = self.saved()
        return self.saved

    def check_unchanged(self, saved: Sequence[Any]) -> None:
        """Raise if something that was saved has been changed in place since."""
        names = self.plan.saved
        if self.op.composition is not None:
            names += self.op.params
        for name, value in zip(names, saved, strict=True):
            if changed_since(value, self.number):
                raise GraphError(
                    f"{self.op.name}: {name} was changed in place after it was used, and the "
                    "derivative needs it as it was; change a copy instead"
                )


class WideNode(Node):
    """The node of an op with several outputs. Each has a place of its own, which passes the
    gradient on to here; ``outs`` holds their shapes and dtypes."""

    __slots__ = ("outs",)

    outs: Sequence[tuple[tuple[int, ...], Any]]


class Output(Place):
    """The place of one output of an op with several."""

    __slots__ = ("index", "parent")

    def __init__(self, data: Array, parent: WideNode, index: int):
        super().__init__(data)
        self.parent = parent
        self.index = index
