"""Gradients that run forwards: the influence of the parameters on the state, carried along."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_seq.autograd import Tensor
from tinygrad_seq.backend import Array, transfer, xp_of
from tinygrad_seq.bptt.local import LocalStep, add_to_grads, expect_parameters, size_of
from tinygrad_seq.bptt.state import detach_state, tensors_of
from tinygrad_seq.bptt.window import LongSequence, Step, Window
from tinygrad_seq.errors import expect


@dataclass(frozen=True, slots=True)
class OnlineWindow(Window):
    """One step of a forward gradient: its loss, the state after it, and ``influence``.

    For ``rtrl`` that is ∂s_t/∂θ, one row for each number in the state, one column for each
    parameter, in order; for ``uoro`` the pair (s̃, θ̃) whose outer product estimates it.
    """

    influence: Any


def rtrl(
    step: Step,
    inputs: Any,
    targets: Any,
    parameters: Iterable[Tensor],
    state: Any = None,
    *,
    influence: Array | None = None,
) -> Iterator[OnlineWindow]:
    """Real-time recurrent learning: exact gradients without going back (Williams, Zipser 1989).

    With s_t = F(x_t, s_{t−1}, θ) and the loss L_t computed in the same step, the influence
    J_t = ∂s_t/∂θ is carried forward,

        J_0 = 0,    J_t = (∂F/∂s_{t−1}) J_{t−1} + ∂F/∂θ
        dL_t/dθ   = (∂L_t/∂s_{t−1}) J_{t−1} + ∂L_t/∂θ

    and after each step dL_t/dθ has been added to ``.grad`` of the parameters: summed over a
    sequence that is the gradient of backpropagation through time. The caller may use it at once,
    as each step is handed out; J is kept then, with what older weights contributed to it.

    step(x, y, state) → (loss, new state), with x and y slices of one step, as for TruncatedBPTT: a
    step of a cell, of a layer, or of stacked ones. parameters: leaves that require grad. state: the
    first one, a constant. influence: J_0, if it is not zero: with the state and the influence of
    the last step that was handed out, a stream that was left is taken up again.

    J has N·P numbers, for N in the state (all rows of the batch) and P in the parameters; a step
    costs N backward passes and a product with an N × N matrix. That is for small nets, as an
    oracle, and to learn with no memory of the past. Source: Williams and Zipser, A Learning
    Algorithm for Continually Running Fully Recurrent Neural Networks, Neural Computation 1, 1989.

    Raises what TruncatedBPTT.run raises, ArgumentError for parameters that do not require grad, and
    ShapeError for an influence that does not fit.
    """
    sequence = LongSequence.of("rtrl", step, inputs, targets)
    chosen = expect_parameters("rtrl", parameters)
    shape = size_of(tensors_of(state, "rtrl")), size_of(chosen)
    if influence is None:
        influence = xp_of(chosen[0].data).zeros(shape, chosen[0].dtype)
    expect(influence.shape == shape, "rtrl", f"influence of shape {shape}", influence.shape)
    return _rtrl(sequence, chosen, detach_state(state), influence)


def _rtrl(
    sequence: LongSequence, parameters: list[Tensor], state: Any, influence: Array
) -> Iterator[OnlineWindow]:
    for t in range(sequence.steps):
        local = LocalStep(sequence, t, state, parameters)
        by_state, by_parameters = local.gradient_of_loss()
        add_to_grads(parameters, by_state @ influence + by_parameters)
        by_state, by_parameters = _jacobians(local)
        influence = by_state @ influence + by_parameters
        state = local.state
        yield OnlineWindow(t, t + 1, local.loss, state, t, influence, boundary=state)


def _jacobians(local: LocalStep) -> tuple[Array, Array]:
    """∂s_t/∂s_{t−1} and ∂s_t/∂θ, a backward pass for each row."""
    xp = xp_of(local.like)
    one_hot = np.eye(local.size, dtype=local.like.dtype)
    rows = [local.back(transfer(row, local.device)) for row in one_hot]
    if not rows:
        return local.zeros((0, local.size_before)), local.zeros((0, local.columns))
    by_state, by_parameters = zip(*rows, strict=True)
    return xp.stack(by_state), xp.stack(by_parameters)
