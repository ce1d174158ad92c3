"""What is checked: a function with its inputs and parameters, evaluated at any point.

The variables are named host arrays, whatever device the function runs on; they are perturbed on
the host. A parameter is no argument of the function, so its array is swapped for the length of a
run and put back afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from tinygrad_seq.autograd import Tensor
from tinygrad_seq.backend import Device, Generator, is_array, to_host, transfer
from tinygrad_seq.backend import device_of as _device_of
from tinygrad_seq.errors import ArgumentError, DTypeError, GraphError, expect
from tinygrad_seq.gradcheck.references import (
    argument_names,
    buffers_of,
    generators_of,
    modules_of,
    named_parameters,
)
from tinygrad_seq.gradcheck.replay import Replay

Point = Sequence[np.ndarray]


@dataclass
class Variable:
    """One input or parameter that is differentiated by."""

    name: str
    value: np.ndarray
    device: Device
    #: the argument it is passed as, or the parameter whose array it replaces
    place: int | Tensor
    #: what is called with the gradient that arrives here and may change it
    hooks: list[Callable[[Tensor], Tensor]] = field(default_factory=list)

    @property
    def scale(self) -> np.ndarray:
        """For each element the length that counts as 1 when it is perturbed: its own magnitude,
        but not below the median magnitude of the whole array; 1 if all is zero."""
        size = np.abs(self.value.astype(np.float64)).ravel()
        middle = np.median(size) if size.size else 0.0
        scale = np.maximum(size, middle)
        return np.where(scale > 0, scale, scale.max(initial=0.0) or 1.0)


class Subject:
    """The function under test. ``names`` and ``shapes`` describe its floating outputs."""

    def __init__(
        self,
        fn: Callable[..., Any],
        inputs: Any,
        params: Any = None,
        promote: bool = True,
        generators: Iterable[Generator] = (),
    ):
        self.fn = fn
        args = list(inputs) if isinstance(inputs, (tuple, list)) else [inputs]
        modules = modules_of(fn)
        self.variables: list[Variable] = []
        self._constants: list[Any] = []
        for i, (name, value) in enumerate(zip(argument_names(fn, len(args)), args, strict=True)):
            self._add_input(i, name, value, promote)
        for name, p in named_parameters(modules, params):
            if p.requires_grad:
                self._add(name, p, p, promote)
        self.replay = Replay([*generators, *generators_of(modules)], buffers_of(modules))
        self.names: list[str] = []
        self.shapes: list[tuple[int, ...]] = []
        self.dtypes: list[np.dtype[Any]] = []

    def _add_input(self, i: int, name: str, value: Any, promote: bool) -> None:
        if isinstance(value, (float, np.floating)):
            value = np.asarray(value)
        if isinstance(value, Tensor) or is_array(value):
            data = value.data if isinstance(value, Tensor) else value
            if data.dtype.kind in "fc":
                self._constants.append(None)
                self._add(name, data, i, promote)
                return
            value = Tensor(data)
        self._constants.append(value)

    def _add(self, name: str, source: Any, place: int | Tensor, promote: bool) -> None:
        data = source.data if isinstance(source, Tensor) else source
        expect(data.dtype.kind == "f", "gradcheck", f"{name} to be real", data.dtype, DTypeError)
        host = to_host(data)
        if promote:
            host = host.astype(np.float64, copy=False)
        ok = bool(np.isfinite(host).all())
        expect(ok, "gradcheck", f"{name} to be finite", "NaN or infinity", ArgumentError)
        self.variables.append(Variable(name, host, _device_of(data), place))

    def keep(self) -> None:
        """Hold copies of the values, so that they stay when the caller's arrays change."""
        for variable in self.variables:
            variable.value = variable.value.copy()

    @property
    def point(self) -> list[np.ndarray]:
        """The values at which the function is checked."""
        return [v.value for v in self.variables]

    @property
    def slices(self) -> list[slice]:
        """Where each output stands in the flat vector that ``evaluate`` gives."""
        ends = np.cumsum([0] + [int(np.prod(s)) for s in self.shapes]).tolist()
        return [slice(a, b) for a, b in pairwise(ends)]

    def coarseness(self, epsilon: float) -> np.ndarray:
        """For each flat output element the epsilon of its dtype, in units of ``epsilon``."""
        sizes = [int(np.prod(s)) for s in self.shapes]
        ratios = [max(1.0, float(np.finfo(d).eps) / epsilon) for d in self.dtypes]
        return np.repeat(ratios, sizes)

    @contextmanager
    def record(self, point: Point) -> Iterator[tuple[list[Tensor], list[Tensor]]]:
        """Run the function at ``point`` with the tape on → (its outputs, the variables)."""
        args = list(self._constants)
        leaves: list[Tensor] = []
        homes: list[tuple[Tensor, Tensor]] = []
        try:
            for variable, value in zip(self.variables, point, strict=True):
                leaf = Tensor(transfer(value, variable.device)).requires_grad_()
                for hook in variable.hooks:
                    leaf.register_hook(hook)
                leaves.append(leaf)
                if isinstance(variable.place, Tensor):
                    homes.append((variable.place, _become(variable.place, leaf)))
                else:
                    args[variable.place] = leaf
            with self.replay.run():
                outputs = self._outputs(self.fn(*args))
            yield outputs, leaves
        finally:
            for parameter, before in homes:
                _become(parameter, before)

    def evaluate(self, point: Point) -> np.ndarray:
        """All outputs at ``point``, flat, on the host."""
        with self.record(point) as (outputs, _):
            return flatten([to_host(o.data) for o in outputs])

    def first_run(self) -> np.ndarray:
        """Evaluate at the point itself and make sure that the function left its inputs alone."""
        before = [v.value.copy() for v in self.variables]
        values = self.evaluate(self.point)
        for variable, old in zip(self.variables, before, strict=True):
            if not np.array_equal(variable.value, old):
                variable.value[...] = old
                raise GraphError(
                    f"gradcheck: expected the function to leave its inputs as they are, got "
                    f"{variable.name} changed in place"
                )
        return values

    def _outputs(self, result: Any) -> list[Tensor]:
        found = list(floating(result))
        names = ["out"] if len(found) == 1 else [f"out{i}" for i in range(len(found))]
        shapes, dtypes = [o.shape for o in found], [o.dtype for o in found]
        if not self.names:
            expect(found, "gradcheck", "a function of floating outputs", "none", ArgumentError)
            self.names, self.shapes, self.dtypes = names, shapes, dtypes
        expect(shapes == self.shapes, "gradcheck", f"outputs of shape {self.shapes}", shapes)
        return found


def _become(parameter: Tensor, other: Tensor) -> Tensor:
    """Let a parameter have the array and the place on the tape of another tensor → what it was."""
    before = Tensor(parameter.data, parameter._node)
    parameter.data, parameter._node = other.data, other._node
    return before


def coarsest(dtypes: Iterable[np.dtype[Any]]) -> np.dtype[Any]:
    """The dtype with the largest machine epsilon."""
    return max(dtypes, key=lambda d: float(np.finfo(d).eps))


def flatten(arrays: Iterable[Any]) -> np.ndarray:
    """Arrays one after another as one new vector (complex ones stay complex)."""
    parts = [np.asarray(a) for a in arrays]
    kind = np.complex128 if any(p.dtype.kind == "c" for p in parts) else np.float64
    return np.concatenate([p.ravel().astype(kind) for p in parts])


def floating(result: Any) -> Iterator[Tensor]:
    """The floating tensors in a result, however nested."""
    if isinstance(result, Tensor):
        if result.dtype.kind in "fc":
            yield result
    elif isinstance(result, Mapping):
        for item in result.values():
            yield from floating(item)
    elif isinstance(result, (tuple, list)):
        for item in result:
            yield from floating(item)
    elif result is not None and not isinstance(result, (bool, int)):
        raise DTypeError(f"gradcheck: expected the function to give Tensors, got {type(result)}")
