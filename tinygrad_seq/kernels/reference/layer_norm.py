"""Layer normalisation, as the equations stand in the paper (Ba et al. 2016).

For each row of x (N, D), with γ and β (D,) or None for 1 and 0::

    μ = mean x      r = 1/√(mean (x − μ)² + ε)      both (N, 1)
    x̂ = (x − μ) r
    y = γ x̂ + β
"""

from __future__ import annotations

from collections.abc import Sequence

from tinygrad_seq.backend import Array, xp_of


def forward(
    x: Array, weight: Array | None, bias: Array | None, eps: float
) -> tuple[Array, Array, Array]:
    """→ y, and for ``backward`` μ and r."""
    xp = xp_of(x)
    mean = x.mean(axis=1, keepdims=True)
    d = x - mean
    rate = 1 / xp.sqrt((d * d).mean(axis=1, keepdims=True) + eps)
    y = d * rate
    y = y if weight is None else y * weight
    return y if bias is None else y + bias, mean, rate


def backward(
    g: Array, x: Array, weight: Array | None, mean: Array, rate: Array, needs: Sequence[bool]
) -> tuple[Array | None, Array | None, Array | None]:
    """With δX = ∂L/∂X, g = δy and h = γ g,

        δx = r (h − mean h − x̂ mean(h x̂))      δγ = Σ_n g x̂      δβ = Σ_n g

    → δx, δγ and δβ, None where ``needs``, which has a bool for each, says so.
    """
    need_x, need_weight, need_bias = needs
    x_hat = (x - mean) * rate
    dx = None
    if need_x:
        h = g if weight is None else g * weight
        along = (h * x_hat).mean(axis=1, keepdims=True)
        dx = rate * (h - h.mean(axis=1, keepdims=True) - x_hat * along)
    dweight = (g * x_hat).sum(axis=0) if need_weight else None
    return dx, dweight, g.sum(axis=0) if need_bias else None
