"""Attention maps as pictures and as text."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tinygrad_seq
from tinygrad_seq.errors import DataError, MissingDependencyError
from tinygrad_seq.viz.attention import attention_blocks, plot_attention

MAP = np.array([[0.9, 0.1, 0.0], [0.0, 0.5, 0.5]])


def words_of(path, *arguments, **options):
    plot_attention(*arguments, path, **options)
    return re.findall("<!-- (.*?) -->", path.read_text())


def test_a_picture_is_written(tmp_path):
    pytest.importorskip("matplotlib")
    plot_attention(MAP, "abc", "AB", tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_every_symbol_and_axis_is_labelled(tmp_path):
    pytest.importorskip("matplotlib")
    words = words_of(tmp_path / "a.svg", MAP, "a c", ["AB", "\n"], title="a map")
    assert {"a", "␣", "c", "AB", "↵", "read", "said", "attention weight", "a map"} <= set(words)
    assert words.index("a") < words.index("␣") < words.index("c")


def test_words_are_labels_too(tmp_path):
    pytest.importorskip("matplotlib")
    words = words_of(tmp_path / "a.svg", MAP, ["the", "green", "cat"], ["le", "chat"])
    assert {"the", "green", "cat", "le", "chat"} <= set(words)


def test_dollars_are_no_mathematics(tmp_path):
    pytest.importorskip("matplotlib")
    words = words_of(tmp_path / "a.svg", MAP, [r"$\oops$", "b", "c"], "AB", title="$_$ to $^$")
    assert {r"$\oops$", "$_$ to $^$"} <= set(words)


def test_blocks_are_darker_where_more_was_looked():
    assert attention_blocks(MAP, "abc", "AB") == "  abc\nA █\nB  ▒▒"
    assert attention_blocks([[0.25, 0.5, 0.75, 1.0]], "abcd", "X") == "  abcd\nX ░▒▓█"
    assert attention_blocks([[0.01, 0.02]], "ab", "X") == "  ab\nX ▒█"  # against the largest
    assert attention_blocks([[0, 0]], "ab", "X") == "  ab\nX"


def test_each_row_may_have_its_own_darkest():
    falling = [[1, 0, 0], [0.5, 0.5, 0], [0.1, 0.1, 0.2]]
    assert attention_blocks(falling, "abc", "abc") == "  abc\na █\nb ▒▒\nc   ░"
    assert attention_blocks(falling, "abc", "abc", by_row=True) == "  abc\na █\nb ██\nc ▒▒█"


def test_blocks_are_as_wide_as_their_words():
    text = attention_blocks(MAP, ["the", "cat", "was"], ["le", "chat"])
    assert text.splitlines() == ["     the cat was", "  le ███", "chat     ▒▒▒ ▒▒▒"]


def test_wide_characters_take_two_columns():
    text = attention_blocks(MAP, "你a好", "A他")
    assert text.splitlines() == ["   你a好", " A ██", "他   ▒▒▒"]


def test_what_has_no_glyph_gets_a_sign():
    first, *rest = attention_blocks(np.eye(4), ["\x1b", " ", "", "a\nb"], "1\t\n ").splitlines()
    assert first == "  · ␣ ∅ a↵b"
    assert [line[0] for line in rest] == ["1", "⇥", "↵", "␣"]


@pytest.mark.parametrize(
    ("weights", "source", "target", "message"),
    [
        (MAP, "abcd", "AB", r"weights of shape \(2, 4\), one for each pair of labels"),
        (MAP[0], "abc", "A", r"weights of shape \(1, 3\)"),
        (np.zeros((0, 3)), "abc", "", r"a source and a target, got \(0, 3\)"),
        (-MAP, "abc", "AB", "finite weights ≥ 0"),
        (MAP * np.nan, "abc", "AB", "finite weights ≥ 0"),
    ],
)
def test_what_does_not_fit(weights, source, target, message, tmp_path):
    for call in (lambda: attention_blocks(weights, source, target),
                 lambda: plot_attention(weights, source, target, tmp_path / "a.png")):  # fmt: skip
        with pytest.raises(DataError, match=message):
            call()
    assert not (tmp_path / "a.png").exists()


def test_without_matplotlib_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingDependencyError, match=r"tinygrad-seq\[plot\]"):
        plot_attention(MAP, "abc", "AB", tmp_path / "a.png")
    assert attention_blocks(MAP, "abc", "AB")


def test_matplotlib_is_imported_only_to_draw():
    code = "import sys, tinygrad_seq.viz.attention; print('matplotlib' in sys.modules)"
    root = Path(tinygrad_seq.__file__).parents[1]
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root)
    assert run.stdout.strip() == "False"
