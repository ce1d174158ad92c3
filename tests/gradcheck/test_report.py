"""The report says what one needs, in 80 columns."""

import numpy as np
import pytest

import tinygrad_seq as tg
from tests.gradcheck.planted import WRONG, inputs_of, op
from tinygrad_seq.gradcheck import Entry, Report


def long_names(a_rather_long_name_for_an_input_that_goes_on_and_on_and_on_without_an_end, b):
    wrong, _ = WRONG["one element"]
    return wrong(a_rather_long_name_for_an_input_that_goes_on_and_on_and_on_without_an_end) * b


def reports():
    x = np.array([0.3, -1.2, 0.0])
    rng = np.random.default_rng(0)
    options = {"raise_exception": False}
    yield tg.gradcheck(tg.tanh, x, **options)
    yield tg.gradcheck(tg.relu, x, **options)
    yield tg.gradcheck(tg.relu, x, fast=True, **options)
    yield tg.gradcheck(tg.tanh, x, complex_step=True, **options)
    yield tg.gradcheck(lambda x: x * rng.random(), x, **options)
    yield tg.gradcheck(tg.log, x, **options)
    yield tg.gradcheck(long_names, (np.ones((2, 2)), np.full((2, 2), 1e-300)), **options)
    yield tg.gradcheck(lambda x: x[:0], x, **options)
    only_raw = op(lambda x: 2.0 * x, x=lambda g: 1 / 0 if isinstance(g, tg.Tensor) else 2 * g)
    yield tg.gradcheck(only_raw, x, **options)
    yield tg.gradgradcheck(lambda x, y, z: x * y * z, (x, x, x), **options)
    for fn, shapes in WRONG.values():
        yield tg.gradcheck(fn, inputs_of(shapes), **options)


def test_no_line_is_longer_than_80_columns():
    seen = 0
    for report in reports():
        for line in str(report).splitlines():
            assert len(line) <= 80, line
            assert line == line.rstrip()
        seen += 1
    assert seen > 20


def test_what_a_failure_shows():
    fn, shapes = WRONG["one element"]
    text = str(tg.gradcheck(fn, inputs_of(shapes), seed=7, raise_exception=False))
    lines = text.splitlines()
    assert lines[0] == "gradcheck: wrong (full, float64, 81 derivatives)"
    assert lines[1].split() == ["d", "out", "/", "d", "x", "wrong", "1", "of", "81", "differ"]
    assert "worst: d out[2, 2] / d x[2, 2]" in text
    for word in ("analytic", "numeric", "absolute", "relative 2.00e+00", "ULP", "rtol 1e-05"):
        assert word in text
    assert "seed 7" in text
    assert "step" in text


def test_a_fast_failure_can_be_reproduced():
    fn, shapes = WRONG["scale 2"]
    first = tg.gradcheck(fn, inputs_of(shapes), fast=True, seed=3, raise_exception=False)
    again = tg.gradcheck(fn, inputs_of(shapes), fast=True, seed=3, raise_exception=False)
    other = tg.gradcheck(fn, inputs_of(shapes), fast=True, seed=4, raise_exception=False)
    assert first == again
    assert first.worst.numeric != other.worst.numeric
    assert f"seed 3, direction {first.worst.direction}" in str(first)
    assert first.worst.at_input is None


def entry(verdict, analytic=1.0, numeric=1.0, **more):
    return Entry("out", "x", verdict, analytic, numeric, 1e-3, 0.0, 1e-6, **more)


def report(*entries, **more):
    return Report(entries, "full", "float64", 0, 1e-6, 1e-7, 1e-5, **more)


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ((), "pass"),
        (("pass", "pass"), "pass"),
        (("pass", "too noisy"), "too noisy"),
        (("kink", "too noisy", "pass"), "kink"),
        (("kink", "wrong"), "wrong"),
        (("wrong", "nondeterministic"), "nondeterministic"),
    ],
)
def test_the_gravest_verdict_counts(verdicts, expected):
    whole = report(*map(entry, verdicts))
    assert whole.verdict == expected
    assert bool(whole) is (expected == "pass")
    if verdicts:
        assert whole.worst.verdict == expected
    assert report(faults=[(v, "") for v in verdicts]).verdict == expected


def test_allowed_verdicts_count_as_passed():
    assert report(entry("kink"), entry("pass"), allow=("kink",))
    assert not report(entry("kink"), entry("wrong"), allow=("kink",))
    assert not report(entry("kink"), allow=("too noisy",))


def test_error_is_relative_to_the_derivative_or_the_block():
    assert report(entry("wrong", 1.0, 2.0)).error == 0.5
    assert report(entry("wrong", np.nan)).error == np.inf
    assert report(entry("pass", 1.001, 1.0, largest=10.0)).error == pytest.approx(1e-4)
    assert report(entry("pass", 1e-9, 0.0, floor=1e-8)).error == 0.0
    assert entry("pass", 0.0, 0.0).relative == 0.0
    assert entry("pass", 1.0, 1.0 + 2**-52).ulp == 1.0
    assert entry("wrong", np.inf).ulp == np.inf
    assert entry("pass", 1.0, np.nextafter(np.float32(1), 2), epsilon=2.0**-23).ulp == 1.0
