"""The simple recurrent net over a whole sequence, as the equations stand in the books.

For every step t = 1 … T, with φ one of tanh, relu and the logistic function σ,

    a_t = W_ih x_t + b_ih + W_hh h_{t−1} + b_hh
    h_t = φ(a_t)

(Elman 1990). x (T, B, I) · h0 (B, H) · w_ih (H, I) · w_hh (H, H) · b_ih, b_hh (H,) or None.

The options, None where they are not wanted:

    gain_ih, gain_hh (H,)   layer normalisation of W_ih x_t and W_hh h_{t−1}, see recurrence.py
    drop (B, H)             h_{t−1} ⊙ drop in place of h_{t−1} in W_hh h_{t−1}
    hold (T, B, H)          h_t = hold_t ⊙ h_{t−1} + (1 − hold_t) ⊙ φ(a_t)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tinygrad_seq.backend import Array, xp_of
from tinygrad_seq.kernels.reference.recurrence import (
    at_step,
    before,
    held,
    logistic,
    project,
    project_back,
    times,
    weight_gradients,
    zeros_for_none,
)

#: φ(a), and φ′ written in terms of h = φ(a)
NONLINEARITIES: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "tanh": (lambda a: xp_of(a).tanh(a), lambda h: 1 - h * h),
    "relu": (lambda a: xp_of(a).maximum(a, 0), lambda h: (h > 0).astype(h.dtype)),
    "sigmoid": (logistic, lambda h: h * (1 - h)),
}


def forward(
    x: Array,
    h0: Array,
    w_ih: Array,
    w_hh: Array,
    b_ih: Array | None,
    b_hh: Array | None,
    nonlinearity: str,
    *,
    gain_ih: Array | None = None,
    gain_hh: Array | None = None,
    hold: Array | None = None,
    drop: Array | None = None,
    eps: float = 1e-5,
) -> tuple[Array, Array, Array]:
    """→ output, all h_t (T, B, H), the last, h_n (B, H), and for ``backward`` all φ(a_t)."""
    phi, _ = NONLINEARITIES[nonlinearity]
    h = h0
    hidden, activations = [], []
    for t in range(x.shape[0]):
        a = project(x[t], w_ih, b_ih, gain_ih, eps)
        a = a + project(times(h, drop), w_hh, b_hh, gain_hh, eps)
        activations.append(phi(a))
        h = held(h, activations[-1], at_step(hold, t))
        hidden.append(h)
    output = xp_of(x).stack(hidden)
    return output, h, output if hold is None else xp_of(x).stack(activations)


def backward(
    grads: Sequence[Array | None],
    x: Array,
    h0: Array,
    w_ih: Array,
    w_hh: Array,
    output: Array,
    activations: Array,
    nonlinearity: str,
    needs: Sequence[bool],
    *,
    gain_ih: Array | None = None,
    gain_hh: Array | None = None,
    hold: Array | None = None,
    drop: Array | None = None,
    eps: float = 1e-5,
) -> tuple[Array | None, ...]:
    """Backpropagation through time. With δv = ∂L/∂v, and starting from δh_T = ∂L/∂h_n,
    for t = T … 1

        δh_t += ∂L/∂output_t           what step t itself was used for
        δa_t  = δh_t ⊙ φ′(a_t)         tanh′ = 1 − h², relu′ = [h > 0], σ′ = h(1 − h)
        δh_{t−1} = W_hhᵀ δa_t          and on to the step before

    ``grads`` are those of the two outputs, None for one that nobody used. → the gradients of x,
    h0, w_ih, w_hh, b_ih, b_hh, gain_ih and gain_hh, None where ``needs``, which has a bool for
    each of them, says so.
    """
    g_output, g_h_n = grads
    _, slope = NONLINEARITIES[nonlinearity]
    dh = zeros_for_none(g_h_n, h0)
    da = []
    entering = times(before(h0, output), drop)  # what W_hh was multiplied with
    for t in reversed(range(x.shape[0])):
        dh = dh if g_output is None else dh + g_output[t]
        kept = at_step(hold, t)
        da.append(times(dh, None if kept is None else 1 - kept) * slope(activations[t]))
        d = project_back(da[-1], entering[t], w_hh, gain_hh, eps) @ w_hh
        dh = times(d, drop) if kept is None else times(d, drop) + dh * kept
    da = xp_of(x).stack(da[::-1])
    need_x, _, *need = needs
    dx = project_back(da, x, w_ih, gain_ih, eps) @ w_ih if need_x else None
    dw_ih, db_ih, dgain_ih = weight_gradients(da, x, w_ih, gain_ih, eps, need[0::2])
    dw_hh, db_hh, dgain_hh = weight_gradients(da, entering, w_hh, gain_hh, eps, need[1::2])
    return dx, dh, dw_ih, dw_hh, db_ih, db_hh, dgain_ih, dgain_hh
