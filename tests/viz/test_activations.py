"""Heat maps of activations."""

import re

import numpy as np
import pytest

from tinygrad_seq.errors import ArgumentError, DataError
from tinygrad_seq.viz import activations
from tinygrad_seq.viz.activations import gate_panels, plot_activations

VALUES = np.linspace(-1, 0.5, 20).reshape(5, 4)


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are drawn, to be looked into."""
    pytest.importorskip("matplotlib")
    made = []
    new_figure = activations.new_figure
    monkeypatch.setattr(
        activations, "new_figure", lambda *a: made.append(new_figure(*a)) or made[-1]
    )
    return made


def words_of(path):
    return re.findall("<!-- (.*?) -->", path.read_text())


def test_time_runs_across_and_units_down(tmp_path, drawn):
    plot_activations(VALUES, tmp_path / "a.svg", labels="ab\n $", title="h of $x$")
    image = drawn[0].axes[0].images[0]
    np.testing.assert_array_equal(image.get_array(), VALUES.T)
    assert tuple(image.get_extent()) == (-0.5, 4.5, 3.5, -0.5)
    assert {"unit", "input", "activation", "a", "b", "↵", "␣", "$", "h of $x$"} <= set(
        words_of(tmp_path / "a.svg")
    )


def test_units_are_numbered_from_where_one_likes(tmp_path, drawn):
    plot_activations(VALUES, tmp_path / "a.svg", first=1)
    assert drawn[0].axes[0].get_ylim() == (4.5, 0.5)


def test_blue_is_negative_white_zero_red_positive(tmp_path, drawn):
    plot_activations(np.array([[-1.0], [0.0], [0.5]]), tmp_path / "a.png")
    image = drawn[0].axes[0].images[0]
    assert image.get_clim() == (-1, 1)
    (below, zero, above) = image.to_rgba(np.array([[-1.0, 0.0, 0.5]]))[0, :, :3]
    assert below[2] > below[0]
    assert zero.min() > 0.95
    assert above[0] > above[2]


def test_panels_share_one_scale(tmp_path, drawn):
    panels = gate_panels(np.arange(24.0).reshape(3, 8))
    assert list(panels) == ["i", "f", "g", "o"]
    np.testing.assert_array_equal(panels["f"], [[2, 3], [10, 11], [18, 19]])
    plot_activations(panels, tmp_path / "a.svg")
    limits = {axes.images[0].get_clim() for axes in drawn[0].axes[:4]}
    assert limits == {(-23, 23)}
    words = words_of(tmp_path / "a.svg")
    assert [w for w in words if w.startswith("unit of")] == [f"unit of {n}" for n in "ifgo"]


def test_many_steps_are_numbered(tmp_path, drawn):
    plot_activations(np.zeros((300, 2)), tmp_path / "a.svg", labels="x" * 300)
    words = words_of(tmp_path / "a.svg")
    assert "step" in words
    assert "x" not in words


@pytest.mark.parametrize(
    ("values", "labels", "words"),
    [
        (np.zeros(3), None, r"shape \(T, H\)"),
        (np.zeros((3, 0)), None, r"shape \(T, H\)"),
        (VALUES, "abc", "expected 5 labels, got 3"),
        ({"i": VALUES, "f": VALUES[:3]}, None, "f of 5 steps, got 3"),
        ({}, None, "an array or more"),
        ([[np.nan]], None, "finite"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, values, labels, words):
    with pytest.raises(DataError, match=words):
        plot_activations(values, tmp_path / "a.png", labels=labels)
    assert not (tmp_path / "a.png").exists()


@pytest.mark.parametrize(("shape", "names"), [((3, 7), "ifgo"), ((8,), "ifgo"), ((3, 8), "rzn")])
def test_gates_that_cannot_be_shared_out_are_refused(shape, names):
    with pytest.raises(ArgumentError, match="gate_panels"):
        gate_panels(np.zeros(shape), names)
