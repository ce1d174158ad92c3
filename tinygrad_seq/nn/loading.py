"""Loading a state dict: all of it or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from tinygrad_seq.autograd import Tensor, no_grad
from tinygrad_seq.backend import is_array, transfer
from tinygrad_seq.errors import ShapeError, StateError, expect


class Incompatible(NamedTuple):
    """What a lenient ``load_state_dict`` passed over."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def load_into(
    own: Mapping[str, Tensor], state: Mapping[str, Any], strict: bool, owner: str
) -> Incompatible:
    """Copy ``state`` into the tensors of ``own``; see ``Module.load_state_dict``."""
    op = "load_state_dict"
    expect(isinstance(state, Mapping), op, "a mapping of names to tensors", type(state).__name__,
           StateError)  # fmt: skip
    missing = [name for name in own if name not in state]
    unexpected = [name for name in state if name not in own]
    problems = [f"missing {name!r}" for name in missing if strict]
    problems += [f"unexpected {name!r}" for name in unexpected if strict]
    shapes: list[str] = []
    ready = []
    for name in [name for name in own if name in state]:
        target, array = own[name], _array(state[name])
        if array is None:
            problems.append(f"{name!r} is no tensor but {type(state[name]).__name__}")
        elif array.shape != target.shape:
            shapes.append(f"{name!r} has shape {target.shape}, got {array.shape}")
        elif not np.can_cast(array.dtype, target.dtype, "same_kind"):
            problems.append(f"{name!r} has dtype {target.dtype}, got {array.dtype}")
        else:
            ready.append((target, array))
    if problems or shapes:
        text = "\n  ".join([f"{op}: {owner}", *problems, *shapes])
        raise StateError(text) if problems else ShapeError(text)
    # Moving between devices can fail too, so all of it comes before the first change.
    moved = [(target, transfer(array, target.device)) for target, array in ready]
    with no_grad():
        for target, array in moved:
            target.copy_(array)
    return Incompatible(missing, unexpected)


def _array(value: Any) -> Any:
    """The raw array of a tensor or array; None for anything else."""
    if isinstance(value, Tensor):
        return value.data
    return value if is_array(value) else None
