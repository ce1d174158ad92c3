"""How likely fast mode is to miss a mistake.

Let J be the Jacobian that the tape gives and E its error, both in units of the inputs' scales. Fast
mode compares uᵀJv with a difference and so sees e = uᵀEv = Σⱼ aⱼvⱼ with a = Eᵀu. It passes where
|e| ≤ τ·‖Jᵀu‖, τ = atol + rtol. The entries of v are independent, of random sign, with magnitudes
uniform in [½, 3/2]: their density is nowhere above ½. A sum Σ aⱼvⱼ of independent numbers whose
densities are at most M has a density of at most √2·M/‖a‖ (Rogozin 1987 reduces it to uniform ones;
Ball 1986, doi:10.1090/S0002-9939-1986-0840631-0, gives √2 for sections of the cube). So for any u

    P(|e| ≤ τ·‖Jᵀu‖) ≤ 2·τ·‖Jᵀu‖ · (√2/2)/‖a‖ = √2·τ/r,   r = ‖Eᵀu‖ / ‖Jᵀu‖ ≈ ‖E‖ / ‖J‖,

and directions are independent: with d of them at most (√2·τ/r)ᵈ. The bound is met by two equal
wrong elements; many make e nearly normal, with 0.74·τ/r; a single one that is well above τ cannot
be missed at all.
"""

from __future__ import annotations

import math

from tinygrad_seq.errors import ArgumentError, expect


def miss_probability(
    size: float,
    atol: float = 1e-7,
    rtol: float = 1e-5,
    directions: int = 2,
    rounding: float = 0.0,
) -> float:
    """An upper bound of the chance that ``gradcheck(..., fast=True)`` passes a wrong Jacobian.

    ``size``: the norm of its error as a share of the norm of the tape's Jacobian, for inputs of one
    scale. ``rounding``: the share that the allowance for rounding adds to the tolerance, 10⁴
    rounding errors of the output by the norm of the Jacobian.

    >>> f"{miss_probability(1e-3):.0e}"  # a Jacobian that is off by a thousandth
    '2e-04'
    """
    expect(size >= 0, "miss_probability", "size ≥ 0", size, ArgumentError)
    expect(directions > 0, "miss_probability", "directions > 0", directions, ArgumentError)
    tolerance = atol + rtol + rounding
    return float(min(1.0, math.sqrt(2) * tolerance / size) ** directions) if size else 1.0
