"""The Gaussian error linear unit and its derivative (Hendrycks and Gimpel 2016, arXiv:1606.08415).

y = x Φ(x)          Φ(x) = (1 + erf(x/√2))/2, the standard normal distribution function
y = x (1 + t)/2     t = tanh u,  u = √(2/π) (x + 0.044715 x³), the approximation "tanh"
"""

from __future__ import annotations

import math

from tinygrad_seq.backend import Array, xp_of
from tinygrad_seq.kernels.dispatch import kernel

SQRT_HALF, SQRT_2PI = math.sqrt(0.5), math.sqrt(2 * math.pi)
#: u = C·(x + D·x³)
C, D = math.sqrt(2 / math.pi), 0.044715


def forward(x: Array, approximate: str) -> Array:
    """→ y, for ``approximate`` "none" or "tanh"."""
    if approximate == "none":
        return 0.5 * x * (1 + kernel("erf", x).erf(SQRT_HALF * x))
    return 0.5 * x * (1 + xp_of(x).tanh(C * (x + D * (x * x * x))))


def backward(g: Array, x: Array, approximate: str) -> Array:
    """δx = g ⊙ (Φ(x) + x e^(−x²/2)/√(2π)), or with "tanh"

    δx = g ⊙ (1 + t + x (1 − t²) u′)/2,    u′ = √(2/π) (1 + 3 · 0.044715 x²).
    """
    xp = xp_of(x)
    square = x * x
    if approximate == "none":
        phi = 0.5 * (1 + kernel("erf", x).erf(SQRT_HALF * x))
        return g * (phi + x * (xp.exp(-0.5 * square) / SQRT_2PI))
    t = xp.tanh(C * (x * (1 + D * square)))
    return g * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * (C * (1 + 3 * D * square)))
