"""Fast mode misses no more than is stated of it."""

import math

import numpy as np
import pytest

import tinygrad_seq as tg
from tests.gradcheck.planted import op
from tinygrad_seq.gradcheck import miss_probability

TAU = 1e-5 + 1e-7


def most(n, p, doubt=1e-4):
    """The number that a binomial variable exceeds with a probability of at most ``doubt``."""
    total = 0.0
    for k in range(n + 1):
        log = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
        total += math.exp(log + k * math.log(p) + (n - k) * math.log1p(-p))
        if total >= 1 - doubt:
            return k
    return n


def planted(error):
    """x ↦ 2x elementwise, where each derivative is off by its entry of ``error``."""
    return op(lambda x: 2 * x, x=lambda g: g * (2 + error))


def misses(error, directions, trials):
    x = np.ones(len(error))
    wrong = planted(np.array(error))
    reports = [
        tg.gradcheck(wrong, x, fast=True, directions=directions, seed=s, create_graph=False,
                     raise_exception=False)
        for s in range(trials)
    ]  # fmt: skip
    return sum(r.verdict == "pass" for r in reports)


SHAPES = {
    "two elements": [1.0, 1.0],
    "two unequal ones": [1.0, -0.7],
    "two of eight": [1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0],
    "all alike": [1.0] * 12,
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("times", [3, 12])
def test_misses_stay_below_what_is_stated(shape, times):
    """Errors of 3 and 12 tolerances: at most √2/3 and √2/12 of the directions miss them."""
    pattern, trials = np.array(SHAPES[shape]), 150
    size = times * TAU
    error = size * pattern / np.linalg.norm(pattern) * 2 * math.sqrt(len(pattern))
    bound = miss_probability(size * (1 - 2 * size), directions=1, rounding=1e-12 / 2)
    assert bound == pytest.approx(math.sqrt(2) / times, rel=1e-2)
    found = misses(error, 1, trials)
    assert found <= most(trials, bound)


def test_the_bound_is_not_idle():
    """Two equal elements meet it: most of what it allows is missed."""
    found = misses(3 * TAU * np.array([2.0, 2.0]), 1, 200)
    assert found >= 200 * 0.3
    assert found <= most(200, math.sqrt(2) / 3)


def test_directions_multiply():
    pattern = 3 * TAU * np.array([2.0, 2.0])
    found = misses(pattern, 3, 200)
    assert found <= most(200, (math.sqrt(2) / 3) ** 3)
    assert miss_probability(3 * TAU, directions=3) == pytest.approx((math.sqrt(2) / 3) ** 3)


def test_a_single_wrong_element_is_not_missed():
    error = np.zeros(10)
    error[3] = 8 * TAU * 2 * math.sqrt(10)
    assert misses(error, 1, 100) == 0


def test_the_odds_of_large_and_of_no_errors():
    assert miss_probability(0.0) == miss_probability(1e-7) == 1.0
    assert miss_probability(1e-3, directions=1) == pytest.approx(math.sqrt(2) * TAU / 1e-3)
    assert miss_probability(0.1, 1e-3, 1e-2, 2) < 0.03
    for bad in ({"size": -1.0}, {"size": 1.0, "directions": 0}):
        with pytest.raises(tg.errors.ArgumentError, match="miss_probability"):
            miss_probability(**bad)
