"""Text coloured by the activations of one unit."""

import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tinygrad_seq.errors import ArgumentError, DataError
from tinygrad_seq.viz.characters import width
from tinygrad_seq.viz.colored import (
    color_of,
    colored_html,
    colored_text,
    marked_text,
    print_colored,
)

TEXTS = st.text(st.characters(codec="utf-8") | st.sampled_from("\n\t <&>\"'é日\u0301\x07"))


def ramp(text):
    return np.linspace(-1, 1, len(text))


def printed(text, values, **options):
    screen = Console(file=io.StringIO(), width=20, markup=False, highlight=False, **options)
    print_colored(screen, text, values)
    return screen.file.getvalue()


@given(st.floats(-2, 2))
def test_the_sign_gives_the_hue_and_the_size_the_strength(value):
    red, _, blue = color_of(value, 1.0)
    assert (blue > red) == (value < 0 and abs(value) > 1 / 256) or abs(value) < 1 / 64
    weaker = color_of(value / 2, 1.0)
    assert sum(weaker) >= sum(color_of(value, 1.0))


# Each of these two has colours of its own: rich remembers how a style was written the first time.
def test_a_terminal_with_colours_gets_them():
    text = printed("abc", [-0.83, 1, 0.31], color_system="truecolor", force_terminal=True)
    for value in (-0.83, 0.31):
        assert "48;2;{};{};{}m".format(*color_of(value, 1.0)) in text
    assert "-1.00" in text
    assert "+0.25" in text


def test_256_colours_are_used_where_there_are_no_more():
    assert "48;5;" in printed("ab", [-1, 0.37], color_system="256", force_terminal=True)


def test_16_colours_show_the_sign_and_two_strengths():
    text = printed("abcde", [-1, -0.4, 0, 0.4, 1], color_system="standard", force_terminal=True)
    codes = re.findall(r"\x1b\[([\d;]+)m[abcde]", text)
    assert codes == ["37;44", "30;104", "30;47", "30;101", "37;41"]


@pytest.mark.parametrize("options", [{}, {"force_terminal": True, "no_color": True}])
def test_without_colours_there_are_marks(options):
    text = printed("ab\ncd", [-1, 0, 0.4, 1, -0.4], **options)
    assert "\x1b" not in text
    assert text.startswith("ab↵\n=\x20+\ncd\n#-\n")
    assert "negative" in text


def test_a_dumb_terminal_gets_marks(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    assert printed("ab", [-1, 1], force_terminal=True).startswith("ab\n=#\n")


@given(TEXTS)
def test_marks_stand_below_their_characters(text):
    lines = marked_text(text, np.ones(len(text)), 20).split("\n") if text else []
    shown = lines[::2]
    assert all(width(line) <= 20 for line in shown)
    joined = "".join(shown).replace(" ", "")
    assert len(joined) == sum(not c.isspace() or c in "\n\t" or not c.isprintable() for c in text)
    for above, below in zip(shown, lines[1::2], strict=True):
        assert set(below) <= {"#"}
        assert len(below) >= width(above)  # a blank at the end is marked too


@given(TEXTS)
def test_colours_and_marks_show_the_same_lines(text):
    colored = colored_text(text, ramp(text), 20).plain.split("\n")
    marked = marked_text(text, ramp(text), 20).split("\n")[::2]
    assert [line.rstrip() for line in colored] == [line.rstrip() for line in marked]


def test_a_tab_reaches_to_the_next_fourth_column():
    assert marked_text("a\tb", [0, 1, 0]) == "a⇥  b\n ###"


class Page(HTMLParser):
    """What a browser would show of the text, and the title of each character."""

    def __init__(self, text):
        super().__init__()
        self.shown, self.titles, self.signs, self.inside, self.tags = "", [], [], False, []
        self.sign = False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.inside = self.inside or tag == "pre"
        if tag == "span" and self.inside:
            self.titles.append(dict(attrs)["title"])
            self.sign = dict(attrs).get("class") == "sign"

    def handle_endtag(self, tag):
        self.inside = self.inside and tag != "pre"
        if tag == "span":
            self.sign = False

    def handle_data(self, data):
        if self.inside and self.sign:
            self.signs.append(data)
        elif self.inside:
            self.shown += data


@given(TEXTS, st.text(max_size=5))
def test_a_page_shows_the_text_with_a_value_for_each_character(text, title):
    page = Page(colored_html(text, ramp(text), title))
    visible = [c for c in text if c.isprintable() or c in "\t\n"]
    assert page.shown == "".join(visible)
    assert len(page.titles) == len(text)
    assert len(page.signs) == sum(not c.isprintable() and c != "\t" for c in text)
    for name, character, value in zip(page.titles, text, ramp(text), strict=True):
        assert name == f"{character!r} {value:+.4f}"


def test_a_page_is_self_contained():
    text = colored_html("a<script>b", ramp("a<script>b"), "</title><script>")
    assert set(Page(text).tags) == {"html", "head", "meta", "title", "style", "body", "h1", "p",
                                    "span", "pre"}  # fmt: skip
    assert "http" not in text
    assert 'charset="utf-8"' in text
    assert text.encode("utf-8")


def test_no_text_at_all():
    assert marked_text("", []) == ""
    assert Page(colored_html("", [])).titles == []


@pytest.mark.parametrize("show", [colored_text, marked_text, colored_html])
@pytest.mark.parametrize(
    ("values", "words"), [([1.0], "shape"), ([1.0, np.inf], "finite"), ([[1.0], [2.0]], "shape")]
)
def test_values_that_do_not_fit_are_refused(show, values, words):
    with pytest.raises(DataError, match=words):
        show("ab", values)


def test_a_scale_of_nothing_is_refused():
    with pytest.raises(ArgumentError, match="scale"):
        marked_text("a", [1.0], scale=0)
    assert marked_text("ab", [0.0, 0.0]) == "ab\n"
