"""The error function, which NumPy does not have.

Rational Chebyshev approximations of W. J. Cody, Mathematics of Computation 23 (1969), 631–637::

    erf x = x · A(x²)/B(x²)                      |x| ≤ 0.46875
    erf x = sign x · (1 − e^(−x²) · C(|x|)/D(|x|))    beyond

They are good to the last digits of float64, and of float32 when computed in float32. Beyond |x| = 6
float64 cannot tell erf from ±1.
"""

from __future__ import annotations

from collections.abc import Sequence

from tinygrad_seq.backend import Array, xp_of

# Coefficients from the highest power down.
_A = (1.85777706184603153e-1, 3.16112374387056560e0, 1.13864154151050156e2, 3.77485237685302021e2,
      3.20937758913846947e3)  # fmt: skip
_B = (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3,
      2.84423683343917062e3)  # fmt: skip
_C = (2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594e0, 6.61191906371416295e1,
      2.98635138197400131e2, 8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3,
      1.23033935479799725e3)  # fmt: skip
_D = (1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2,
      1.62138957456669019e3, 3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3,
      1.23033935480374942e3)  # fmt: skip


def erf(x: Array) -> Array:
    """erf x = 2/√π ∫₀ˣ e^(−t²) dt, elementwise, for a floating x, in its dtype."""
    xp = xp_of(x)
    near = xp.clip(x, -0.46875, 0.46875)
    square = near * near
    small = near * (horner(_A, square) / horner(_B, square))
    far = xp.minimum(xp.abs(x), 6)
    large = xp.sign(x) * (1 - xp.exp(-far * far) * (horner(_C, far) / horner(_D, far)))
    return xp.where(xp.abs(x) <= 0.46875, small, large)


def horner(coefficients: Sequence[float], x: Array) -> Array:
    """The polynomial with these coefficients at x."""
    total = coefficients[0] * x + coefficients[1]
    for c in coefficients[2:]:
        total *= x
        total += c
    return total
