"""An image and what was looked at in it, as a picture and as text."""

import re
import sys

import numpy as np
import pytest

from tinygrad_seq.errors import DataError, MissingDependencyError
from tinygrad_seq.viz.patches import patch_blocks, plot_patches

IMAGE = np.array([[0, 255, 0, 0], [0, 255, 0, 0], [0, 0, 255, 255], [0, 0, 255, 255]])
WEIGHTS = np.array([[0.5, 0.25], [0.0, 0.25]])


def test_the_image_to_the_left_and_the_weights_to_the_right():
    assert patch_blocks(IMAGE, WEIGHTS).splitlines() == [" █     ██▒▒", "  ██     ▒▒"]


def test_an_odd_height_repeats_the_last_row():
    lines = patch_blocks(np.eye(3), np.ones((1, 1))).splitlines()
    assert lines == ["▒▒    ███", "  █   ███"]


def test_everything_is_labelled(tmp_path):
    pytest.importorskip("matplotlib")
    plot_patches(IMAGE, WEIGHTS, tmp_path / "a.svg", "a seven")
    words = re.findall("<!-- (.*?) -->", (tmp_path / "a.svg").read_text())
    assert {"pixel row", "pixel column", "the image", "what was looked at", "a seven",
            "attention weight of a patch"} <= set(words)  # fmt: skip
    plot_patches(IMAGE, WEIGHTS, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("image", "weights", "message"),
    [
        (IMAGE, WEIGHTS[0], r"weights with rows and columns, got \(2,\)"),
        (np.zeros((0, 3)), WEIGHTS, "image with rows and columns"),
        (IMAGE, np.ones((3, 2)), r"as many weights as divide \(4, 4\), got \(3, 2\)"),
        (-IMAGE, WEIGHTS, "finite image ≥ 0"),
        (IMAGE, WEIGHTS * np.nan, "finite weights ≥ 0"),
    ],
)
def test_what_does_not_fit(image, weights, message, tmp_path):
    for call in (lambda: patch_blocks(image, weights),
                 lambda: plot_patches(image, weights, tmp_path / "a.png")):  # fmt: skip
        with pytest.raises(DataError, match=message):
            call()
    assert not (tmp_path / "a.png").exists()


def test_without_matplotlib_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingDependencyError, match=r"tinygrad-seq\[plot\]"):
        plot_patches(IMAGE, WEIGHTS, tmp_path / "a.png")
    assert patch_blocks(IMAGE, WEIGHTS)
