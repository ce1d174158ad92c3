"""Kinks and jumps are no mistakes, and no excuse for mistakes; noise is told from both."""

import numpy as np
import pytest

import tinygrad_seq as tg
from tests.gradcheck.planted import op


def relu_with(slope_at_zero, slope_above=1.0):
    """relu whose rule says ``slope_at_zero`` at 0 and ``slope_above`` above it."""
    return op(
        lambda x: np.maximum(x, 0),
        x=lambda g, x: g * tg.where(x > 0, slope_above, tg.where(x == 0, slope_at_zero, 0.0)),
    )


def clip(x):
    return tg.relu(x + 1) - tg.relu(x - 1)


KINKS = {
    "relu": (tg.relu, [0.0, 1.0, -1.0]),
    "abs": (tg.abs, [0.0, 3.0]),
    "max tie": (lambda x: x.max(), [2.0, 2.0, 1.0]),
    "clip bound": (clip, [1.0, 0.5]),
    "abs beside a smooth function": (lambda x: tg.abs(x) + 100 * tg.exp(x), [0.0, 1.0]),
    "a small kink": (lambda x: 0.05 * tg.abs(x) + tg.exp(x), [0.0, 1.0]),
    "jump": (tg.sign, [0.0, 1.0]),
    "jump on a slope": (lambda x: tg.sign(x) + 3 * x, [0.0, 1.0]),
}


def verdict(fn, x, **options):
    return tg.gradcheck(fn, np.array(x), raise_exception=False, **options).verdict


@pytest.mark.parametrize("case", KINKS)
@pytest.mark.parametrize("fast", [False, True])
def test_a_kink_is_a_kink(case, fast):
    fn, x = KINKS[case]
    report = tg.gradcheck(fn, np.array(x), fast=fast, raise_exception=False)
    assert report.verdict == "kink"
    assert not report
    assert "on the left" in str(report)
    assert tg.gradcheck(fn, np.array(x), fast=fast, allow=("kink",))


@pytest.mark.parametrize("case", KINKS)
def test_beside_the_kink_it_passes(case):
    """However close: 1e-7 is less than the first step."""
    fn, x = KINKS[case]
    for shift in (1e-3, 1e-5, 1e-7, -1e-7, -1e-6):
        moved = np.array(x) + shift * np.array([1.0, -1.0, 0.5][: len(x)])
        assert tg.gradcheck(fn, moved)


@pytest.mark.parametrize("slope", [0.0, 0.3, 1.0])
def test_any_value_between_the_sides_is_a_kink(slope):
    assert verdict(relu_with(slope), [0.0, 1.0]) == "kink"


@pytest.mark.parametrize("slope", [-0.01, 1.01, 2.0, -5.0])
def test_a_value_outside_the_sides_is_wrong(slope):
    report = tg.gradcheck(relu_with(slope), np.array([0.0, 1.0]), raise_exception=False)
    assert report.verdict == "wrong"
    assert "outside" in str(report)


def test_a_wrong_slope_beside_the_kink_is_wrong():
    for x in (1e-2, 1e-5, 3e-7, 1e-8):
        assert verdict(relu_with(0.0, slope_above=0.9), [x, 1.0]) == "wrong"
        assert verdict(relu_with(0.0, slope_above=0.0), [x, -1.0]) == "wrong"


@pytest.mark.parametrize("curvature", [1e2, 1e4, 1e6, 1e8])
def test_curvature_is_no_kink(curvature):
    def bowl(factor):
        return op(
            lambda x: curvature * x * x + x,
            x=lambda g, x: g * factor * (2 * curvature * x + 1),
        )

    x = [0.0, 1e-6, 1.0]
    assert verdict(bowl(1.0), x) == "pass"
    assert verdict(bowl(1.01), x) == "wrong"
    assert verdict(bowl(-1.0), x) == "wrong"
    assert verdict(bowl(0.0), x) == "wrong"


@pytest.mark.parametrize("width", [1e-2, 1e-4, 1e-6])
def test_a_rounded_corner_is_smooth(width):
    """√(x² + width²) bends sharply at 0 but has the derivative 0 there."""

    def rounded(offset):
        return op(
            lambda x: np.sqrt(x * x + width**2),
            x=lambda g, x, out: g * (x / out + offset),
        )

    assert verdict(rounded(0.0), [0.0, 0.3 * width, 1.0]) == "pass"
    assert verdict(rounded(0.5), [0.0, 0.3 * width, 1.0]) == "wrong"


def noisy(size, offset=0.0):
    """A function with noise below ``size`` that is the same at the same point in every run."""
    return op(
        lambda x: np.tanh(x) + size * np.sin(1e15 * x),
        x=lambda g, x: g * (1 - tg.tanh(x) * tg.tanh(x) + offset),
    )


@pytest.mark.parametrize("fast", [False, True])
def test_noise_is_said_to_be_noise(fast):
    assert verdict(noisy(1e-5), [0.3, 1.0], fast=fast) == "too noisy"
    assert verdict(noisy(1e-13), [0.3, 1.0], fast=fast) == "pass"


@pytest.mark.parametrize("fast", [False, True])
def test_noise_does_not_excuse_a_wrong_gradient(fast):
    assert verdict(noisy(1e-5, offset=0.5), [0.3, 1.0], fast=fast) == "wrong"
    assert verdict(noisy(1e-9, offset=1e-3), [0.3, 1.0], fast=fast) == "wrong"


def test_float32_inside_does_not_confuse():
    def through(factor):
        return op(
            lambda x: np.tanh(x).astype(np.float32).astype(np.float64) * 1.7,
            x=lambda g, out: g * factor * 1.7 * (1 - (out / 1.7) * (out / 1.7)),
        )

    assert verdict(through(1.0), [0.3, 1.0]) in ("pass", "too noisy")
    assert verdict(through(1.001), [0.3, 1.0]) == "wrong"
    assert verdict(through(0.0), [0.3, 1.0]) == "wrong"


@pytest.mark.parametrize("fast", [False, True])
def test_a_gradient_that_lost_its_digits_is_too_noisy(fast):
    """The two halves of the gradient, 1e12 times larger, cancel up to their rounding errors."""
    cancelling = lambda x: (1e6 * x) ** 2 - (1e6 * x) ** 2 + x
    x = np.array([0.1, 0.2, 0.5])
    assert verdict(lambda x: tg.tanh(cancelling(x)), x, fast=True) == "too noisy"
    doubled = op(lambda x: 1.0 * x, x=lambda g: 2 * g)
    assert verdict(lambda x: doubled(cancelling(x)), x, fast=fast) == "wrong"


def test_a_wild_difference_does_not_widen_the_tolerance_of_others():
    slightly = op(lambda x: np.tanh(x), x=lambda g, out: 1.001 * g * (1 - out * out))
    fn = lambda x: tg.concatenate([tg.sign(x[:1]) * 1e3, slightly(x[1:])])
    assert verdict(fn, [0.0, 0.5]) == "wrong"


def test_one_wrong_element_among_kinks_is_wrong():
    fn = lambda x: tg.concatenate([tg.relu(x[:3]), relu_with(0.0, 0.5)(x[3:])])
    assert verdict(fn, [0.0, 0.0, 0.0, 1.0]) == "wrong"


@pytest.mark.parametrize("fast", [False, True])
def test_several_kinks_at_one_point_are_a_kink(fast):
    """Each op chooses a slope between its own two; together they may lie outside the sides."""
    fn = lambda x: tg.relu(x) - 2 * tg.clip(x, 0.0, 1.0)
    x = np.array([0.0, -0.0, 0.0, 0.5])
    assert verdict(fn, x, fast=fast) == "kink"
    halved = op(lambda x: x * 1.0, x=lambda g: 0.5 * g)
    assert verdict(lambda x: halved(fn(x)), x, fast=fast) == "wrong"


@pytest.mark.parametrize("fast", [False, True])
def test_what_is_lost_in_rounding_inside_is_noise(fast):
    """1 + x² is 1, so the function stands still, and magnified it should not."""
    x = np.array([1e-10, 2e-10])
    fn = lambda x: 1e8 * tg.log(1 + x * x)
    assert verdict(fn, x, fast=fast) == "too noisy"
    flat = op(lambda x: 0 * x, x=lambda g: 1e-2 * g)
    assert verdict(lambda x: flat(1 * x), np.array([0.3, 1.0]), fast=fast) == "wrong"


@pytest.mark.parametrize("fast", [False, True])
def test_second_derivatives_of_what_is_saturated_are_not_wrong(fast):
    for scale in (18.0, 19.0, 30.0, 100.0):
        report = tg.gradgradcheck(
            lambda x, scale=scale: tg.tanh(scale * x), np.array([1.0, -1.01, 0.9]), fast=fast,
            raise_exception=False,
        )  # fmt: skip
        assert report.verdict in ("pass", "too noisy"), report
