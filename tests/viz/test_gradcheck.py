"""The picture of a gradient check."""

import numpy as np
import pytest

import tinygrad_seq as tg
from tinygrad_seq.errors import DataError
from tinygrad_seq.viz.gradcheck import plot_check

STEPS = 10.0 ** -np.arange(1, 6)
PARTS = (STEPS, STEPS**2, 1e-12 / STEPS, STEPS**2)


def test_every_axis_and_curve_is_labelled(tmp_path):
    pytest.importorskip("matplotlib")
    plot_check(tmp_path / "a.svg", *PARTS, [-9, -8], [3, 1], title="a check")
    svg = (tmp_path / "a.svg").read_text()
    curves = ("slope 2: right", "slope 1: wrong", "rounding, at most")
    axes = ("step h", "error", "Taylor remainder", "derivatives", "error, power of ten")
    for words in (*axes, *curves, "a check"):
        assert f"<!-- {words} -->" in svg


def test_a_report_can_be_drawn_zeros_and_all(tmp_path):
    pytest.importorskip("matplotlib")
    report = tg.gradcheck(tg.relu, np.array([0.0, 1.0]), raise_exception=False)
    s, h = report.sweep(), report.histogram()
    for path in (tmp_path / "a.png", tmp_path / "b.png"):
        plot_check(path, s.steps, s.errors, s.floors, s.remainders, h.exponents, h.counts)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_nothing_to_draw_is_an_error(tmp_path):
    with pytest.raises(DataError, match="one length"):
        plot_check(tmp_path / "a.png", [], [], [], [])
    with pytest.raises(DataError, match="one length"):
        plot_check(tmp_path / "a.png", STEPS, STEPS[:2], STEPS, STEPS)
    with pytest.raises(DataError, match="counts"):
        plot_check(tmp_path / "a.png", *PARTS, [1, 2], [3])
