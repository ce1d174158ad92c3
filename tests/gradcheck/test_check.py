"""Correct functions pass, in every mode, whatever their shape, layout, scale and dtype."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_seq as tg
from tests.gradcheck.planted import WRONG, inputs_of, op
from tinygrad_seq.gradcheck import strategies as grad_st

X = np.array([0.3, -1.0, 2.0])
MODES = {"full": {}, "fast": {"fast": True}, "complex": {"complex_step": True}}


def two_outputs(x, w):
    h = tg.tanh(x @ w)
    return h, {"sum": h.sum(axis=0), "nested": [(h * h).mean(), None, 3]}


RIGHT = {
    "tanh": (tg.tanh, [(3, 4)]),
    "matmul": (lambda a, b: a @ b, [(3, 4), (4, 2)]),
    "broadcast": (lambda a, b: a * b - a, [(3, 1, 2), (4, 1)]),
    "several outputs": (two_outputs, [(3, 4), (4, 2)]),
    "a value used twice": (lambda x: x * x + tg.exp(x) * x, [(5,)]),
    "scalar": (lambda x: tg.exp(x) / (1 + x * x), [()]),
    "linear": (lambda x: 3 * x, [(2, 2)]),
    "constant in one input": (lambda x, y: tg.sigmoid(x), [(3,), (2,)]),
    "recurrence": (lambda h, w: tg.tanh(w @ tg.tanh(w @ tg.tanh(w @ h))), [(4,), (4, 4)]),
    "empty input": (lambda x, y: tg.tanh(x), [(3,), (0, 2)]),
    "empty output": (lambda x: (tg.tanh(x), x[:0]), [(3,)]),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", RIGHT)
def test_a_right_derivative_passes(case, mode):
    fn, shapes = RIGHT[case]
    report = tg.gradcheck(fn, inputs_of(shapes), **MODES[mode])
    assert report
    assert report.verdict == "pass"
    assert report.error < 1e-8


@pytest.mark.parametrize("case", sorted(set(RIGHT) - {"linear"}))
def test_a_right_second_derivative_passes(case):
    fn, shapes = RIGHT[case]
    assert tg.gradgradcheck(fn, inputs_of(shapes))
    assert tg.gradgradcheck(fn, inputs_of(shapes), fast=True)


@pytest.mark.parametrize("scale", [1e-12, 1e-6, 1.0, 1e6, 1e12])
@pytest.mark.parametrize("out", [1e-12, 1.0, 1e12])
@pytest.mark.parametrize("fast", [False, True])
def test_the_scale_of_inputs_and_outputs_does_not_matter(scale, out, fast):
    x = scale * np.array([0.3, -1.2, 2.0])
    fn = lambda x: out * tg.sin(x / scale) if hasattr(tg, "sin") else out * tg.tanh(x / scale)
    assert tg.gradcheck(fn, x, fast=fast)
    wrong, _ = WRONG["scale 1.001"]
    report = tg.gradcheck(lambda x: out * wrong(x / scale), x, fast=fast, raise_exception=False)
    assert report.verdict == "wrong"


@pytest.mark.parametrize("fast", [False, True])
def test_elements_of_very_different_size(fast):
    assert tg.gradcheck(tg.log, np.array([1e-10, 1.0, 1e3]), fast=fast)
    assert tg.gradcheck(lambda x: x**3, np.array([1e-6, 1.0, 1e4]), fast=fast)
    x = np.array([1e-9, 1.0, 2.0])
    assert tg.gradcheck(lambda x: 10 + x, x, fast=fast)
    off = op(lambda x: 10 + x, x=lambda g: g * np.array([1.01, 1.0, 1.0]))
    assert not tg.gradcheck(off, x, fast=fast, raise_exception=False)


@pytest.mark.parametrize(
    "fn",
    [
        lambda x: tg.softmax(x).sum(),  # derivative 0, computed from numbers of size 1
        lambda x: 1e6 + tg.tanh(x),  # small beside what it is added to
        lambda x: (1e3 * x) ** 2 - (1e3 * x) ** 2 + x,
        lambda x: tg.tanh(1e8 * (x - x.detach())),  # steep
        lambda x: tg.exp(30 * x),
    ],
)
@pytest.mark.parametrize("fast", [False, True])
def test_ill_conditioned_but_right(fn, fast):
    assert tg.gradcheck(fn, np.array([0.1, 0.2, 0.5]), fast=fast)


def test_complex_step_is_exact_to_the_last_digits():
    fn, shapes = RIGHT["recurrence"]
    report = tg.gradcheck(fn, inputs_of(shapes), complex_step=True)
    assert report.error < 1e-14
    off = op(lambda x: x * x, x=lambda g, x: g * x * (2 + 1e-10))
    x = np.array([0.5, -2.0])
    assert tg.gradcheck(off, x)
    with pytest.raises(tg.errors.GradcheckError):
        tg.gradcheck(off, x, complex_step=True)


def test_complex_step_refuses_what_is_not_analytic():
    with pytest.raises(tg.errors.ArgumentError, match="analytic"):
        tg.gradcheck(tg.abs, np.array([1.0, -2.0]), complex_step=True)


def test_tolerances_that_are_asked_for_are_used():
    slightly, shapes = WRONG["scale 1.001"]
    assert tg.gradcheck(slightly, inputs_of(shapes), rtol=1e-2)
    report = tg.gradcheck(slightly, inputs_of(shapes), rtol=1e-4, raise_exception=False)
    assert (report.verdict, report.rtol) == ("wrong", 1e-4)
    assert tg.gradcheck(tg.tanh, 0.5, eps=1e-4).eps == 1e-4


def test_float32_inputs_are_promoted_unless_told_otherwise():
    seen = []

    def fn(x):
        seen.append(x.dtype)
        return tg.tanh(x)

    x = tg.randn(3, 4)
    assert x.dtype == np.float32
    assert tg.gradcheck(fn, x).dtype == "float64"
    assert set(seen) == {np.dtype(np.float64)}
    seen.clear()
    assert tg.gradcheck(fn, x, promote=False).dtype == "float32"
    assert set(seen) == {np.dtype(np.float32)}


def test_a_coarser_dtype_inside_can_be_told():
    through = lambda x: tg.tanh(x.astype(np.float32)).astype(np.float64) * 1.7
    assert tg.gradcheck(through, X, precision=np.float32).dtype == "float32"


def test_a_float32_output_is_judged_as_float32():
    assert tg.gradcheck(lambda x: tg.tanh(x).astype(np.float32), np.array([0.3, -1.0]))


@given(grad_st.arrays(), st.booleans())
def test_any_layout(x, fast):
    assert tg.gradcheck(lambda x: tg.tanh(x) * x, x, fast=fast)


@given(grad_st.pairs(dtype=grad_st.dtypes()))
def test_broadcasting_pairs(pair):
    assert tg.gradcheck(lambda a, b: a * tg.tanh(b), pair)


def test_inputs_keep_their_layout_in_the_first_run():
    seen = []
    x = np.broadcast_to(np.array([1.0, 2.0]), (3, 2))
    assert tg.gradcheck(lambda x: seen.append(x.data.strides) or x * x, x)
    assert seen[0] == x.strides


def test_python_numbers_and_integer_inputs():
    labels, mask = np.array([0, 2]), np.array([True, False, True])
    report = tg.gradcheck(
        lambda x, i, m, c: tg.where(m, x, 0)[i] * c, (np.array([1.0, 2.0, 3.0]), labels, mask, 2.0)
    )
    assert [e.input for e in report.entries] == ["x", "c"]


def test_infinite_outputs_that_do_not_move_are_fine():
    masked = lambda x: tg.where(np.array([True, False]), x, -np.inf)
    assert tg.gradcheck(masked, np.array([1.0, 2.0]))
    assert tg.gradcheck(masked, np.array([1.0, 2.0]), fast=True)


@pytest.mark.parametrize("fast", [False, True])
def test_leaving_the_domain_is_said(fast):
    report = tg.gradcheck(tg.sqrt, np.array([1.0, 0.0]), fast=fast, raise_exception=False)
    assert report.verdict == "wrong"
    report = tg.gradcheck(tg.log, np.array([-1.0]), fast=fast, raise_exception=False)
    assert report.verdict == "wrong"
    assert "NaN" in str(report)
    hole = op(lambda x: np.where(x == 0, np.nan, x), x=lambda g: g)
    report = tg.gradcheck(hole, np.array([0.0, 1.0]), fast=fast, raise_exception=False)
    assert report.verdict == "wrong"
    assert "NaN" in str(report)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: tg.gradcheck(tg.tanh, np.ones(2, np.complex128)), "DTypeError", "real"),
        (lambda: tg.gradcheck(tg.tanh, np.array([1.0, np.nan])), "ArgumentError", "finite"),
        (lambda: tg.gradcheck(tg.tanh, np.arange(3)), "ArgumentError", "floating"),
        (lambda: tg.gradcheck(lambda x: x > 0, np.ones(2)), "ArgumentError", "floating outputs"),
        (lambda: tg.gradcheck(lambda x: x.data, np.ones(2)), "DTypeError", "Tensors"),
        (lambda: tg.gradcheck(tg.tanh, np.ones(2), eps=0.0), "ArgumentError", "eps"),
        (lambda: tg.gradcheck(tg.tanh, np.ones(2), eps=1.0), "ArgumentError", "eps"),
        (lambda: tg.gradcheck(tg.tanh, np.ones(2), allow=["fine"]), "ArgumentError", "allow"),
        (lambda: tg.gradcheck(tg.tanh, np.ones(2), directions=0), "ArgumentError", "directions"),
        (lambda: tg.gradcheck(tg.tanh, np.ones(2), params=[3]), "ArgumentError", "params"),
        (
            lambda: tg.gradcheck(tg.tanh, tg.ones(2), promote=False, complex_step=True),
            "ArgumentError",
            "float64",
        ),
        (lambda: tg.gradgradcheck(tg.tanh, np.ones(2), np.ones(3)), "ShapeError", "grad_outputs"),
    ],
)
def test_bad_arguments(call, error, match):
    with pytest.raises(getattr(tg.errors, error), match=match):
        call()


def test_changing_the_inputs_in_place_is_refused_and_undone():
    def fn(x):
        x.data[...] = 0
        return x * 1

    x = np.array([1.0, 2.0])
    with pytest.raises(tg.errors.GraphError, match="changed in place"):
        tg.gradcheck(fn, x)
    np.testing.assert_array_equal(x, [1.0, 2.0])
