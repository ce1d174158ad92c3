"""One step of a recurrent net as a layer: RNNCell, LSTMCell and GRUCell.

Each runs the same op as its layer, over a sequence of one step. A loop over a cell lets something
else happen between steps, such as feeding back what the net has just said; where nothing does, the
layer runs all steps at once and is faster.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tinygrad_seq import ops
from tinygrad_seq.backend import Device
from tinygrad_seq.errors import ArgumentError, expect
from tinygrad_seq.nn.recurrent.gru import GRUUnit
from tinygrad_seq.nn.recurrent.layout import shape_of
from tinygrad_seq.nn.recurrent.lstm import LSTMUnit
from tinygrad_seq.nn.recurrent.rnn import RNNUnit
from tinygrad_seq.nn.recurrent.unit import Unit


class Cell(Unit):
    """A single unit, which takes a single step."""

    def _units(self) -> Iterator[tuple[str, int]]:
        yield "", self.input_size

    def forward(self, x: Any, state: Any = None) -> Any:
        """x (B, input_size) or (input_size,), and the state before, zeros by default → the state
        after: h (B, H) or (H,), or a pair (h, c) of an LSTM."""
        kind, shape = type(self).__name__, shape_of(x)
        ok = isinstance(shape, tuple) and len(shape) in (1, 2) and shape[-1] == self.input_size
        expected = f"x of shape (B, {self.input_size}) or ({self.input_size},)"
        expect(ok, kind, expected, shape)
        rows = x.shape[0] if x.ndim == 2 else 1
        before = [ops.full_like(x, 0, shape=(rows, n)) for n in self._widths()]
        if state is not None:
            for k, (name, given) in enumerate(self._named(state)):
                wanted = (*x.shape[:-1], before[k].shape[1])
                expect(shape_of(given) == wanted, kind, f"{name} of shape {wanted}",
                       shape_of(given))  # fmt: skip
                before[k] = ops.reshape(given, before[k].shape)
        run = self._run(ops.reshape(x, (1, rows, self.input_size)), before, "")
        after = [h if x.ndim == 2 else ops.reshape(h, (h.shape[1],)) for h in run.last]
        return after[0] if len(after) == 1 else tuple(after)

    def _named(self, state: Any) -> list[tuple[str, Any]]:
        """The tensors of a state the user gave, with their names: h, or h and c."""
        names = [name[0] for name in self._states]
        if len(names) == 1:
            return [(names[0], state)]
        ok = isinstance(state, (tuple, list)) and len(state) == len(names)
        expected = f"state to be a pair ({', '.join(names)})"
        expect(ok, type(self).__name__, expected, type(state).__name__, ArgumentError)
        return list(zip(names, state, strict=True))


class RNNCell(RNNUnit, Cell):
    """One step of a simple recurrent net (Elman 1990)::

        h′ = φ(W_ih x + b_ih + W_hh h + b_hh)

    **Called** as ``h = cell(x, h=None)``: x (B, input_size) and h (B, H), H = hidden_size, or both
    without B; h is zeros by default. φ is ``nonlinearity``: "tanh", "relu" or "sigmoid".

    **Parameters**, as PyTorch's: ``weight_ih`` (H, input_size), ``weight_hh`` (H, H), ``bias_ih``
    and ``bias_hh`` (H,) unless ``bias=False``, from U(−1/√H, 1/√H).

    **Options** beyond PyTorch's, explained at ``nn.RNN``: single_bias, no ``bias_hh``; zoneout,
    h′ = m ⊙ h + (1 − m) ⊙ φ(…); layer_norm, of W_ih x and W_hh h, with ``gain_ih`` and ``gain_hh``
    (H,). What does not fit raises ShapeError, an option out of range ArgumentError.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: str | Device | None = None,
        dtype: Any = None,
        *,
        single_bias: bool = False,
        zoneout: float = 0.0,
        layer_norm: bool = False,
    ):
        super().__init__(
            device,
            dtype,
            input_size=input_size,
            hidden_size=hidden_size,
            bias=bias,
            nonlinearity=nonlinearity,
            single_bias=single_bias,
            zoneout=zoneout,
            layer_norm=layer_norm,
        )


class LSTMCell(LSTMUnit, Cell):
    """One step of long short-term memory. With a = W_ih x + b_ih + W_hh h + b_hh in four blocks of
    H rows, a_i, a_f, a_g, a_o::

        i, f, o = σ(a_i), σ(a_f), σ(a_o)    g = tanh(a_g)
        c′ = f ⊙ c + i ⊙ g
        h′ = o ⊙ tanh c′

    (Hochreiter and Schmidhuber 1997; Gers, Schmidhuber and Cummins 2000 for the forget gate.)

    **Called** as ``h, c = cell(x, state=None)``: x (B, input_size), and a pair (h, c) of (B, H),
    H = hidden_size, or all without B; the state is zeros by default.

    **Parameters**, as PyTorch's: ``weight_ih`` (4H, input_size), ``weight_hh`` (4H, H),
    ``bias_ih`` and ``bias_hh`` (4H,) unless ``bias=False``, from U(−1/√H, 1/√H).

    **Options** beyond PyTorch's, explained at ``nn.LSTM``: single_bias, no ``bias_hh``;
    forget_bias, where b_f starts; zoneout, one number or a pair for h and for c,
    h′ = m ⊙ h + (1 − m) ⊙ (o ⊙ tanh c′) and likewise for c; layer_norm, of W_ih x, of W_hh h and
    of c′ in tanh c′, with ``gain_ih``, ``gain_hh`` (4H,), ``gain_c`` and ``bias_c`` (H,); peephole,
    p_i ⊙ c, p_f ⊙ c and p_o ⊙ c′ in a_i, a_f and a_o, with ``peephole`` (3H,) in the order i, o, f.
    What does not fit raises ShapeError, an option out of range ArgumentError.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: str | Device | None = None,
        dtype: Any = None,
        *,
        single_bias: bool = False,
        forget_bias: float | None = None,
        zoneout: float | tuple[float, float] = 0.0,
        layer_norm: bool = False,
        peephole: bool = False,
    ):
        super().__init__(
            device,
            dtype,
            input_size=input_size,
            hidden_size=hidden_size,
            bias=bias,
            single_bias=single_bias,
            forget_bias=forget_bias,
            zoneout=zoneout,
            layer_norm=layer_norm,
            peephole=peephole,
        )


class GRUCell(GRUUnit, Cell):
    """One step of a gated recurrent unit::

        r = σ(W_ir x + b_ir + W_hr h + b_hr)
        z = σ(W_iz x + b_iz + W_hz h + b_hz)
        n = tanh(W_in x + b_in + r ⊙ (W_hn h + b_hn))
        h′ = (1 − z) ⊙ n + z ⊙ h

    (Cho et al. 2014, arXiv:1406.1078, with the reset after W_hn, as PyTorch and cuDNN have it.)

    **Called** as ``h = cell(x, h=None)``: x (B, input_size) and h (B, H), H = hidden_size, or both
    without B; h is zeros by default.

    **Parameters**, as PyTorch's, rows in the order r, z, n: ``weight_ih`` (3H, input_size),
    ``weight_hh`` (3H, H), ``bias_ih`` and ``bias_hh`` (3H,) unless ``bias=False``, from
    U(−1/√H, 1/√H).

    **Options** beyond PyTorch's, explained at ``nn.GRU``: single_bias, no ``bias_hh``; zoneout,
    h′ = m ⊙ h + (1 − m) ⊙ h̃ with h̃ as above; layer_norm, of W_ih x and W_hh h, with ``gain_ih``
    and ``gain_hh`` (3H,); reset_after=False, n = tanh(W_in x + b_in + W_hn (r ⊙ h) + b_hn);
    update="take", h′ = (1 − z) ⊙ h + z ⊙ n. What does not fit raises ShapeError, an option out of
    range ArgumentError.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: str | Device | None = None,
        dtype: Any = None,
        *,
        single_bias: bool = False,
        zoneout: float = 0.0,
        layer_norm: bool = False,
        reset_after: bool = True,
        update: str = "keep",
    ):
        super().__init__(
            device,
            dtype,
            input_size=input_size,
            hidden_size=hidden_size,
            bias=bias,
            single_bias=single_bias,
            zoneout=zoneout,
            layer_norm=layer_norm,
            reset_after=reset_after,
            update=update,
        )
