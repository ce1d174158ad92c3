"""The toy chain h_t = tanh(w·h_{t−1} + 2·x_t + 1): ∂h₃/∂h₁ = w²(1 − h₂²)(1 − h₃²)."""

import numpy as np
import pytest

import tinygrad_seq as tg

# w, h₁, x₂ = x₃, the derivative, to how many digits it is known
TABLE = [
    (3.0, 0.0, 0.0, 0.0211438, 1e-7),
    (3.0, 0.5, -1.0, 6.1184, 1e-4),
    (3.0, 0.0, -0.5, 9.0, 1e-12),
    (0.2, 0.0, -0.5, 0.04, 1e-12),
]


def chain(w, x, steps=2):
    def h(h1):
        for _ in range(steps):
            h1 = tg.tanh(w * h1 + 2 * x + 1)
        return h1

    return h


@pytest.mark.parametrize(("w", "h1", "x", "expected", "digits"), TABLE)
def test_four_ways_to_the_same_number(w, h1, x, expected, digits):
    fn = chain(w, x)
    start = tg.tensor(np.array(h1), requires_grad=True)
    by_backward = tg.grad(fn(start), start).item()
    by_jacobian = tg.jacobian(fn, np.array(h1)).item()
    by_differences = tg.gradcheck(fn, np.array(h1)).worst.numeric
    by_complex_step = tg.gradcheck(fn, np.array(h1), complex_step=True).worst.numeric
    for value in (by_backward, by_jacobian, by_complex_step):
        assert value == pytest.approx(expected, abs=digits / 2 if digits > 1e-9 else digits)
    assert by_differences == pytest.approx(by_backward, rel=1e-8)


@pytest.mark.parametrize(("steps", "expected", "digits"), [(10, 59049.0, 1e-6), (50, 4e-26, 0.2)])
def test_the_chain_that_explodes_and_then_vanishes(steps, expected, digits):
    """From h₁ = 1e-12 with x = −½ the product of the slopes grows as 3ᵗ until tanh saturates."""
    fn = chain(3.0, -0.5, steps)
    start = np.array(1e-12)
    assert tg.jacobian(fn, start).item() == pytest.approx(expected, rel=digits)
    assert tg.gradcheck(fn, start, complex_step=True)
