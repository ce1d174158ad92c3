"""Optimizer: parameter groups, state, and the loop over them; subclasses say how to update."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from tinygrad_seq.autograd import Tensor, enable_grad, no_grad
from tinygrad_seq.autograd.changes import stamp_change
from tinygrad_seq.backend import Array, beside, device_of, xp_of
from tinygrad_seq.errors import ArgumentError, expect
from tinygrad_seq.optim.loading import checked_groups, checked_state

# A list of parameters, or of dicts {"params": [...], option: value, ...}.
Params = Iterable[Tensor] | Iterable[dict[str, Any]]
Group = dict[str, Any]


class Optimizer(ABC):
    """Base of all optimisers.

    ``params`` is an iterable of parameters, or of dicts with a key ``"params"`` and options that
    differ from the defaults for that group. ``param_groups`` holds the groups; an option changed
    there (``param_groups[0]["lr"] = 1e-4``) counts from the next step on.
    """

    #: what is kept for each parameter: ``"step"``, a count, or names of arrays of its shape
    kept: tuple[str, ...] = ()

    def __init__(self, params: Params, defaults: Mapping[str, Any]):
        self.defaults = {k: _plain(v) for k, v in defaults.items()}
        self.param_groups: list[Group] = []
        #: parameter → what is kept for it
        self.state: dict[Tensor, dict[str, Any]] = {}
        self._scratch: dict[Any, Array] = {}
        name = type(self).__name__
        iterable = isinstance(params, Iterable) and not isinstance(params, (Tensor, Mapping, set))
        expected = "an iterable of parameters (in a fixed order) or of groups"
        expect(iterable, name, expected, type(params).__name__, ArgumentError)
        given: list[Any] = list(params)
        expect(given, name, "at least one parameter", "none", ArgumentError)
        groups = given if isinstance(given[0], Mapping) else [{"params": given}]
        for group in groups:
            self.add_param_group(group)

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """Optimise further parameters: ``{"params": [...], option: value, ...}``."""
        name = type(self).__name__
        ok = isinstance(group, Mapping) and "params" in group
        expect(ok, name, 'a group with a key "params"', type(group).__name__, ArgumentError)
        params = group["params"]
        params = [params] if isinstance(params, Tensor) else list(params)
        expect(params, name, "at least one parameter", "none", ArgumentError)
        taken = {id(p) for held in self.param_groups for p in held["params"]}
        for p in params:
            expect(isinstance(p, Tensor), name, "parameters", type(p).__name__, ArgumentError)
            expect(p.is_leaf, name, "leaf tensors", "the result of an op", ArgumentError)
            expect(p.dtype.kind == "f", name, "floating parameters", p.dtype, ArgumentError)
            expect(id(p) not in taken, name, "each parameter once",
                   f"one of shape {p.shape} twice", ArgumentError)  # fmt: skip
            taken.add(id(p))
        unknown = [key for key in group if key != "params" and key not in self.defaults]
        expect(not unknown, name, f"options among {list(self.defaults)}", unknown, ArgumentError)
        given = {k: _plain(v) for k, v in group.items() if k != "params"}
        options = {**self.defaults, **given}
        self.check(options)
        self.param_groups.append({"params": params, **options})

    @abstractmethod
    def check(self, options: Group) -> None:
        """Raise ArgumentError for an option out of its range."""

    @abstractmethod
    def update(self, p: Array, g: Array, state: dict[str, Any], group: Group) -> None:
        """Change ``p`` in place, given its gradient ``g``; raw arrays, no temporaries."""

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient.

        closure: computes the loss and the gradients afresh; its result is returned.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        with no_grad():
            for group in self.param_groups:
                options = {name: _plain(value) for name, value in group.items()}
                for p in group["params"]:
                    g = p.grad
                    if g is not None:
                        with beside(p.data):
                            self.update(p.data, g.data, self._state_of(p), options)
                        stamp_change(p.data)
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or with ``set_to_none=False`` fill them with zeros."""
        for p, _ in self._params():
            g = p.grad
            if g is not None and set_to_none:
                p.grad = None
            elif g is not None:
                with no_grad():
                    g.zero_()

    def _params(self) -> Iterator[tuple[Tensor, Group]]:
        return ((p, group) for group in self.param_groups for p in group["params"])

    def _state_of(self, p: Tensor) -> dict[str, Any]:
        """The state of ``p``, where ``p`` is now: it may have been moved or converted."""
        state = self.state.setdefault(p, {})
        for name, held in state.items():
            if isinstance(held, Tensor) and (
                held.dtype != p.dtype or device_of(held.data) != device_of(p.data)
            ):
                state[name] = held.to(p.device, p.dtype)
        return state

    # ------------------------------------------------------------------ for subclasses

    def buffer(self, state: dict[str, Any], name: str, like: Array) -> Array:
        """The array kept under ``name``, zeros at first."""
        if name not in state:
            state[name] = Tensor(xp_of(like).zeros_like(like))
        return state[name].data

    def scratch(self, like: Array, which: int = 0) -> Array:
        """A working array shaped as ``like``, of no known content, used anew each time."""
        key = (which, like.dtype, device_of(like))
        held = self._scratch.get(key)
        if held is None or held.size < like.size:
            held = self._scratch[key] = xp_of(like).empty(like.size, like.dtype)
        return held[: like.size].reshape(like.shape)

    def decayed(self, p: Array, g: Array, group: Group, decay: float) -> Array:
        """The direction to go down: g + decay·p, or −g + decay·p to maximise."""
        if not decay and not group["maximize"]:
            return g
        xp = xp_of(p)
        out = self.scratch(p, 1)
        xp.multiply(p, decay, out=out)
        (xp.subtract if group["maximize"] else xp.add)(out, g, out=out)
        return out

    # ------------------------------------------------------------------ saving and loading

    def state_dict(self) -> dict[str, Any]:
        """``{"state": {"0": {…}, …}, "param_groups": [{…, "params": [0, …]}]}``.

        As PyTorch's, with parameters numbered in order, but the keys of ``"state"`` are strings, so
        that ``tg.save`` takes it as it is. Tensors share the optimiser's memory.
        """
        numbers = {id(p): i for i, (p, _) in enumerate(self._params())}
        groups = [
            {**group, "params": [numbers[id(p)] for p in group["params"]]}
            for group in self.param_groups
        ]
        state = {str(numbers[id(p)]): dict(held) for p, held in self.state.items()}
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what ``state_dict`` gave; nothing changes unless everything fits.

        Raises StateError or ShapeError for another number of groups or parameters, unknown or
        missing names, wrong shapes; ArgumentError for options out of range.
        """
        name = type(self).__name__
        groups = checked_groups(name, state, self.param_groups)
        for group in groups:
            self.check(group)
        params = [p for p, _ in self._params()]
        loaded = checked_state(name, state["state"], params, self.kept)
        for held, new in zip(self.param_groups, groups, strict=True):
            held.update(new)
        self.state = dict(loaded)

    def __repr__(self) -> str:
        lines = []
        for i, group in enumerate(self.param_groups):
            shown = {k: v for k, v in group.items() if k != "params"}
            count = sum(p.size for p in group["params"])
            options = ", ".join(f"{k}={v!r}" for k, v in shown.items())
            lines.append(f"  ({i}): {len(group['params'])} tensors, {count:,} numbers; {options}")
        return "\n".join([f"{type(self).__name__}(", *lines, ")"])


def _plain(value: Any) -> Any:
    """NumPy scalars as Python's, which take the dtype of the array they meet."""
    return value.item() if isinstance(value, np.generic) else value


def in_range(op: str, options: Group, name: str, low: float, high: float = math.inf) -> None:
    """Refuse an option that is not a number in [low, high), NaN among them."""
    value = options[name]
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    bounds = f"{name} in [{low}, {high})"
    expect(number and low <= value < high, op, bounds, repr(value), ArgumentError)


def flags(op: str, options: Group, *names: str) -> None:
    """Refuse options that are not True or False."""
    for name in names:
        ok = isinstance(options[name], bool)
        expect(ok, op, f"{name} True or False", repr(options[name]), ArgumentError)
