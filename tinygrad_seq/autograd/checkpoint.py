"""Trading time for memory: compute a piece of the graph again instead of keeping its arrays.

The piece is recorded as usual, so that parameters it uses get their gradients and every derivative
works, but its nodes keep no arrays. When backward first needs one of them the piece is run again,
with the random stream where it was, and what the k-th node needs is what the k-th node of the
second run saved. Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tinygrad_seq.autograd.changes import changed_since, tick
from tinygrad_seq.autograd.modes import Listener, enable_grad, is_grad_enabled, modes, switched
from tinygrad_seq.autograd.tape import Node, Output
from tinygrad_seq.backend import default_generator
from tinygrad_seq.errors import GraphError


def checkpoint(fn: Callable[..., Any], *args: Any) -> Any:
    """``fn(*args)``, keeping only the arguments and computing all else again during backward.

    ``fn`` must compute the same each time; random numbers of the default stream are replayed.
    With n steps in pieces of √n, memory falls from O(n) to O(√n) for the price of one more forward.
    Raises GraphError during backward if the second run is not like the first.
    """
    if not is_grad_enabled():
        return fn(*args)
    with switched("listeners", (*modes.listeners, _Piece(fn, args))):
        return fn(*args)


class _Piece(Listener):
    """The first run: takes from the nodes what they saved, and can compute it again."""

    def __init__(self, fn: Callable[..., Any], args: tuple[Any, ...]):
        self.fn = fn
        self.args = args
        self.began = tick()
        self.random_state = default_generator().get_state()
        self.names: list[str] = []  # of the ops recorded, in order
        self.kept: dict[int, tuple[Any, ...]] = {}  # computed again and not asked for yet

    def recorded(self, op: Any, values: Sequence[Any], results: Sequence[Any]) -> None:
        node = _node_of(results[0])
        if node is not None:
            k = len(self.names)
            self.names.append(op.name)
            node.saved = lambda: self.again(k)

    def again(self, k: int) -> tuple[Any, ...]:
        """What the k-th node saved."""
        if k not in self.kept:
            self.kept = dict(enumerate(self._run()))
        return self.kept.pop(k)

    def _run(self) -> list[tuple[Any, ...]]:
        second = _SecondRun(self.began)
        generator = default_generator()
        now = generator.get_state()
        generator.set_state(self.random_state)
        try:
            with enable_grad(), switched("listeners", (second,)):
                self.fn(*self.args)
        finally:
            generator.set_state(now)
        if second.names != self.names:
            raise GraphError(
                "checkpoint: the function did not compute the same when it was run again: "
                f"{len(self.names)} ops at first, {len(second.names)} now"
            )
        return second.saved


class _SecondRun(Listener):
    """The second run: keeps what the nodes save, and checks that they start from the same."""

    def __init__(self, began: int):
        self.began = began
        self.names: list[str] = []
        self.saved: list[tuple[Any, ...]] = []

    def recorded(self, op: Any, values: Sequence[Any], results: Sequence[Any]) -> None:
        for name, value in zip(op.params, values, strict=True):
            if changed_since(value, self.began):
                raise GraphError(
                    f"checkpoint: {name} of {op.name} was changed in place since the function was "
                    "run first, so it cannot be computed again"
                )
        node = _node_of(results[0])
        if node is not None:
            self.names.append(op.name)
            self.saved.append(node.saved)


def _node_of(result: Any) -> Node | None:
    place = result._node
    return place.parent if isinstance(place, Output) else place
