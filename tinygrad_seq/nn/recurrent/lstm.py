"""nn.LSTM: long short-term memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinygrad_seq import ops
from tinygrad_seq.autograd import Tensor
from tinygrad_seq.backend import Device
from tinygrad_seq.nn.init import forget_bias_
from tinygrad_seq.nn.parameter import Parameter
from tinygrad_seq.nn.recurrent.stack import Stack
from tinygrad_seq.nn.recurrent.unit import Inner, Run, Shapes, Unit


class LSTMUnit(Unit):
    """One LSTM, in a layer or as a cell."""

    _gates = 4
    _states = ("h0", "c0")

    forget_bias: float | None
    peephole: bool | Parameter
    proj_size: int = 0

    def reset_parameters(self) -> None:
        """Draw weights, biases and peepholes anew from U(−1/√H, 1/√H), then set what
        ``forget_bias`` says; gains start from 1, ``bias_c`` and initial states from 0."""
        super().reset_parameters()
        if self.forget_bias is not None:
            forget_bias_(self, self.forget_bias)

    def _widths(self) -> tuple[int, ...]:
        return (self.proj_size or self.hidden_size, self.hidden_size)

    def _shapes(self, inputs: int) -> Shapes:
        hidden, width = self.hidden_size, self.proj_size
        return super()._shapes(inputs) | {
            "weight_hr": (width, hidden) if width else None,
            # In a cell the option gives way to the parameter of its name.
            "peephole": None if self.peephole is False else (3 * hidden,),
            "gain_c": (hidden,) if self.layer_norm else None,
            "bias_c": (hidden,) if self.layer_norm and self.bias else None,
        }

    def _run(self, x: Tensor, states: Sequence[Tensor], suffix: str) -> Run:
        result = ops.lstm(x, *states, **self._weights(suffix), **self._noise(x))
        output, h_n, c_n, cells, gates = result
        return Run(output, [h_n, c_n], Inner(cells, gates))


class LSTM(LSTMUnit, Stack):
    """Long short-term memory, in one or more layers, over whole sequences. For t = 1 … T::

        a_t = W_ih x_t + b_ih + W_hh h_{t−1} + b_hh      four blocks of H rows: a_i, a_f, a_g, a_o
        i_t = σ(a_i)    f_t = σ(a_f)    g_t = tanh(a_g)    o_t = σ(a_o)
        c_t = f_t ⊙ c_{t−1} + i_t ⊙ g_t
        h_t = o_t ⊙ tanh c_t

    (Hochreiter and Schmidhuber 1997; the forget gate f is from Gers, Schmidhuber and Cummins 2000.)
    From the second layer on, x_t is the output of the layer below. A second direction runs the
    same from t = T to 1, with weights of its own, and each output is the two h_t side by side.

    **Called** as ``output, (h_n, c_n) = layer(x, state=None, lengths=None)``. With L = num_layers,
    D = 2 if bidirectional and 1 if not, H = hidden_size, P = proj_size or, without it, H:

    * x (T, B, input_size), or (B, T, input_size) if ``batch_first``, or (T, input_size), or a
      ``PackedSequence``;
    * state: a pair (h0, c0) of every layer and direction, layer by layer, forward before reverse:
      h0 and h_n (L·D, B, P), c0 and c_n (L·D, B, H), without B where x has no batch; zeros by
      default;
    * output: as x, D·P wide, of the last layer;
    * lengths (B,): how many steps of each sequence are real, where x is padded. What padding holds
      changes nothing and gets no gradient, output is 0 there, the last states are those of the
      last real step;
    * return_inner=True adds a third result: for every layer and direction, in the order of the
      states, a pair (cells, gates): all c_t (T, B, H), and all i, f, g, o (T, B, 4H), laid out as
      x is, both differentiable.

    **Parameters** have PyTorch's names, shapes and order of blocks, i, f, g, o: ``weight_ih_l0``
    (4H, input_size), or (4H, D·P) for ``_l1`` and on; ``weight_hh_l0`` (4H, P); ``bias_ih_l0`` and
    ``bias_hh_l0`` (4H,) unless ``bias=False``; ``weight_hr_l0`` (P, H) with ``proj_size``;
    ``weight_ih_l0_reverse`` … if bidirectional. They start from U(−1/√H, 1/√H).

    **Options** beyond these, all off by default, those after ``dropout`` not PyTorch's:

    * proj_size: P > 0 narrows h, h_t = W_hr (o_t ⊙ tanh c_t) (Sak, Senior and Beaufays 2014,
      arXiv:1402.1128).
    * dropout: p with which each element between two layers is dropped while training.
    * single_bias: no b_hh, which does what b_ih does already.
    * forget_bias: where the forget gate's bias starts, b_f of b_ih; that of b_hh starts from 0. 1
      keeps the cell open at first (Jozefowicz, Zaremba and Sutskever 2015).
    * zoneout: p with which each unit keeps its old value while training, one number for both
      states or a pair for h and for c: h_t = m ⊙ h_{t−1} + (1 − m) ⊙ h̃_t, where h̃_t and c̃_t are
      what the equations above give, h̃_t from c̃_t, and likewise for c; m ~ Bernoulli(p) per step
      and unit, in evaluation m = p (Krueger et al. 2016, arXiv:1606.01305).
    * input_dropout, recurrent_dropout: p of variational dropout, whose mask is drawn once for a
      sequence and holds for all its steps: on the input of every layer, and on h_{t−1} where it
      enters W_hh h_{t−1}. Kept elements grow by 1/(1 − p) (Gal and Ghahramani 2016,
      arXiv:1512.05287).
    * layer_norm: γ_ih ⊙ LN(W_ih x_t) in place of W_ih x_t, likewise for W_hh, over all 4H rows at
      once, and tanh(γ_c ⊙ LN(c_t) + b_c) in place of tanh c_t, with
      LN(u) = (u − mean u)/√(var u + 1e−5) and the biases as its shifts. ``gain_ih_l0`` and
      ``gain_hh_l0`` (4H,) and ``gain_c_l0`` (H,) start from 1, ``bias_c_l0`` (H,), which there is
      unless ``bias=False``, from 0 (Ba et al. 2016, arXiv:1607.06450).
    * peephole: the gates look at the cell: p_i ⊙ c_{t−1}, p_f ⊙ c_{t−1} and p_o ⊙ c_t join a_i,
      a_f and a_o; ``peephole_l0`` (3H,) in the order i, o, f (Gers and Schmidhuber 2000).
    * learned_state: ``initial_h`` (L·D, P) and ``initial_c`` (L·D, H), from 0, are where each
      sequence starts that is given no state.
    * residual: from the second layer on, the input of a layer (as it is before any dropout) is
      added to its output.

    **Raises** ShapeError for what does not fit; ArgumentError for options out of range or without
    effect (dropout with one layer, say), and where a bidirectional layer is run on a part of a
    sequence by ``bptt``: its reverse direction begins at the sequence's end.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: str | Device | None = None,
        dtype: Any = None,
        *,
        single_bias: bool = False,
        forget_bias: float | None = None,
        zoneout: float | tuple[float, float] = 0.0,
        input_dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        layer_norm: bool = False,
        peephole: bool = False,
        learned_state: bool = False,
        residual: bool = False,
    ):
        super().__init__(
            device,
            dtype,
            input_size=input_size,
            hidden_size=hidden_size,
            num_layers=num_layers,
            bias=bias,
            batch_first=batch_first,
            dropout=dropout,
            bidirectional=bidirectional,
            proj_size=proj_size,
            single_bias=single_bias,
            forget_bias=forget_bias,
            zoneout=zoneout,
            input_dropout=input_dropout,
            recurrent_dropout=recurrent_dropout,
            layer_norm=layer_norm,
            peephole=peephole,
            learned_state=learned_state,
            residual=residual,
        )
