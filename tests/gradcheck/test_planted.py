"""Every kind of wrong derivative is found, named and placed."""

import numpy as np
import pytest

import tinygrad_seq as tg
from tests.gradcheck.planted import WRONG, X, inputs_of, op
from tinygrad_seq.gradcheck.audit import misfits
from tinygrad_seq.gradcheck.subject import Subject
from tinygrad_seq.gradcheck.views import signed

CASES = sorted(WRONG)


def planted_tanh(x):
    return np.tanh(x)


def is_tensor(g):
    return isinstance(g, tg.Tensor)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("fast", [False, True])
def test_a_wrong_derivative_is_wrong(case, fast):
    fn, shapes = WRONG[case]
    with pytest.raises(tg.errors.GradcheckError) as caught:
        tg.gradcheck(fn, inputs_of(shapes), fast=fast)
    report = caught.value.report
    assert report.verdict == "wrong"
    assert not report
    assert str(report) == str(caught.value)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("scale", [1e-8, 1e8])
def test_neither_tiny_nor_huge_outputs_hide_it(case, scale):
    fn, shapes = WRONG[case]
    report = tg.gradcheck(lambda *xs: fn(*xs) * scale, inputs_of(shapes), raise_exception=False)
    assert report.verdict == "wrong"


@pytest.mark.parametrize("case", sorted(set(CASES) - {"not a number", "infinite"}))
def test_fast_mode_rarely_misses(case):
    """The chance to miss an error of size δ is about 0.8·τ/δ per direction, τ = 1e-5: under one
    in a hundred for the smallest of these (δ = 1e-3), here with a single direction."""
    fn, shapes = WRONG[case]
    inputs = inputs_of(shapes, seed=1)
    seeds = range(100)
    reports = [
        tg.gradcheck(fn, inputs, fast=True, directions=1, seed=s, raise_exception=False)
        for s in seeds
    ]
    missed = [r.seed for r in reports if r.verdict != "wrong"]
    assert len(missed) <= 3, missed


def test_fast_mode_is_as_sharp_on_many_elements():
    wrong, _ = WRONG["scale 1.001"]
    (x,) = inputs_of([(300, 100)])
    found = [
        tg.gradcheck(wrong, x, fast=True, seed=s, raise_exception=False).verdict for s in range(10)
    ]
    assert found == ["wrong"] * 10


def test_directions_have_both_signs_and_no_small_entries():
    direction = signed(np.random.default_rng(0), 1000)
    assert 400 < (direction < 0).sum() < 600
    assert np.abs(direction).min() >= 0.5
    assert np.abs(direction).max() <= 1.5
    assert len(set(np.abs(direction))) == 1000


def test_a_gradient_of_another_shape_or_dtype_is_wrong():
    subject = Subject(tg.tanh, np.ones((2, 3)))
    good = tg.zeros(2, 3, dtype=np.float64)
    assert misfits(subject, [good]) == misfits(subject, [None]) == []
    for bad in (tg.zeros(3, 2, dtype=np.float64), tg.zeros(2, 3, dtype=np.float32)):
        ((verdict, text),) = misfits(subject, [bad])
        assert verdict == "wrong"
        assert "the gradient of x, float64[2, 3], is" in text


def test_the_worst_element_is_named():
    fn, shapes = WRONG["one element"]
    report = tg.gradcheck(fn, inputs_of(shapes), raise_exception=False)
    worst = report.worst
    assert (worst.at_output, worst.at_input) == ((2, 2), (2, 2))
    assert worst.input == "x"
    assert worst.analytic == pytest.approx(-worst.numeric, rel=1e-8)
    assert worst.relative == pytest.approx(2.0, rel=1e-8)
    assert worst.absolute == pytest.approx(2 * abs(worst.numeric), rel=1e-8)
    assert worst.ulp == pytest.approx(worst.absolute / np.spacing(abs(worst.numeric)))
    assert (worst.checked, worst.differing) == (81, 1)


@pytest.mark.parametrize("fast", [False, True])
def test_a_gradient_that_is_not_finite_is_called_so(fast):
    for case, word in (("not a number", "nan"), ("infinite", "inf")):
        fn, shapes = WRONG[case]
        report = tg.gradcheck(fn, inputs_of(shapes), fast=fast, raise_exception=False)
        assert "the gradient is" in str(report)
        assert word in str(report)


def test_the_right_input_is_blamed():
    fn, shapes = WRONG["missing term"]
    for fast in (False, True):
        report = tg.gradcheck(fn, inputs_of(shapes), fast=fast, raise_exception=False)
        assert {e.input: e.verdict for e in report.entries} == {"a": "pass", "b": "wrong"}


def test_the_right_output_is_blamed():
    fn, _ = WRONG["sign"]
    report = tg.gradcheck(lambda x: (tg.exp(x), fn(x)), inputs_of([X]), raise_exception=False)
    assert {e.output: e.verdict for e in report.entries} == {"out0": "pass", "out1": "wrong"}


def test_a_rule_that_is_wrong_on_tensors_only_is_found():
    by_type = op(planted_tanh, x=lambda g, out: g * (1 - out * out) * (2 if is_tensor(g) else 1))
    report = tg.gradcheck(by_type, np.ones(2), raise_exception=False)
    assert report.verdict == "wrong"
    assert "create_graph" in str(report)
    assert tg.gradcheck(by_type, np.ones(2), create_graph=False)


def test_a_rule_that_fails_on_tensors_is_found():
    raw_only = op(planted_tanh, x=lambda g, out: g * (1 - out**2) if not is_tensor(g) else g.flat)
    report = tg.gradcheck(raw_only, np.ones(2), raise_exception=False)
    assert report.verdict == "wrong"
    assert "raised" in str(report)


@pytest.mark.parametrize("case", CASES)
def test_a_wrong_derivative_is_wrong_in_float32(case):
    fn, shapes = WRONG[case]
    inputs = [x.astype(np.float32) for x in inputs_of(shapes)]
    if case != "scale 1.001":  # below what float32 differences can tell
        report = tg.gradcheck(fn, inputs, promote=False, raise_exception=False)
        assert report.verdict == "wrong"
        assert report.dtype == "float32"
