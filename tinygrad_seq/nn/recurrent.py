"""Recurrent layers: RNN and LSTM, each running a whole sequence as one op."""

from __future__ import annotations

import math
from typing import Any

from tinygrad_seq import ops
from tinygrad_seq.autograd import Tensor, zeros
from tinygrad_seq.backend import Device
from tinygrad_seq.errors import ArgumentError, expect
from tinygrad_seq.nn.init import uniform_
from tinygrad_seq.nn.module import Module
from tinygrad_seq.nn.parameter import Parameter
from tinygrad_seq.ops.rnn import NONLINEARITIES


def _shape_of(value: Any) -> Any:
    """The shape of a tensor or array; for anything else the name of what it is."""
    return getattr(value, "shape", type(value).__name__)


class _Recurrent(Module):
    """What recurrent layers share: their parameters, the layouts of x, and their states."""

    #: how many blocks of H rows the weights have
    _gates: int
    #: what is carried from step to step, as the user names it
    _states: tuple[str, ...]

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool,
        batch_first: bool,
        device: str | Device | None,
        dtype: Any,
    ):
        super().__init__()
        kind = type(self).__name__
        for name, size in {"input_size": input_size, "hidden_size": hidden_size}.items():
            ok = isinstance(size, int) and not isinstance(size, bool) and size > 0
            expect(ok, kind, f"{name} to be an integer ≥ 1", repr(size), ArgumentError)
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        self.batch_first = batch_first
        rows = self._gates * hidden_size
        shapes: dict[str, tuple[int, ...]] = {
            "weight_ih_l0": (rows, input_size),
            "weight_hh_l0": (rows, hidden_size),
            "bias_ih_l0": (rows,),
            "bias_hh_l0": (rows,),
        }
        for name, shape in shapes.items():
            held = bias or name.startswith("weight")
            made = Parameter(zeros(shape, dtype=dtype, device=device)) if held else None
            self.register_parameter(name, made)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all parameters anew from U(−1/√H, 1/√H)."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            uniform_(parameter, -bound, bound)

    def extra_repr(self) -> str:
        """The sizes, and every option that is not at its default."""
        parts = [f"{self.input_size}, {self.hidden_size}"]
        parts += [] if self.bias else ["bias=False"]
        parts += ["batch_first=True"] if self.batch_first else []
        return ", ".join(parts)

    def _weights(self) -> tuple[Parameter | None, ...]:
        return self.weight_ih_l0, self.weight_hh_l0, self.bias_ih_l0, self.bias_hh_l0

    def _sequence(self, x: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """The op on time-major x (T, B, I) and states (B, H): → output, the last states."""
        raise NotImplementedError

    def _run(self, x: Tensor, states: tuple[Tensor, ...] | None) -> tuple[Tensor, list[Tensor]]:
        """``_sequence`` on x in the user's layout, with states (1, B, H) or (1, H), or zeros."""
        kind, width = type(self).__name__, self.input_size
        layout = "(B, T, {0}) or (T, {0})" if self.batch_first else "(T, B, {0}) or (T, {0})"
        shape = _shape_of(x)
        ok = isinstance(shape, tuple) and len(shape) in (2, 3) and shape[-1] == width
        expect(ok, kind, f"x of shape {layout.format(width)}", shape)
        batched = x.ndim == 3
        if not batched:
            x = ops.reshape(x, (x.shape[0], 1, width))
        elif self.batch_first:
            x = ops.swapaxes(x, 0, 1)
        inside = (x.shape[1], self.hidden_size)
        outside = (1, *inside) if batched else (1, self.hidden_size)
        if states is None:
            states = tuple(ops.full_like(x, 0, shape=inside) for _ in self._states)
        else:
            for name, state in zip(self._states, states, strict=True):
                shape = _shape_of(state)
                expect(shape == outside, kind, f"{name} of shape {outside}", shape)
            states = tuple(ops.reshape(state, inside) for state in states)
        output, *last = self._sequence(x, *states)
        if not batched:
            output = ops.reshape(output, (x.shape[0], self.hidden_size))
        elif self.batch_first:
            output = ops.swapaxes(output, 0, 1)
        return output, [ops.reshape(state, outside) for state in last]


class RNN(_Recurrent):
    """Simple recurrent net (Elman 1990): h_t = φ(W_ih x_t + b_ih + W_hh h_{t−1} + b_hh).

    Called with x and h0, it returns output, all h_t, and h_n, the last of them:

    * x: (T, B, input_size), or (B, T, input_size) if ``batch_first``, or (T, input_size);
    * h0, h_n: (1, B, H), or (1, H) where x has no batch; h0 is zeros by default;
    * output: as x, with H = hidden_size in place of input_size.

    nonlinearity: "tanh", "relu" or "sigmoid". bias: whether there are b_ih and b_hh. Parameters
    start from U(−1/√H, 1/√H) and are named as PyTorch's: ``weight_ih_l0`` (H, input_size),
    ``weight_hh_l0`` (H, H), ``bias_ih_l0`` and ``bias_hh_l0`` (H,). Wrong shapes raise ShapeError,
    wrong sizes and nonlinearities ArgumentError.
    """

    _gates = 1
    _states = ("h0",)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        device: str | Device | None = None,
        dtype: Any = None,
    ):
        expected = f"nonlinearity to be one of {', '.join(NONLINEARITIES)}"
        known = nonlinearity in NONLINEARITIES
        expect(known, "RNN", expected, repr(nonlinearity), ArgumentError)
        super().__init__(input_size, hidden_size, bias, batch_first, device, dtype)
        self.nonlinearity = nonlinearity

    def extra_repr(self) -> str:
        """The sizes, and every option that is not at its default."""
        at_default = self.nonlinearity == "tanh"
        option = "" if at_default else f", nonlinearity={self.nonlinearity!r}"
        return super().extra_repr() + option

    def _sequence(self, x: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        return ops.rnn(x, *states, *self._weights(), nonlinearity=self.nonlinearity)

    def forward(self, x: Tensor, h0: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """→ output, h_n."""
        output, (h_n,) = self._run(x, None if h0 is None else (h0,))
        return output, h_n


class LSTM(_Recurrent):
    """Long short-term memory. With a_t = W_ih x_t + b_ih + W_hh h_{t−1} + b_hh in four blocks,

    i, f, o = σ(a_i), σ(a_f), σ(a_o), g = tanh(a_g), c_t = f⊙c_{t−1} + i⊙g, h_t = o⊙tanh c_t

    (Hochreiter and Schmidhuber 1997, with the forget gate of Gers, Schmidhuber and Cummins 2000).
    Called with x and a pair (h0, c0), it returns output, all h_t, and the pair (h_n, c_n):

    * x: (T, B, input_size), or (B, T, input_size) if ``batch_first``, or (T, input_size);
    * h0, c0, h_n, c_n: (1, B, H), or (1, H) where x has no batch; zeros by default;
    * output: as x, with H = hidden_size in place of input_size.

    bias: whether there are b_ih and b_hh. Parameters start from U(−1/√H, 1/√H); their names and
    the order of their blocks, i, f, g, o, are PyTorch's: ``weight_ih_l0`` (4H, input_size),
    ``weight_hh_l0`` (4H, H), ``bias_ih_l0`` and ``bias_hh_l0`` (4H,). Wrong shapes raise
    ShapeError, wrong sizes ArgumentError.
    """

    _gates = 4
    _states = ("h0", "c0")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        bias: bool = True,
        batch_first: bool = False,
        device: str | Device | None = None,
        dtype: Any = None,
    ):
        super().__init__(input_size, hidden_size, bias, batch_first, device, dtype)

    def _sequence(self, x: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        return ops.lstm(x, *states, *self._weights())

    def forward(
        self, x: Tensor, state: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """→ output, (h_n, c_n)."""
        ok = state is None or (isinstance(state, (tuple, list)) and len(state) == 2)
        expect(ok, "LSTM", "state to be a pair (h0, c0)", type(state).__name__, ArgumentError)
        output, (h_n, c_n) = self._run(x, state)
        return output, (h_n, c_n)
