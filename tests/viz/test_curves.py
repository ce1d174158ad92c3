"""The picture of a run."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import tinygrad_seq
from tinygrad_seq.errors import DataError, MissingDependencyError
from tinygrad_seq.viz.curves import Curves, plot_curves

CURVES = Curves(
    steps=[1, 2, 3], loss=[3.0, 2.5, 2.2], grad_norm=[1.0, 0.5, 0.2],
    validation_steps=[0, 3], validation=[3.2, 2.3],
    clip=0.5, baselines={"bigram": 2.4}, title="a run",
)  # fmt: skip


def test_a_picture_is_written(tmp_path):
    pytest.importorskip("matplotlib")
    plot_curves(CURVES, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_every_curve_and_axis_is_labelled(tmp_path):
    pytest.importorskip("matplotlib")
    plot_curves(CURVES, tmp_path / "a.svg")
    svg = (tmp_path / "a.svg").read_text()
    axes = ("loss (nats per character)", "bits per character", "gradient norm", "step")
    for words in (*axes, "training", "validation", "bigram: 2.400", "clipped at 0.5", "a run"):
        assert f"<!-- {words} -->" in svg


def test_nothing_to_draw_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no training steps"):
        plot_curves(Curves([], [], []), tmp_path / "a.png")


def test_without_matplotlib_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingDependencyError, match=r"tinygrad-seq\[plot\]"):
        plot_curves(CURVES, tmp_path / "a.png")


def test_matplotlib_is_imported_only_to_draw():
    code = "import sys, tinygrad_seq.viz.curves; print('matplotlib' in sys.modules)"
    root = Path(tinygrad_seq.__file__).parents[1]
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root)
    assert run.stdout.strip() == "False"


def words_of(curves, path):
    plot_curves(curves, path)
    return set(re.findall("<!-- (.*?) -->", path.read_text()))


def test_a_share_has_an_axis_of_its_own(tmp_path):
    pytest.importorskip("matplotlib")
    shared = replace(CURVES, shares=[0.1, 0.9], share="accuracy")
    words = words_of(shared, tmp_path / "a.svg")
    assert {"accuracy", "0%", "100%"} <= words
    assert "accuracy" not in words_of(CURVES, tmp_path / "b.svg")


@pytest.mark.parametrize("unit", ["nats per frame", "mean squared error"])
def test_only_nats_are_shown_in_bits(tmp_path, unit):
    pytest.importorskip("matplotlib")
    words = words_of(replace(CURVES, unit=unit), tmp_path / "a.svg")
    assert f"loss ({unit})" in words
    assert ("bits per frame" in words) == unit.startswith("nats")


def test_losses_that_span_much_get_a_logarithmic_axis_with_plain_numbers(tmp_path):
    pytest.importorskip("matplotlib")
    wide = replace(CURVES, loss=[3.0, 0.4, 0.003], validation=[3.2, 0.004], grad_norm=[0.02, 1, 3])
    words = words_of(wide, tmp_path / "a.svg")
    assert {"0.01", "0.1", "1"} <= words
    assert "0.01" not in words_of(CURVES, tmp_path / "b.svg")
    assert not any("e-" in word or "mathdefault" in word for word in words)


def test_more_baselines_than_line_styles(tmp_path):
    pytest.importorskip("matplotlib")
    many = replace(CURVES, baselines={f"rival {n}": 1 + n / 10 for n in range(6)})
    assert {f"rival {n}: {1 + n / 10:.3f}" for n in range(6)} <= words_of(many, tmp_path / "a.svg")
