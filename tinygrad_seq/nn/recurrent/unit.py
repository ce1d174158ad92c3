"""What a layer and a cell of one kind have in common: the parameters of one run, and its op."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from tinygrad_seq.autograd import Tensor, zeros
from tinygrad_seq.backend import Device
from tinygrad_seq.nn.init import constant_, uniform_
from tinygrad_seq.nn.module import Module
from tinygrad_seq.nn.parameter import Parameter
from tinygrad_seq.nn.recurrent.noise import dropout_mask, zoneout_mask
from tinygrad_seq.nn.recurrent.options import OPTIONS, check_options

#: parameter → the argument of the op that takes it
ARGUMENTS = {"weight_ih": "w_ih", "weight_hh": "w_hh", "bias_ih": "b_ih", "bias_hh": "b_hh",
             "weight_hr": "w_hr", "bias_c": "b_c"}  # fmt: skip

Shapes = dict[str, tuple[int, ...] | None]


class Inner(NamedTuple):
    """What one layer held in one direction, step by step; None for what its kind does not have.

    cells: c_1 … c_T (T, B, H). gates: after their nonlinearities, side by side as in the weights,
    (T, B, 4H) for i, f, g, o of an LSTM, (T, B, 3H) for r, z, n of a GRU.
    """

    cells: Tensor | None
    gates: Tensor | None


class Run(NamedTuple):
    """What a sequence became: all h_t (T, B, ·), the last states (B, ·), and what was inside."""

    output: Tensor
    last: Sequence[Tensor]
    inner: Inner


class Unit(Module):
    """Base of recurrent layers and cells: options, parameters, and one run through a sequence.

    A kind says how many gates it has, what its states are called and which op runs it; a layer or
    a cell says which units it is made of, each known by the suffix of its parameters' names.
    """

    #: how many blocks of H rows the weights have
    _gates: int
    #: what is carried from step to step, as the user names it
    _states: tuple[str, ...] = ("h0",)

    input_size: int
    hidden_size: int
    bias: bool
    single_bias: bool
    layer_norm: bool
    zoneout: float | tuple[float, float]
    recurrent_dropout: float = 0.0

    def __init__(self, device: str | Device | None, dtype: Any, **options: Any):
        super().__init__()
        check_options(type(self).__name__, options, len(self._states))
        self._options = tuple(options)
        for name, value in options.items():
            setattr(self, name, value)
        for name, shape in self._all_shapes():
            if shape is not None:
                self.__dict__.pop(name, None)  # peephole, of a cell: an option till now
                setattr(self, name, Parameter(zeros(shape, dtype=dtype, device=device)))
            elif name not in options:
                self.register_parameter(name, None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weights, biases and peepholes anew from U(−1/√H, 1/√H); gains start from 1, the
        shift of a normalised cell and learned initial states from 0."""
        bound = 1 / math.sqrt(self.hidden_size)
        for name, shape in self._all_shapes():
            if shape is None:
                continue
            if name.startswith(("gain", "bias_c", "initial")):
                constant_(getattr(self, name), 1 if name.startswith("gain") else 0)
            else:
                uniform_(getattr(self, name), -bound, bound)

    def extra_repr(self) -> str:
        """The sizes, and every option that is not at its default."""
        parts = [f"{self.input_size}, {self.hidden_size}"]
        for name in self._options[2:]:
            value = getattr(self, name)
            value = True if isinstance(value, Parameter) else value
            parts += [] if value == OPTIONS[name][0] else [f"{name}={value!r}"]
        return ", ".join(parts)

    # ------------------------------------------------------------------ parameters

    def _units(self) -> Iterator[tuple[str, int]]:
        """The suffix of each unit's parameters, and how wide its input is."""
        raise NotImplementedError

    def _widths(self) -> tuple[int, ...]:
        """How wide each state is."""
        return (self.hidden_size,)

    def _shapes(self, inputs: int) -> Shapes:
        """The parameters of one unit; None for one that the options leave out."""
        rows = self._gates * self.hidden_size
        gain = (rows,) if self.layer_norm else None
        return {
            "weight_ih": (rows, inputs),
            "weight_hh": (rows, self._widths()[0]),
            "bias_ih": (rows,) if self.bias else None,
            "bias_hh": (rows,) if self.bias and not self.single_bias else None,
            "gain_ih": gain,
            "gain_hh": gain,
        }

    def _all_shapes(self) -> Iterator[tuple[str, tuple[int, ...] | None]]:
        """Every parameter there is or could be, with its shape."""
        for suffix, inputs in self._units():
            for name, shape in self._shapes(inputs).items():
                yield name + suffix, shape

    def _weights(self, suffix: str) -> dict[str, Parameter]:
        """The parameters of one unit, by the names of the op's arguments."""
        found = {name: getattr(self, name + suffix) for name in self._shapes(1)}
        return {ARGUMENTS.get(n, n): p for n, p in found.items() if isinstance(p, Parameter)}

    # ------------------------------------------------------------------ running

    def _run(self, x: Tensor, states: Sequence[Tensor], suffix: str) -> Run:
        """The op on time-major x (T, B, ·) and states (B, ·), with the parameters of a suffix."""
        raise NotImplementedError

    def _noise(self, x: Tensor) -> dict[str, Any]:
        """Masks for the op's ``drop``, ``hold`` and ``hold_c``, those that are wanted."""
        steps, batch, _ = x.shape
        widths = self._widths()
        rates = self.zoneout if isinstance(self.zoneout, tuple) else (self.zoneout,) * len(widths)
        made = {"drop": dropout_mask(self.recurrent_dropout, (batch, widths[0]), x, self.training)}
        for name, rate, width in zip(("hold", "hold_c"), rates, widths, strict=False):
            made[name] = zoneout_mask(rate, (steps, batch, width), x, self.training)
        return {name: mask for name, mask in made.items() if mask is not None}
