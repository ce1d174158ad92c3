"""nn.RNN: simple recurrent nets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_seq import ops
from tinygrad_seq.autograd import Tensor
from tinygrad_seq.backend import Device
from tinygrad_seq.nn.lengths import mask_of
from tinygrad_seq.nn.recurrent.stack import Stack
from tinygrad_seq.nn.recurrent.unit import Inner, Run, Unit


class RNNUnit(Unit):
    """One simple recurrent net, in a layer or as a cell."""

    _gates = 1
    nonlinearity: str

    def _run(
        self, x: Tensor, states: Sequence[Tensor], suffix: str, padding: Tensor | None = None
    ) -> Run:
        """Where ``padding`` (T, B, 1) is true, states stay as they are."""
        weights, noise = self._weights(suffix), self._noise(x)
        if padding is not None:
            still = ops.astype(padding, x.dtype)
            noise["hold"] = ops.maximum(noise.get("hold", still), still)
        output, h_n = ops.rnn(x, *states, **weights, **noise, nonlinearity=self.nonlinearity)
        return Run(output, [h_n], Inner(None, None))


class RNN(RNNUnit, Stack):
    """Simple recurrent net (Elman 1990), in one or more layers, over whole sequences::

        h_t = φ(W_ih x_t + b_ih + W_hh h_{t−1} + b_hh),    t = 1 … T

    φ is ``nonlinearity``: "tanh", "relu" or "sigmoid". From the second layer on, x_t is the output
    of the layer below. A second direction runs the same from t = T to 1, with weights of its own,
    and each output is the two h_t side by side.

    **Called** as ``output, h_n = layer(x, state=None, lengths=None)``. With L = num_layers, D = 2
    if bidirectional and 1 if not, H = hidden_size:

    * x (T, B, input_size), or (B, T, input_size) if ``batch_first``, or (T, input_size), or a
      ``PackedSequence``;
    * state, h0 of every layer and direction, and h_n: (L·D, B, H), layer by layer, forward before
      reverse; (L·D, H) where x has no batch; zeros by default;
    * output: as x, D·H wide, of the last layer;
    * lengths (B,): how many steps of each sequence are real, where x is padded. What padding holds
      changes nothing and gets no gradient, output is 0 there, h_n is that of the last real step.

    **Parameters** have PyTorch's names and shapes: ``weight_ih_l0`` (H, input_size), or (H, D·H)
    for ``_l1`` and on; ``weight_hh_l0`` (H, H); ``bias_ih_l0`` and ``bias_hh_l0`` (H,) unless
    ``bias=False``; ``weight_ih_l0_reverse`` … if bidirectional. They start from U(−1/√H, 1/√H).

    **Options** beyond these, all off by default, those after ``dropout`` not PyTorch's:

    * dropout: p with which each element between two layers is dropped while training.
    * single_bias: no b_hh, which does what b_ih does already.
    * zoneout: p with which each unit keeps its old value while training,
      h_t = m ⊙ h_{t−1} + (1 − m) ⊙ φ(…), m ~ Bernoulli(p) per step and unit; in evaluation m = p
      (Krueger et al. 2016, arXiv:1606.01305).
    * input_dropout, recurrent_dropout: p of variational dropout, whose mask is drawn once for a
      sequence and holds for all its steps: on the input of every layer, and on h_{t−1} where it
      enters W_hh h_{t−1}. Kept elements grow by 1/(1 − p) (Gal and Ghahramani 2016,
      arXiv:1512.05287).
    * layer_norm: γ_ih ⊙ LN(W_ih x_t) in place of W_ih x_t, and likewise for W_hh, with
      LN(u) = (u − mean u)/√(var u + 1e−5) and the biases as its shifts; ``gain_ih_l0`` and
      ``gain_hh_l0`` (H,) start from 1 (Ba et al. 2016, arXiv:1607.06450).
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
        nonlinearity: str = "tanh",
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
        learned_state: bool = False,
        residual: bool = False,
    ):
        super().__init__(
            device,
            dtype,
            input_size=input_size,
            hidden_size=hidden_size,
            num_layers=num_layers,
            nonlinearity=nonlinearity,
            bias=bias,
            batch_first=batch_first,
            dropout=dropout,
            bidirectional=bidirectional,
            single_bias=single_bias,
            zoneout=zoneout,
            input_dropout=input_dropout,
            recurrent_dropout=recurrent_dropout,
            layer_norm=layer_norm,
            learned_state=learned_state,
            residual=residual,
        )

    def _forwards(
        self, x: Tensor, begin: Sequence[Tensor], suffix: str, lengths: np.ndarray | None
    ) -> Run:
        """A relu's states have no bound: if they grew on through padding, they could overflow
        there, and 0 · ∞ would spoil the weights' gradients. So there they stay as they are."""
        if lengths is None or self.nonlinearity != "relu":
            return super()._forwards(x, begin, suffix, lengths)
        return self._run(x, begin, suffix, mask_of(lengths, x.shape[0], x.device))
