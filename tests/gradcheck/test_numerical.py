"""The pieces: lines, stencils, ladders, judgements."""

import math

import numpy as np
import pytest

from tinygrad_seq.gradcheck.numerical import Line, Stencil, central, ladder_of, survey
from tinygrad_seq.gradcheck.verdict import estimates_of, judge, settled

EPS = 2.0**-52


def line(f, reach=1.0):
    centre = np.array([f(0.0)])
    return Line(lambda t: np.array([f(t)]), centre, reach, np.abs(centre), EPS)


def stencil(f, h, rounding=0.0):
    return Stencil(h, np.array([f(k * h) for k in range(-3, 4)], dtype=np.float64), rounding)


def stencils(f, eps=1e-6):
    drawn = line(f)
    return [Stencil(h, v[0], float(n[0])) for h, v, n in survey(drawn, ladder_of(drawn, eps, 1.0))]


@pytest.mark.parametrize("power", range(7))
def test_the_slope_is_exact_for_polynomials_up_to_degree_six(power):
    found = stencil(lambda t: (t + 1) ** power, 0.25)
    assert found.slope == pytest.approx(power, rel=1e-12, abs=1e-12)


def test_the_sides_and_the_jump():
    relu = stencil(lambda t: max(t, 0.0), 0.5)
    assert relu.sides == pytest.approx((0.0, 1.0))
    assert relu.jumps == (0.0, 0.0)
    step = stencil(lambda t: float(t > 0) - float(t < 0) + 2 * t, 0.5)
    assert step.sides == pytest.approx((2.0, 2.0))
    assert step.jumps == pytest.approx((-1.0, 1.0))
    curve = stencil(lambda t: 3 * t * t + t, 0.5)
    assert curve.sides == pytest.approx((1.0, 1.0))
    assert (curve.bend, relu.bend) == (pytest.approx(1.5), 0.0)


def test_the_scatter_is_the_size_of_noise():
    rng = np.random.default_rng(0)
    sizes = [Stencil(1.0, 0.1 * rng.standard_normal(7), 0.0).scatter for _ in range(4000)]
    # The larger of two independent normal numbers: its square is 1 + 2/π on average.
    assert np.mean(np.square(sizes)) == pytest.approx(0.01 * (1 + 2 / math.pi), rel=0.05)
    assert stencil(lambda t: 1 + t - t**2 + t**3 - t**4, 0.5).scatter < 1e-14


@pytest.mark.parametrize("where", [0.0, 0.3, 1.0, 1.5, 2.2, 2.9])
@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_the_error_covers_a_kink_inside(where, side):
    f = lambda t: max(side * t - where, 0.0)
    found = stencil(f, 1.0)
    truth = 0.0 if where else 0.5 * side
    assert abs(found.slope - truth) <= found.error()


def test_the_error_covers_a_jump():
    for values in ((-1, 0, 1), (0, 0, 1), (0, 1, 1)):
        found = stencil(lambda t, v=values: v[int(np.sign(t)) + 1], 1.0)
        assert abs(found.slope) <= found.error()


def test_a_function_that_is_not_finite_gives_no_estimate():
    found = stencil(lambda t: math.nan if t > 1 else t, 0.5)
    assert found.error() == math.inf
    assert estimates_of([found]) == []


def test_an_infinity_that_stays_counts_as_zero():
    still = line(lambda t: -math.inf)
    assert central(still, 0.1) == (0.0, 0.0)
    moving = line(lambda t: 1.0 if t > 0 else -math.inf)
    assert not np.isfinite(central(moving, 0.1)[1])


def test_the_ladder():
    ladder = ladder_of(line(math.exp, reach=10.0), 1e-6, 10.0)
    assert ladder[0] == pytest.approx(1e-2)
    assert ladder[1:] == sorted(ladder[1:], reverse=True)
    assert len(ladder) == 10
    assert len(ladder_of(line(math.exp), 5e-3, 1.0)) >= 4
    assert min(ladder_of(line(math.exp), 1e-6, 1e-9)) < 1e-12


@pytest.mark.parametrize(
    ("f", "slope"),
    [
        (math.exp, 1.0),
        (math.sin, 1.0),
        (lambda t: 1e6 + t, 1.0),
        (lambda t: math.tanh(1e5 * t), 1e5),
        (lambda t: abs(t - 1e-7), -1.0),
        (lambda t: 0.0, 0.0),
    ],
)
def test_judgement_of_right_and_wrong_slopes(f, slope):
    drawn = stencils(f)
    assert judge(slope, drawn, 1e-7, 1e-5).verdict == "pass"
    for wrong in (slope + 1e-3 * max(1.0, abs(slope)), -slope if slope else 1.0, math.nan):
        assert judge(wrong, drawn, 1e-7, 1e-5).verdict == "wrong"


def test_one_good_stencil_settles_it_and_a_bad_one_does_not():
    good, bad = stencil(math.exp, 1e-3), stencil(lambda t: abs(t) + t, 1e-3)
    assert settled(1.0, good, 0.0, 1e-6)
    assert not settled(1.001, good, 0.0, 1e-6)
    assert not settled(1.0, bad, 0.0, 1e-6)


def test_a_kink_further_away_is_not_blamed_for_rounding():
    drawn = stencils(lambda t: 1e3 + t + max(t - 1e-7, 0.0))
    assert judge(1.0, drawn, 1e-7, 1e-5).verdict == "too noisy"
    assert judge(3.0, drawn, 1e-7, 1e-5).verdict == "wrong"


@pytest.mark.parametrize("size", [1e-3, 1e-6])
def test_noise_is_never_taken_for_a_kink(size):
    verdicts = set()
    for seed in range(200):
        rng = np.random.default_rng(seed)
        drawn = stencils(lambda t, rng=rng: t + size * rng.standard_normal())
        verdicts.add(judge(1.0, drawn, 1e-9, 1e-9).verdict)
    assert verdicts == {"too noisy"}


@pytest.mark.parametrize("size", [1e-9, 1e-7])
def test_a_stair_is_not_taken_for_a_jump(size):
    drawn = stencils(lambda t: size * math.floor(t / size))
    assert judge(1.0, drawn, 1e-9, 1e-9).verdict == "too noisy"
    assert judge(1.1, drawn, 1e-9, 1e-9).verdict == "wrong"


def test_a_slope_lost_in_rounding_is_too_noisy_and_not_wrong():
    nothing = stencils(lambda t: 0.0)
    assert judge(1e-16, nothing, 0.0, 1e-5, faint=1e-14).verdict == "too noisy"
    assert judge(1e-3, nothing, 0.0, 1e-5, faint=1e-14).verdict == "wrong"
