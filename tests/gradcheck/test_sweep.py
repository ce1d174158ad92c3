"""One derivative at every step, the histogram, and the line that reproduces it."""

import numpy as np
import pytest

import tinygrad_seq as tg
from tests.gradcheck.planted import WRONG, inputs_of, op
from tests.gradcheck.test_second import leaning_on_residual
from tinygrad_seq import nn
from tinygrad_seq.gradcheck import derivative
from tinygrad_seq.gradcheck.sweep import histogram

X = np.array([[0.3, -1.2], [2.0, 0.7]])


def cube(factor=3.0):
    return op(lambda x: x**3, x=lambda g, x: g * factor * x * x)


def checked(fn, inputs, **options):
    return tg.gradcheck(fn, inputs, raise_exception=False, **options)


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize(("factor", "order"), [(3.0, 2), (3.003, 1), (-3.0, 1), (0.0, 1)])
def test_the_remainder_falls_by_two_if_right_by_one_if_wrong(factor, order, fast):
    sweep = checked(cube(factor), X, fast=fast).sweep()
    assert sweep.order == pytest.approx(order, abs=0.05)
    assert f"falls as h^{sweep.order:.2f}" in str(sweep)


def test_in_float32_too():
    for factor, order in ((3.0, 2), (3.3, 1)):
        sweep = checked(cube(factor), X.astype(np.float32), promote=False).sweep()
        assert sweep.order == pytest.approx(order, abs=0.25)
        assert sweep.floors[-1] > 1


def test_a_straight_function_has_no_remainder():
    sweep = checked(lambda x: 3 * x, X).sweep()
    assert np.isnan(sweep.order)
    assert "straight" in str(sweep)


def test_the_error_falls_then_follows_the_noise_floor():
    """(f(h) − f(−h))/2h of a cube is off by h² exactly."""
    sweep = checked(cube(), X).sweep()
    coarse = sweep.steps > 1e-3
    np.testing.assert_allclose(sweep.errors[coarse], sweep.steps[coarse] ** 2, rtol=1e-5)
    fine = sweep.steps < 1e-7
    assert (sweep.errors[fine] <= sweep.floors[fine]).all()
    assert (sweep.errors[fine] > 1e-4 * sweep.floors[fine]).any()
    assert (np.diff(sweep.steps) < 0).all()


def test_a_wrong_derivative_stays_off():
    sweep = checked(cube(3.3), X).sweep()
    near = sweep.steps < 1e-2
    np.testing.assert_allclose(sweep.errors[near], 0.1 * abs(sweep.analytic) / 1.1, rtol=1e-2)


def test_any_entry_can_be_swept_and_the_report_stays_true_when_inputs_change():
    x, w = X.copy(), X.T.copy()
    report = checked(lambda x, w: (x @ w, tg.tanh(w)), (x, w))
    before = [report.sweep(e).slopes for e in report.entries]
    x[...], w[...] = 7.0, 8.0
    for e, slopes in zip(report.entries, before, strict=True):
        assert report.derivative(e).where == e.where
        assert report.derivative(e).analytic == e.analytic
        np.testing.assert_array_equal(report.sweep(e).slopes, slopes)


def test_looking_later_leaves_streams_and_parameters_alone():
    layer = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5))
    report = checked(layer, tg.tensor(X), promote=True)
    tg.default_generator().uniform((3,))
    state = tg.default_generator().get_state()
    for p in layer.parameters():
        p.data += 1.0
    kept = [p.data.copy() for p in layer.parameters()]
    assert report.derivative().analytic == report.worst.analytic
    report.sweep()
    assert tg.default_generator().get_state() == state
    for p, array in zip(layer.parameters(), kept, strict=True):
        np.testing.assert_array_equal(p.data, array)


@pytest.mark.parametrize("fast", [False, True])
def test_the_line_reproduces_the_derivative(fast):
    fn, shapes = WRONG["missing term"]
    inputs = inputs_of(shapes)
    report = checked(fn, inputs, fast=fast, seed=3)
    for entry in report.entries:
        line = report.reproduction(entry)
        assert "\n" not in line
        again = eval(line, {"tg": tg, "planted": fn, "inputs": inputs})
        assert again.analytic == entry.analytic
        assert again.where.startswith(entry.where)
        assert again.numeric == pytest.approx(entry.numeric, abs=1e-4 * abs(entry.analytic) + 1e-7)
        assert again.step == pytest.approx(entry.step, rel=1e-2)
    assert report.reproduction() in " ".join(str(report).split())
    assert "step " in str(derivative(fn, inputs, "out[0,0]", "b[0,0]"))


def test_it_knows_options_and_second_derivatives():
    x = X.astype(np.float32)
    line = checked(tg.tanh, x, promote=False).reproduction()
    assert line.startswith("tg.gradcheck.derivative(tg.tanh, inputs, ")
    assert line.endswith(", promote=False)")
    eval(line, {"tg": tg, "inputs": x})
    fn = leaning_on_residual()
    report = tg.gradgradcheck(fn, X, raise_exception=False)
    again = eval(report.reproduction(), {"tg": tg, "planted": fn, "inputs": X})
    assert again.analytic == report.worst.analytic == 0
    assert abs(again.numeric) > 0.05
    named = checked(cube(3.1), X, params={"w": tg.randn(2, requires_grad=True)})
    assert "params=params" in named.reproduction()


def test_places_that_are_not_there_are_refused():
    for output, by, match in [("out", "x[0,0]", "an index into out"), ("y[0]", "x[0,0]", "'y'"),
                              ("out[0,0]", "x[2,0]", "an index into x")]:  # fmt: skip
        with pytest.raises(tg.errors.ArgumentError, match=match):
            derivative(tg.tanh, X, output, by)
    with pytest.raises(tg.errors.ArgumentError, match="order"):
        derivative(tg.tanh, X, "out[0,0]", "x[0,0]", order=3)
    assert derivative(tg.tanh, X, "0[-1,1]", "0[1,1]").where == "d out[1, 1] / d x[1, 1]"
    with pytest.raises(tg.errors.ArgumentError, match="steps"):
        derivative(tg.tanh, X, "out[0,0]", "x[0,0]").sweep([])
    empty = checked(lambda x: x[:0], X)
    with pytest.raises(tg.errors.ArgumentError, match="an entry"):
        empty.sweep()
    assert "pass" in empty.explain()


def test_the_histogram_counts_every_derivative():
    report = checked(cube(3.3), X)
    counts = report.histogram()
    assert counts.counts.sum() + counts.exact + counts.lost == 16
    assert counts.counts[counts.exponents >= -4].sum() == 4
    in_tolerances = report.histogram("tolerance")
    assert in_tolerances.counts[in_tolerances.exponents >= 0].sum() == 4
    assert report.histogram("ULP").exponents.max() >= 12
    with pytest.raises(tg.errors.ArgumentError, match="histogram"):
        report.histogram("per cent")
    drawn = histogram([0.0, 2e-3, 5e-3, 0.2, np.inf, np.nan], "x")
    assert drawn.exponents.tolist() == [-3, -2, -1]
    assert drawn.counts.tolist() == [2, 0, 1]
    assert (drawn.exact, drawn.lost) == (1, 2)


def test_a_failure_shows_the_sweep_a_pass_does_not():
    wrong, right = checked(cube(3.3), X), checked(cube(), X)
    assert "remainder  falls as h^1.0" in str(wrong)
    assert "rounding" in str(wrong)
    assert "remainder" not in str(right)
    for report in (wrong, right):
        text = report.explain()
        assert "a decade a bar" in text
        assert report.reproduction() in " ".join(text.split())
        assert max(len(line) for line in text.splitlines()) <= 80
    (table,) = wrong.comparisons
    assert table.analytic.shape == table.numeric.shape == table.tolerance.shape == (4, 4)
    np.testing.assert_allclose(np.diag(table.analytic), 3.3 * X.ravel() ** 2)
