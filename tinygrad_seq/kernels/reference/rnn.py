"""The simple recurrent net over a whole sequence, as the equations stand in the books.

For every step t = 1 … T, with φ one of tanh, relu and the logistic function σ,

    a_t = W_ih x_t + b_ih + W_hh h_{t−1} + b_hh
    h_t = φ(a_t)

(Elman 1990). x (T, B, I) · h0 (B, H) · w_ih (H, I) · w_hh (H, H) · b_ih, b_hh (H,) or None.
In arrays the batch comes first, so a vector W x of the formulas reads ``x @ W.T`` here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tinygrad_seq.backend import Array, xp_of


def logistic(a: Array) -> Array:
    """σ(a) = 1/(1 + e⁻ᵃ) = (1 + tanh(a/2))/2. The form with tanh overflows nowhere."""
    return 0.5 * xp_of(a).tanh(0.5 * a) + 0.5


#: φ(a), and φ′ written in terms of h = φ(a)
NONLINEARITIES: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "tanh": (lambda a: xp_of(a).tanh(a), lambda h: 1 - h * h),
    "relu": (lambda a: xp_of(a).maximum(a, 0), lambda h: (h > 0).astype(h.dtype)),
    "sigmoid": (logistic, lambda h: h * (1 - h)),
}


def forward(
    x: Array, h0: Array, w_ih: Array, w_hh: Array, b_ih: Array, b_hh: Array, nonlinearity: str
) -> tuple[Array, Array]:
    """→ output, all h_t (T, B, H), and the last of them, h_n (B, H)."""
    phi, _ = NONLINEARITIES[nonlinearity]
    h = h0
    hidden = []
    for t in range(x.shape[0]):
        a = x[t] @ w_ih.T + h @ w_hh.T
        for bias in (b_ih, b_hh):
            a = a if bias is None else a + bias
        h = phi(a)
        hidden.append(h)
    return xp_of(x).stack(hidden), h


def backward(
    g_output: Array,
    g_h_n: Array,
    x: Array,
    h0: Array,
    w_ih: Array,
    w_hh: Array,
    output: Array,
    nonlinearity: str,
    needs: Sequence[bool],
) -> tuple[Array | None, ...]:
    """Backpropagation through time. With δv = ∂L/∂v, and starting from δh_T = ∂L/∂h_n,
    for t = T … 1

        δh_t += ∂L/∂output_t           what step t itself was used for
        δa_t  = δh_t ⊙ φ′(a_t)         tanh′ = 1 − h², relu′ = [h > 0], σ′ = h(1 − h)
        δh_{t−1} = W_hhᵀ δa_t          and on to the step before

    → the gradients of x, h0, w_ih, w_hh, b_ih and b_hh, None where ``needs`` says so.
    """
    _, slope = NONLINEARITIES[nonlinearity]
    dh = g_h_n
    da = []
    for t in reversed(range(x.shape[0])):
        dh = dh + g_output[t]
        da.append(dh * slope(output[t]))
        dh = da[-1] @ w_hh
    need_x, _, *need_weights = needs
    da = xp_of(x).stack(da[::-1])
    dx, *dw = input_gradients(da, x, h0, output, w_ih, [need_x, *need_weights])
    return dx, dh, *dw


def input_gradients(
    da: Array, x: Array, h0: Array, output: Array, w_ih: Array, needs: Sequence[bool]
) -> list[Array | None]:
    """What follows from δa_1 … δa_T for all that entered W_ih x_t + b_ih + W_hh h_{t−1} + b_hh:

        δx_t  = W_ihᵀ δa_t
        δW_ih = Σ_t δa_t x_tᵀ      δW_hh = Σ_t δa_t h_{t−1}ᵀ      δb_ih = δb_hh = Σ_t δa_t

    One set of weights serves all steps, so its gradient is the sum of what the steps say (and of
    what the rows of the batch say). → [δx, δW_ih, δW_hh, δb_ih, δb_hh], None where not needed.
    """
    xp = xp_of(x)
    need_x, need_w_ih, need_w_hh, *need_biases = needs
    h_before = xp.concatenate([h0[None], output[:-1]])
    over_steps_and_rows = ((0, 1), (0, 1))
    return [
        xp.tensordot(da, w_ih, axes=1) if need_x else None,
        xp.tensordot(da, x, axes=over_steps_and_rows) if need_w_ih else None,
        xp.tensordot(da, h_before, axes=over_steps_and_rows) if need_w_hh else None,
        *(da.sum(axis=(0, 1)) if need else None for need in need_biases),
    ]
