"""The four panels of a ledger, looked into after they are drawn."""

import re

import numpy as np
import pytest

from tinygrad_seq.errors import DataError
from tinygrad_seq.viz import ledger as panels
from tinygrad_seq.viz.canvas import new_figure
from tinygrad_seq.viz.ledger import (
    draw_credit,
    draw_lags,
    draw_spectra,
    draw_truncation,
    lag_means,
    plot_ledger,
)

T, B, S = 4, 2, 3
SQUARE = np.tril(10.0 ** -np.abs(np.subtract.outer(np.arange(T + 1), np.arange(T + 1))))
SQUARE[0] = 0
SPECTRUM = np.sort(np.random.default_rng(0).uniform(0.1, 2, (T + 1, B, S)))[..., ::-1]
RADIUS = SPECTRUM.mean(axis=2)
WHOLE = {
    "credit": {"h": SQUARE, "c": SQUARE / 2},
    "singular_values": SPECTRUM,
    "spectral_radius": RADIUS,
    "norm_ratio": [0.5, 0.9, 1.1, 1.0],
    "cosine": [0.6, 0.99, 0.9999, 1.0],
    "bound": np.full(T + 1, 2.5),
}


@pytest.fixture
def axes():
    pytest.importorskip("matplotlib")
    return new_figure(5, 4).subplots()


def lines(axes):
    """label → its numbers, of what has a label."""
    return {line.get_label(): line.get_ydata() for line in axes.lines}


def test_one_figure(tmp_path):
    pytest.importorskip("matplotlib")
    figure = plot_ledger(**WHOLE, title="a $1 net", path=tmp_path / "a.svg")
    words = set(re.findall("<!-- (.*?) -->", (tmp_path / "a.svg").read_text()))
    assert {
        "a $1 net", "t, the step of h", "s, the step of the loss", "lag s − t, in steps", "step t",
        "size", "‖∂L_s/∂state_t‖", "‖g_k‖ / ‖g‖", "1 − cosine(g_k, g)",
        "truncation by a sliding window (k1 = 1, k2 = k)",
        "k, the steps that each loss is carried back through",
    } <= words  # fmt: skip
    assert all(a.get_xlabel() and a.get_ylabel() for a in figure.axes[:4])
    assert plot_ledger(**{**WHOLE, "bound": None}) is not figure
    assert list(tmp_path.iterdir()) == [tmp_path / "a.svg"]


def test_credit_is_drawn_from_its_triangle_on(axes):
    """s down, t across; above the diagonal and where there is no loss nothing has a colour."""
    square = SQUARE.copy()
    square[2] = 0
    draw_credit(axes, {"h": square})
    grey, image = axes.images
    drawn = image.get_array().filled(np.nan)
    expected = np.where(square > 0, square, np.nan)
    np.testing.assert_array_equal(drawn, expected)
    below = ~np.ma.getmaskarray(grey.get_array())
    np.testing.assert_array_equal(
        below, np.tril(np.ones((T + 1, T + 1), bool)) & (np.arange(T + 1) > 0)[:, None]
    )
    assert image.norm.vmin == pytest.approx(square[square > 0].min())
    assert image.norm.vmax == 1
    assert image.get_extent()[2] == T + 0.5  # the last loss is at the bottom
    assert axes.get_ylim() == (T + 0.5, 0.5)
    assert type(image.norm).__name__ == "LogNorm"


def test_what_is_tiny_does_not_stretch_the_scale(axes):
    square = SQUARE.copy()
    square[T, 0] = 1e-200
    draw_credit(axes, {"h": square})
    assert axes.images[1].norm.vmin == pytest.approx(panels.DEEPEST)
    assert axes.images[1].get_array()[T, 0] == pytest.approx(panels.DEEPEST)


@pytest.mark.parametrize("square", [np.zeros((3, 3)), np.tril(np.ones((3, 3)))])
def test_flat_or_no_credit(axes, square):
    draw_credit(axes, {"h": square})
    draw_lags(axes, {"h": square})
    axes.figure.canvas.draw()


def test_gradient_by_lag(axes):
    """Against the mean, written as a loop; a step without a loss does not count."""
    square = SQUARE * np.arange(1, T + 2)[:, None]
    square[2] = 0
    means = lag_means(square)
    for lag in range(T + 1):
        found = [square[s, s - lag] for s in (1, 3, 4) if s >= lag]
        assert means[lag] == pytest.approx(np.mean(found))
    draw_lags(axes, {"h": square, "c": SQUARE})
    drawn = lines(axes)
    np.testing.assert_allclose(drawn["h, mean over losses"], means)
    np.testing.assert_allclose(drawn["c, mean over losses"], 10.0 ** -np.arange(T + 1))
    single = [line.get_ydata() for line in axes.lines if line.get_alpha() == 0.25]
    assert [len(y) for y in single] == [2, 4, 5]
    np.testing.assert_allclose(single[1], square[3, 3::-1])
    assert axes.get_yscale() == "log"


def test_spectra(axes):
    draw_spectra(axes, SPECTRUM, RADIUS, WHOLE["bound"])
    drawn = lines(axes)
    np.testing.assert_allclose(drawn["singular values"], SPECTRUM[1:].ravel())
    np.testing.assert_allclose(drawn["spectral radius (batch max)"], RADIUS[1:].max(axis=1))
    np.testing.assert_allclose(drawn["bound ‖W_hh‖·max|φ′|"], [2.5] * T)
    points = axes.lines[0].get_xdata()
    np.testing.assert_array_equal(points, np.repeat(np.arange(1, T + 1), B * S))
    axes.clear()
    draw_spectra(axes, SPECTRUM, RADIUS)
    assert not any("bound" in label for label in lines(axes))


def test_truncation(axes):
    draw_truncation(axes, WHOLE["norm_ratio"], WHOLE["cosine"])
    np.testing.assert_allclose(lines(axes)["norm ratio (left)"], WHOLE["norm_ratio"])
    right = axes.figure.axes[1]
    np.testing.assert_allclose(right.lines[0].get_ydata(), [0.4, 0.01, 1e-4, np.nan], rtol=1e-9)
    assert right.get_yscale() == "log"
    assert axes.get_ylim()[0] == 0
    assert axes.get_ylim()[1] > 1.1


def test_no_gradient_says_so(axes):
    draw_truncation(axes, [np.nan, np.nan], [np.nan, np.nan])
    assert [text.get_text() for text in axes.texts] == ["there is no gradient"]
    axes.figure.canvas.draw()


def test_what_is_not_finite_is_left_out(axes):
    values = SPECTRUM.copy()
    values[2] = np.nan
    square = SQUARE.copy()
    square[3, 1] = np.inf
    draw_credit(axes, {"h": square})
    draw_lags(new_figure(5, 4).subplots(), {"h": square})
    other = new_figure(5, 4).subplots()
    draw_spectra(other, values, RADIUS)
    for drawn in (axes, other):
        drawn.figure.canvas.draw()
    assert axes.images[1].norm.vmax == 1


@pytest.mark.parametrize(
    ("draw", "arguments", "words"),
    [
        (draw_credit, [{}], "the credit of a state"),
        (draw_credit, [{"h": np.zeros((3, 4))}], r"credit of h \(T\+1, T\+1\), T ≥ 1, got"),
        (draw_lags, [{"h": np.zeros((1, 1))}], r"credit of h"),
        (draw_spectra, [np.zeros((3, 2)), np.zeros((3, 2))], r"singular_values \(T\+1, B, S\)"),
        (draw_spectra, [SPECTRUM, RADIUS[:2]], r"spectral_radius \(T\+1, B\)"),
        (draw_truncation, [[1.0], [1.0, 1.0]], r"norm_ratio and cosine of shape \(T,\)"),
        (draw_truncation, [[], []], r"of shape \(T,\)"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(axes, draw, arguments, words):
    with pytest.raises(DataError, match=words):
        draw(axes, *arguments)
