"""An op of one's own: the mark, and inputs that hypothesis draws."""

import numpy as np
import pytest
from example_ops import shrink
from hypothesis import given, settings

import tinygrad_seq as tg
from tinygrad_seq.gradcheck import strategies as some

FEW = settings(max_examples=20, deadline=None, derandomize=True, database=None)


@pytest.mark.gradcheck(order=2)
def test_some_numbers():
    return shrink, tg.tensor(np.array([-2.0, -0.3, 0.1, 0.9]))


@pytest.mark.gradcheck(fast=True, device="strict")
def test_random_numbers(gradcheck_rng):
    yield shrink, tg.randn(4, 5)
    yield shrink, (gradcheck_rng.uniform(1, 2, (3, 4)), 0.7)


@pytest.mark.gradcheck(allow=("kink",))
def test_at_the_kink_any_slope_between_the_sides_will_do():
    return shrink, (np.array([0.5, -0.5]), tg.tensor(0.5))


@FEW
@pytest.mark.gradcheck
@given(some.inputs(("n", "k"), avoid=(-0.5, 0.5), margin=0.05, device=some.devices()))
def test_any_shape_and_layout_off_the_kinks(inputs):
    return shrink, inputs


@FEW
@pytest.mark.gradcheck
@given(some.pairs(low=0.1, high=0.4))
def test_thresholds_broadcast(pair):
    above, threshold = pair
    return shrink, (1 + above, threshold)


@FEW
@pytest.mark.gradcheck
@given(some.samples(shrink))
def test_its_own_samples(call):
    return call.fn, call.inputs


def test_both_devices_give_the_same_bits():
    assert tg.gradcheck.parity(shrink, tg.randn(4, 5), ("cpu", "strict")).apart == 0
