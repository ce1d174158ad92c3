"""Calling the student's function: what it returned, and what went wrong with it."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import numpy as np

from tinygrad_seq.autograd import Tensor
from tinygrad_seq.bptt.compare.run import BY_STEP, Run

Backward = Callable[[Any], Any]


@dataclass
class Hand:
    """One call. ``values``: float64 arrays of the right shape, by name."""

    values: dict[str, np.ndarray] = field(default_factory=dict)
    #: arrays that came in a shape of their own
    misshaped: dict[str, np.ndarray] = field(default_factory=dict)
    #: what to tell the reader, which makes nothing wrong
    notes: list[str] = field(default_factory=list)
    #: the arrays it was given and has changed, and by how much at most
    changed: dict[str, float] = field(default_factory=dict)
    #: why there is nothing to compare, or None
    problem: str | None = None
    error: Exception | None = None
    single: bool = False

    @property
    def names(self) -> list[str]:
        """What was returned, whatever its shape."""
        return [*self.values, *self.misshaped]


def called(fn: Backward, run: Run, writeable: bool = True) -> Hand:
    """Call the function with a fresh copy of the run."""
    given, hand = run.copy(writeable), Hand()
    arrays = given.arrays()
    try:
        result = fn(given)
    except Exception as error:  # whatever the student's code may raise
        hand.error = error
        hand.problem = f"your function raised {_told(error)}"
        return hand
    for name, original in run.arrays().items():
        if not np.array_equal(arrays[name], original, equal_nan=True):
            with np.errstate(invalid="ignore"):
                hand.changed[name] = float(np.max(np.abs(arrays[name] - original)))
    _read(hand, result, run)
    return hand


def _told(error: Exception) -> str:
    """The error and the line of the student's own code."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename != __file__]
    own = frames[0] if frames else None
    for frame in frames:  # the innermost that is in the same file as their function
        own = frame if own is not None and frame.filename == own.filename else own
    if own is None:
        return f"{type(error).__name__}: {error}"
    line = f": {own.line}" if own.line else ""
    return f"{type(error).__name__}: {error} (line {own.lineno}{line})"


def _read(hand: Hand, result: Any, run: Run) -> None:
    if not isinstance(result, Mapping):
        kind = "nothing" if result is None else f"a {type(result).__name__}"
        hand.problem = f"your function returned {kind}, not a dict such as {{'dWx': …, 'db': …}}"
        return
    shapes = run.shapes()
    for name, value in result.items():
        if name not in shapes:
            hand.notes.append(_unknown(name, shapes))
        elif value is not None:
            _take(hand, name, value, shapes[name])
    if not hand.names and hand.problem is None:
        hand.problem = f"the dict holds none of {', '.join(shapes)}"


def _unknown(name: Any, shapes: Mapping[str, Any]) -> str:
    near = get_close_matches(str(name).lower(), [known.lower() for known in shapes], 1, 0.6)
    meant = next((known for known in shapes if near and known.lower() == near[0]), None)
    hint = f": did you mean {meant!r}?" if meant else f"; known are {', '.join(shapes)}"
    return f"{name!r} is no name of a gradient here and was left out{hint}"


def _take(hand: Hand, name: str, value: Any, shape: tuple[int, ...]) -> None:
    try:
        array = np.asarray(value.detach().numpy() if isinstance(value, Tensor) else value)
    except Exception as error:  # a ragged list, say
        hand.problem = f"{name} is no array: {type(error).__name__}: {error}"
        return
    if array.dtype.kind not in "fiub":
        hand.problem = f"{name} has dtype {array.dtype}, where real numbers are expected"
        return
    if array.dtype.kind in "iub":
        hand.notes.append(f"{name} has dtype {array.dtype}: integers lose what is behind the point")
    elif array.dtype.itemsize < 8:
        hand.single = True
        hand.notes.append(f"{name} has dtype {array.dtype}: it is compared to 1e-4 only")
    array = array.astype(np.float64)
    fitted = _fitted(array, name, shape)
    if fitted is None:
        hand.misshaped[name] = array
        return
    if fitted.ndim != array.ndim:
        hand.notes.append(f"{name} came with shape {array.shape} and was read as {shape}")
    hand.values[name] = fitted


def _fitted(array: np.ndarray, name: str, shape: tuple[int, ...]) -> np.ndarray | None:
    """The array in the shape expected: an axis of 1 too many, or no row for t = 0, is let pass."""
    if name in BY_STEP:
        if array.shape == (shape[0] - 1, *shape[1:]):
            array = np.concatenate([np.zeros((1, *shape[1:])), array])
        if array.shape != shape:
            return None
        array = array.copy()
        array[0] = 0  # nothing there is compared
        return array
    if array.shape == shape:
        return array
    without_ones = tuple(n for n in array.shape if n != 1)
    fits = array.ndim > len(shape) and without_ones == tuple(n for n in shape if n != 1)
    return array.reshape(shape) if fits else None
