"""Second derivatives: wrong ones are found though first ones are right."""

import numpy as np
import pytest

import tinygrad_seq as tg
from tinygrad_seq.ops.primitive import Primitive

X = np.array([[0.3, -1.2], [2.0, 0.7]])


def leaning_on_residual():
    """tanh by a residual that depends on x: no second derivative flows through it."""
    fn = Primitive(lambda x: (np.tanh(x), 1 - np.tanh(x) ** 2), name="planted",
                   residuals=("slope",))  # fmt: skip
    return fn.vjp(x=lambda g, slope: g * slope)


@pytest.mark.parametrize("fast", [False, True])
def test_a_rule_that_leans_on_a_residual_is_wrong_to_second_order(fast):
    fn = leaning_on_residual()
    assert tg.gradcheck(fn, X, fast=fast)
    report = tg.gradgradcheck(fn, X, fast=fast, raise_exception=False)
    assert report.verdict == "wrong"
    assert {e.input: e.verdict for e in report.entries} == {"x": "wrong", "grad_out": "pass"}


def test_grad_outputs_can_be_given():
    fn = lambda x, w: (x @ w, tg.exp(x))
    w = np.ones((2, 3))
    assert tg.gradgradcheck(fn, (X, w), (np.ones((2, 3)), tg.tensor(X)))
    with pytest.raises(tg.errors.ShapeError, match="grad_outputs"):
        tg.gradgradcheck(fn, (X, w), np.ones((2, 3)))


def test_a_single_grad_output_of_zero_hides_what_random_ones_show():
    fn = leaning_on_residual()
    assert tg.gradgradcheck(fn, X, np.zeros((2, 2)))
    assert not tg.gradgradcheck(fn, X, raise_exception=False)


def test_a_float32_output_is_judged_as_float32():
    assert tg.gradgradcheck(lambda x: tg.tanh(x).astype(np.float32), X).dtype == "float32"


def test_outputs_without_a_gradient_are_fine():
    assert tg.gradgradcheck(lambda x, y: (tg.tanh(x), y.detach()), (X, X))
    assert tg.gradgradcheck(lambda x: x * 3, X)
