"""nn.GRU: gated recurrent units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinygrad_seq import ops
from tinygrad_seq.autograd import Tensor
from tinygrad_seq.backend import Device
from tinygrad_seq.nn.recurrent.stack import Stack
from tinygrad_seq.nn.recurrent.unit import Inner, Run, Unit


class GRUUnit(Unit):
    """One GRU, in a layer or as a cell."""

    _gates = 3
    reset_after: bool
    update: str

    def _run(self, x: Tensor, states: Sequence[Tensor], suffix: str) -> Run:
        variant = {"reset_after": self.reset_after, "update": self.update}
        result = ops.gru(x, *states, **self._weights(suffix), **self._noise(x), **variant)
        output, h_n, gates = result
        return Run(output, [h_n], Inner(None, gates))


class GRU(GRUUnit, Stack):
    """Gated recurrent unit, in one or more layers, over whole sequences. For t = 1 … T::

        r_t = σ(W_ir x_t + b_ir + W_hr h_{t−1} + b_hr)                reset gate
        z_t = σ(W_iz x_t + b_iz + W_hz h_{t−1} + b_hz)                update gate
        n_t = tanh(W_in x_t + b_in + r_t ⊙ (W_hn h_{t−1} + b_hn))     new value
        h_t = (1 − z_t) ⊙ n_t + z_t ⊙ h_{t−1}

    (Cho et al. 2014, arXiv:1406.1078, with the reset after W_hn, as PyTorch and cuDNN have it.)
    From the second layer on, x_t is the output of the layer below. A second direction runs the
    same from t = T to 1, with weights of its own, and each output is the two h_t side by side.

    **Called** as ``output, h_n = layer(x, state=None, lengths=None)``. With L = num_layers, D = 2
    if bidirectional and 1 if not, H = hidden_size:

    * x (T, B, input_size), or (B, T, input_size) if ``batch_first``, or (T, input_size), or a
      ``PackedSequence``;
    * state, h0 of every layer and direction, and h_n: (L·D, B, H), layer by layer, forward before
      reverse; (L·D, H) where x has no batch; zeros by default;
    * output: as x, D·H wide, of the last layer;
    * lengths (B,): how many steps of each sequence are real, where x is padded. What padding holds
      changes nothing and gets no gradient, output is 0 there, h_n is that of the last real step;
    * return_inner=True adds a third result: for every layer and direction, in the order of the
      states, a pair (cells, gates): None, since a GRU has no cell beside h, and all r, z, n
      (T, B, 3H), laid out as x is, differentiable.

    **Parameters** have PyTorch's names, shapes and order of blocks, r, z, n: ``weight_ih_l0``
    (3H, input_size), or (3H, D·H) for ``_l1`` and on; ``weight_hh_l0`` (3H, H); ``bias_ih_l0`` and
    ``bias_hh_l0`` (3H,) unless ``bias=False``; ``weight_ih_l0_reverse`` … if bidirectional. They
    start from U(−1/√H, 1/√H).

    **Options** beyond these, all off or as above by default, those after ``dropout`` not PyTorch's:

    * dropout: p with which each element between two layers is dropped while training.
    * reset_after=False: n_t = tanh(W_in x_t + b_in + W_hn (r_t ⊙ h_{t−1}) + b_hn), the reset
      before the product (Cho et al. 2014).
    * update="take": h_t = (1 − z_t) ⊙ h_{t−1} + z_t ⊙ n_t, z the share of what is new (Chung et
      al. 2014, arXiv:1412.3555); "keep", the default, is as above, z the share of what stays.
      Negating W_iz, W_hz, b_iz and b_hz turns one into the other.
    * single_bias: no b_hh. For r and z b_ih does the same already; with ``reset_after`` what is
      lost is b_hn, the bias inside the reset.
    * zoneout: p with which each unit keeps its old value while training,
      h_t = m ⊙ h_{t−1} + (1 − m) ⊙ h̃_t, where h̃_t is what the equations above give,
      m ~ Bernoulli(p) per step and unit; in evaluation m = p (Krueger et al. 2016,
      arXiv:1606.01305).
    * input_dropout, recurrent_dropout: p of variational dropout, whose mask is drawn once for a
      sequence and holds for all its steps: on the input of every layer, and on h_{t−1} where it
      enters a product with W_hr, W_hz or W_hn. Kept elements grow by 1/(1 − p) (Gal and Ghahramani
      2016, arXiv:1512.05287).
    * layer_norm: γ_ih ⊙ LN(W_ih x_t) in place of W_ih x_t, and likewise for W_hh, with
      LN(u) = (u − mean u)/√(var u + 1e−5), once over the 2H rows of r and z and once over the H
      rows of n, and the biases as its shifts; ``gain_ih_l0`` and ``gain_hh_l0`` (3H,) start from 1
      (Ba et al. 2016, arXiv:1607.06450).
    * learned_state: ``initial_h`` (L·D, H), from 0, is where each sequence starts that is given
      no state.
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
        device: str | Device | None = None,
        dtype: Any = None,
        *,
        single_bias: bool = False,
        zoneout: float = 0.0,
        input_dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        layer_norm: bool = False,
        reset_after: bool = True,
        update: str = "keep",
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
            single_bias=single_bias,
            zoneout=zoneout,
            input_dropout=input_dropout,
            recurrent_dropout=recurrent_dropout,
            layer_norm=layer_norm,
            reset_after=reset_after,
            update=update,
            learned_state=learned_state,
            residual=residual,
        )
