"""Checking an optimiser's state dict, before any of it is taken over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tinygrad_seq.autograd import Tensor
from tinygrad_seq.backend import is_array
from tinygrad_seq.errors import ShapeError, StateError, expect


def checked_groups(op: str, state: Any, held: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The options of each group in ``state``, which must mirror the groups of the optimiser."""
    ok = isinstance(state, Mapping) and "state" in state and "param_groups" in state
    got = sorted(map(str, state)) if isinstance(state, Mapping) else type(state).__name__
    expect(ok, op, "a state dict with 'state' and 'param_groups'", got, StateError)
    groups = state["param_groups"]
    expect(len(groups) == len(held), op, f"{len(held)} param_groups", len(groups), StateError)
    result = []
    for i, (new, old) in enumerate(zip(groups, held, strict=True)):
        missing = sorted(set(old) - set(new))
        expect(not missing, op, f"group {i} with options {missing}", "none of them", StateError)
        sizes = len(old["params"]), len(new["params"])
        wanted = f"{sizes[0]} parameters in group {i}"
        expect(sizes[0] == sizes[1], op, wanted, sizes[1], StateError)
        options = {key: value for key, value in new.items() if key != "params"}
        # JSON has lists only; an option that was a tuple becomes one again.
        result.append({k: tuple(v) if isinstance(v, list) else v for k, v in options.items()})
    return result


def checked_state(
    op: str, state: Any, params: Sequence[Tensor], kept: Sequence[str]
) -> dict[Tensor, dict[str, Any]]:
    """The state of each parameter, copied, on its device and in its dtype."""
    expect(isinstance(state, Mapping), op, "a mapping as 'state'", type(state).__name__, StateError)
    loaded = {}
    for key, entry in state.items():
        known = str(key).isdecimal() and int(key) < len(params)
        expect(known, op, f"parameter numbers below {len(params)}", repr(key), StateError)
        given = {name: value for name, value in entry.items() if value is not None}
        where = f"parameter {key}"
        counted = "step" in given or "step" not in kept or not given
        ok = counted and set(given) <= set(kept)
        expect(ok, op, f"{where}: {', '.join(kept)}", sorted(given), StateError)
        p = params[int(key)]
        loaded[p] = {name: _taken(op, f"{where}: {name}", given[name], name, p) for name in given}
    return loaded


def _taken(op: str, where: str, value: Any, name: str, p: Tensor) -> Any:
    if name == "step":
        count = value.item() if isinstance(value, Tensor) or is_array(value) else value
        ok = isinstance(count, (int, float)) and count >= 0 and count == int(count)
        expect(ok, op, f"{where}, a count", repr(value), StateError)
        return int(count)
    ok = isinstance(value, Tensor) or is_array(value)
    expect(ok, op, f"{where}, a tensor", type(value).__name__, StateError)
    expect(value.shape == p.shape, op, f"{where} of shape {p.shape}", value.shape, ShapeError)
    copy = Tensor((value.data if isinstance(value, Tensor) else value).copy())
    return copy.to(p.device, p.dtype)
