"""The models a ledger can be made of, each as an initial state, a step and a read-out of the state.

``Layers`` are nn.RNN, nn.LSTM and nn.GRU, and ``OneCell`` their cells: both run the units that they
are made of one step at a time. ``Own`` is any callable of the user's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_seq import ops
from tinygrad_seq.autograd import Tensor, no_grad
from tinygrad_seq.backend import to_host
from tinygrad_seq.bptt.state import rebuilt, tensors_of
from tinygrad_seq.errors import ArgumentError, expect
from tinygrad_seq.nn import GRU, LSTM, RNN, GRUCell, LSTMCell, Module, RNNCell
from tinygrad_seq.nn.recurrent.layout import Layout
from tinygrad_seq.nn.recurrent.stack import Stack
from tinygrad_seq.nn.recurrent.unit import Unit

#: the gates of a kind, in the order of the weights' rows
GATES = {"RNN": "", "LSTM": "ifgo", "GRU": "rzn", "cell": ""}
_LAYERS = {RNN: "RNN", LSTM: "LSTM", GRU: "GRU"}
_CELLS = {RNNCell: "RNN", LSTMCell: "LSTM", GRUCell: "GRU"}


class Taken(NamedTuple):
    """A step that was taken: the state after it, and the gates by name."""

    after: list[Tensor]
    gates: dict[str, Tensor]


class Model:
    """What a ledger needs of a model. States are lists of tensors."""

    kind: str
    #: the inputs, time first
    x: Any

    def initial(self) -> list[Tensor]:
        """The state before the first step, with its history."""
        raise NotImplementedError

    def names(self, count: int) -> list[str]:
        """The names of the state's tensors."""
        raise NotImplementedError

    def step(self, t: int, before: Sequence[Tensor]) -> Taken:
        """Step t from the state before it."""
        raise NotImplementedError

    def seen(self, state: Sequence[Tensor]) -> Tensor:
        """h_t as the loss gets it."""
        raise NotImplementedError

    def outputs(self) -> Iterator[Tensor]:
        """h_1 … h_T of an ordinary run."""
        raise NotImplementedError

    def history(self) -> Sequence[Sequence[Tensor]] | None:
        """The states after each step of an ordinary run, where that is not a run step by step."""
        return None


class Layers(Model):
    """nn.RNN, nn.LSTM or nn.GRU in one direction, of any number of layers."""

    def __init__(self, model: Stack, inputs: Any, initial: Any):
        self.kind = next(kind for cls, kind in _LAYERS.items() if isinstance(model, cls))
        _expect_still(model)
        got = "bidirectional=True"
        expected = "one direction: the reverse has no state to carry from step to step"
        expect(not model.bidirectional, "ledger", expected, got, ArgumentError)
        self.model, self.given, self.state = model, inputs, initial
        self.layout = Layout("ledger", inputs, None, model.input_size, model.batch_first)
        self.x = self.layout.x
        self.starts = model._starts(self.layout, initial)
        self.suffixes = [suffix for suffix, _ in model._units()]
        self.count = len(model._states)

    def initial(self) -> list[Tensor]:
        return _by_name(self.starts)

    def names(self, count: int) -> list[str]:
        names = [name[0] for name in self.model._states]
        if len(self.suffixes) == 1:
            return names
        return [name + suffix for name in names for suffix in self.suffixes]

    def step(self, t: int, before: Sequence[Tensor]) -> Taken:
        layers = len(self.suffixes)
        x = ops.expand_dims(self.x[t - 1], 0)
        after: list[list[Tensor]] = []
        gates: dict[str, Tensor] = {}
        for k, suffix in enumerate(self.suffixes):
            unit, h = taken(self.model, x, before[k::layers], suffix)
            after.append(unit.after)
            shown = suffix if layers > 1 else ""
            gates |= {name + shown: gate for name, gate in unit.gates.items()}
            x = ops.add(x, h) if self.model.residual and k else h
        return Taken(_by_name(after), gates)

    def seen(self, state: Sequence[Tensor]) -> Tensor:
        layers = len(self.suffixes)
        h = state[layers - 1]
        if self.model.residual:
            h = state[0]
            for other in state[1:layers]:
                h = ops.add(h, other)
        return h if self.layout.batched else h[0]

    def outputs(self) -> Iterator[Tensor]:
        output = self.model(self.given, self.state)[0]
        time = 1 if self.layout.batch_first and self.layout.batched else 0
        return (output[:, t] if time else output[t] for t in range(len(self.x)))

    def history(self) -> Sequence[Sequence[Tensor]]:
        with no_grad():
            _, runs = self.model._through(self.x, self.starts, None)
            steps = range(len(self.x))
            units = [[run.output, run.inner.cells][: self.count] for run in runs]
            return [[part[t] for part in _by_name(units)] for t in steps]


class OneCell(Model):
    """nn.RNNCell, nn.LSTMCell or nn.GRUCell in a loop."""

    def __init__(self, model: Unit, inputs: Any, initial: Any):
        self.kind = next(kind for cls, kind in _CELLS.items() if isinstance(model, cls))
        _expect_still(model)
        self.model, self.x, self.state = model, inputs, initial
        # One run of the cell itself refuses what does not fit.
        with no_grad():
            model(inputs[0], initial)
        self.batched = inputs.ndim == 3

    def initial(self) -> list[Tensor]:
        x = self.x[0]
        if self.state is None:
            rows = x.shape[:-1]
            widths = self.model._widths()
            return [as_tensor(ops.full_like(x, 0, shape=(*rows, w))) for w in widths]
        state = self.state if isinstance(self.state, (tuple, list)) else [self.state]
        return [as_tensor(h) for h in state]

    def names(self, count: int) -> list[str]:
        return [name[0] for name in self.model._states]

    def step(self, t: int, before: Sequence[Tensor]) -> Taken:
        x = self.x[t - 1]
        rows = x.shape[0] if self.batched else 1
        flat = [ops.reshape(h, (rows, h.shape[-1])) for h in before]
        unit, _ = taken(self.model, ops.reshape(x, (1, rows, x.shape[-1])), flat, "")
        after = [ops.reshape(h, b.shape) for h, b in zip(unit.after, before, strict=True)]
        return Taken(after, unit.gates)

    def seen(self, state: Sequence[Tensor]) -> Tensor:
        return state[0]

    def outputs(self) -> Iterator[Tensor]:
        state = self.state
        for t in range(len(self.x)):
            state = self.model(self.x[t], state)
            yield state[0] if isinstance(state, tuple) else state


class Own(Model):
    """A callable ``cell(x_t, state) → state`` of the user's."""

    kind = "cell"

    def __init__(self, cell: Callable[[Any, Any], Any], inputs: Any, initial: Any):
        self.cell, self.x, self.start = cell, inputs, initial
        self.nested = initial

    def initial(self) -> list[Tensor]:
        return tensors_of(self.start, "ledger")

    def names(self, count: int) -> list[str]:
        return ["h", *(f"s{k}" for k in range(1, count))]

    def step(self, t: int, before: Sequence[Tensor]) -> Taken:
        # Before its first step the state may be None, and nested otherwise than afterwards.
        self.nested, found = self._after(t, rebuilt(self.nested, before))
        # A tensor may have served others within the step; what is handed on has a place of its own.
        return Taken([ops.identity(h) for h in found], {})

    def seen(self, state: Sequence[Tensor]) -> Tensor:
        return state[0]

    def outputs(self) -> Iterator[Tensor]:
        state = self.start
        for t in range(1, len(self.x) + 1):
            state, found = self._after(t, state)
            yield found[0]

    def _after(self, t: int, state: Any) -> tuple[Any, list[Tensor]]:
        """The state that the cell makes of one, as it is nested, and its tensors."""
        shapes = [h.shape for h in tensors_of(state, "ledger")]
        result = self.cell(self.x[t - 1], state)
        found = tensors_of(result, "ledger")
        expect(found, "ledger", "the cell to return a state", repr(result), ArgumentError)
        got = [h.shape for h in found]
        same = not shapes or got == shapes
        expect(same, "ledger", f"a state of shapes {shapes} from the cell at t = {t}", got)
        return result, found


def model_of(model: Any, inputs: Any, initial: Any) -> Model:
    """What kind of model the user gave. Raises ArgumentError for what is none."""
    found = getattr(inputs, "shape", None)
    got = type(inputs).__name__ if found is None else f"shape {found}"
    expect(found, "ledger", "inputs with time as an axis", got)
    shape: tuple[int, ...] = tuple(found or ())
    if isinstance(model, (RNN, LSTM, GRU)):
        expect(0 not in shape, "ledger", "at least one step and one row in inputs", got)
        return Layers(model, inputs, initial)
    expect(shape[0] > 0, "ledger", "at least one step in inputs", got)
    if isinstance(model, (RNNCell, LSTMCell, GRUCell)):
        ranks = f"inputs of shape (T, B, {model.input_size}) or (T, {model.input_size})"
        ok = len(shape) in (2, 3) and shape[-1] == model.input_size and 0 not in shape
        expect(ok, "ledger", ranks, shape)
        return OneCell(model, inputs, initial)
    expected = "nn.RNN, nn.LSTM, nn.GRU, one of their cells, or a function cell(x_t, state)"
    expect(callable(model), "ledger", expected, type(model).__name__, ArgumentError)
    return Own(model, inputs, initial)


def taken(unit: Unit, x: Tensor, states: Sequence[Tensor], suffix: str) -> tuple[Taken, Tensor]:
    """One step of one unit from x (1, B, ·) and states (B, ·) → what came of it, and its h_t as the
    x of what stands above.

    The h that is handed on and the h that goes up are one tensor, so that one gradient tells of
    both.
    """
    run = unit._run(x, states, suffix)
    h = ops.reshape(run.output, run.output.shape[1:])
    after = [h, *run.last[1:]]
    gates: dict[str, Tensor] = {}
    if run.inner.gates is not None:
        kind = "LSTM" if run.inner.cells is not None else "GRU"
        width = unit.hidden_size
        for k, name in enumerate(GATES[kind]):
            gates[name] = run.inner.gates[0, :, k * width : (k + 1) * width]
    return Taken(after, gates), ops.expand_dims(h, 0)


def as_tensor(value: Any) -> Tensor:
    """A tensor as it is, an array as one."""
    return value if isinstance(value, Tensor) else Tensor(value)


def _by_name(units: Sequence[Sequence[Any]]) -> list[Any]:
    """The states of each layer → all h, then all c."""
    return [as_tensor(part) for column in zip(*units, strict=True) for part in column]


def _expect_still(model: Unit) -> None:
    """Refuse a model that draws random numbers."""
    if not model.training:
        return
    for name in ("dropout", "input_dropout", "recurrent_dropout", "zoneout"):
        rate = getattr(model, name, 0.0)
        ok = not np.any(rate)
        got = f"{name}={rate} while training"
        expected = "a model that draws no random numbers (call its eval())"
        expect(ok, "ledger", expected, got, ArgumentError)


def weights_of(model: Any) -> Mapping[str, Tensor]:
    """The model's own parameters by name; of a function, none."""
    return dict(model.named_parameters()) if isinstance(model, Module) else {}


def host(tensor: Any) -> np.ndarray:
    """The values of a tensor or array on the host, a copy."""
    data = tensor.data if isinstance(tensor, Tensor) else tensor
    return np.array(to_host(data))
