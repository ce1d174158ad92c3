"""Schedules of the share of right symbols."""

import math

import pytest

from tinygrad_seq.errors import ArgumentError
from tinygrad_seq.models.teacher_forcing import (
    exponential_decay,
    inverse_sigmoid_decay,
    linear_decay,
    over_a_run,
)


def test_linear():
    share = linear_decay(100, least=0.25)
    assert [share(i) for i in (0, 50, 75, 100, 10**9)] == [1, 0.5, 0.25, 0.25, 0.25]


def test_exponential():
    share = exponential_decay(0.5)
    assert [share(i) for i in (0, 1, 4)] == [1, 0.5, 1 / 16]


@pytest.mark.parametrize("k", [2, 10.0, 1000])
def test_inverse_sigmoid(k):
    share = inverse_sigmoid_decay(k)
    assert share(k * math.log(k)) == pytest.approx(0.5, rel=1e-12)
    for step in (0, 1, 17, 300):
        assert share(step) == pytest.approx(k / (k + math.exp(step / k)), rel=1e-12)
    assert share(10**9) == 0


@pytest.mark.parametrize("steps", [1, 2, 3, 100, 10**6])
@pytest.mark.parametrize("least", [0.0, 0.5])
def test_over_a_run(steps, least):
    shares = {shape: over_a_run(shape, steps, least) for shape in
              ("constant", "linear", "exponential", "inverse-sigmoid")}  # fmt: skip
    assert {shares["constant"](i) for i in (0, 1, steps)} == {least}
    assert shares["linear"](0) == shares["exponential"](0) == 1
    assert shares["linear"](steps) == least
    assert shares["linear"](steps / 2) == pytest.approx((1 + least) / 2)
    assert shares["exponential"](steps) == pytest.approx(least + 0.01 * (1 - least))
    assert shares["inverse-sigmoid"](steps / 2) == pytest.approx((1 + least) / 2, rel=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: linear_decay(0), "steps ≥ 1"),
        (lambda: linear_decay(5, least=1.5), r"least in \[0, 1\]"),
        (lambda: exponential_decay(1), r"k in \(0, 1\)"),
        (lambda: exponential_decay(0), r"k in \(0, 1\)"),
        (lambda: inverse_sigmoid_decay(0.5), "k ≥ 1"),
        (lambda: inverse_sigmoid_decay(math.nan), "k ≥ 1"),
        (lambda: over_a_run("steep", 9, 0.5), "one of constant, linear, exponential, inv"),
        (lambda: over_a_run("constant", 0, 0.5), "steps ≥ 1"),
        (lambda: over_a_run("linear", 9, 1.5), r"least in \[0, 1\]"),
    ],
)
def test_what_is_out_of_range_is_refused(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()
