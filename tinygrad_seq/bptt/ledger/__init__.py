"""The ledger: backpropagation through time, by hand, with every number written down.

In ``bptt`` the name ``ledger`` means the function. The modules in here are reached with
``from tinygrad_seq.bptt.ledger.record import Ledger``. They are loaded when they are asked for: who
trains a net does not pay for them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tinygrad_seq.autograd import Tensor

if TYPE_CHECKING:
    from tinygrad_seq.bptt.ledger.record import Ledger

__all__ = ["ledger"]


def ledger(
    model: Any,
    inputs: Any,
    loss: Callable[[Tensor, int], Tensor | None],
    *,
    initial: Any = None,
    params: Any = None,
) -> Ledger:
    """Backpropagation through time with every number written down: → a ``Ledger``.

    For L = Σ_t L_t it finds, from one backward pass through each step at a time::

        λ[s, s] = ∂L_s/∂state_s        λ[s, t−1] = λ[s, t] J_t        J_t = ∂state_t/∂state_{t−1}
        ∂L/∂θ = Σ_t share_t            share_t = Σ_s λ[s, t] ∂state_t/∂θ + ∂L_t/∂θ

    and makes sure that the shares sum to the gradient of one ordinary backward pass through the
    model as users run it. T steps take about T²/2 small backward passes: this is for study, on
    sequences of some dozens of steps.

    * model: nn.RNN, nn.LSTM or nn.GRU, in one direction, of any number of layers, with any option
      that draws no random numbers; nn.RNNCell, nn.LSTMCell or nn.GRUCell; or any callable
      ``cell(x_t, state) → state``, the state a Tensor or a tuple of Tensors, each of shape (B, H),
      (H,) or ().
    * inputs: as the model takes them; for a callable, time is the first axis.
    * loss(h, t) → a scalar Tensor, or None where there is no loss. It is called for t = 1 … T with
      h_t, shaped as the model gives it: the output of a layer at step t, the first tensor of a
      cell's state. It must not depend on h at other steps.
    * initial: the state before the first step, as the model takes it.
    * params: more parameters to account for: a Module, a dict, or Tensors. The parameters of the
      model, and of modules that a function ``loss`` or ``model`` refers to, are found without it.

    Nothing is changed: no ``.grad`` is written, and random streams and buffers are put back. Raises
    ShapeError and ArgumentError for what does not fit, and GraphError where the shares do not sum
    to the gradient.
    """
    from tinygrad_seq.bptt.ledger.run import run

    return run(model, inputs, loss, initial, params)
