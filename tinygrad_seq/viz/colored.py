"""Text coloured by what one hidden unit does while a net reads it.

Blue behind a character says that the unit is negative there, red that it is positive, and the
stronger the colour the further it is from 0. After Karpathy, Johnson and Li, Visualizing and
Understanding Recurrent Networks, arXiv:1506.02078.
"""

from __future__ import annotations

import html
from collections.abc import Iterator
from typing import Any

import numpy as np
from rich.console import Console
from rich.text import Text

from tinygrad_seq.errors import ArgumentError, DataError, expect
from tinygrad_seq.viz.characters import sign, width

RGB = tuple[int, int, int]
# The ends of the two halves of the map, and from where on white letters are easier to read.
WHITE: RGB = (255, 255, 255)
BLUE: RGB = (33, 102, 172)
RED: RGB = (178, 24, 43)
DARK = 0.75
TAB = 4
# Where a terminal has 16 colours only, by the levels of the marks below.
FEW = {-2: "white on blue", -1: "black on bright_blue", 0: "black on white",
       1: "black on bright_red", 2: "white on red"}  # fmt: skip
# Below 1/6 of the largest size nothing is marked, above 1/2 the mark is a strong one.
MARKS = {-2: "=", -1: "-", 0: " ", 1: "+", 2: "#"}

_STYLE = """
body { background: #fff; color: #000; font-family: sans-serif; margin: 2em; max-width: 60em }
pre { font-family: monospace; font-size: 1.1em; line-height: 1.5; white-space: pre-wrap;
  overflow-wrap: anywhere; tab-size: 4 }
pre span { padding: 0.15em 0 }
.sign { opacity: 0.5 }
.scale { background: linear-gradient(90deg, %s, #fff, %s); display: inline-block; height: 1em;
  margin: 0 0.5em; vertical-align: middle; width: 12em }
"""


def color_of(value: float, scale: float) -> RGB:
    """The colour of a value: white at 0, full blue at −scale and below, full red at scale.

    >>> color_of(0, 1), color_of(-1, 1), color_of(2, 1)
    ((255, 255, 255), (33, 102, 172), (178, 24, 43))
    """
    strength = min(abs(value) / scale, 1.0) if scale > 0 else 0.0
    end = BLUE if value < 0 else RED
    red, green, blue = (round(w + strength * (e - w)) for w, e in zip(WHITE, end, strict=True))
    return red, green, blue


def colored_text(
    text: str,
    values: Any,
    columns: int = 80,
    scale: float | None = None,
    few_colors: bool = False,
) -> Text:
    """The text for a terminal, with a coloured background behind each character.

    values: one number for each character. columns: where lines are broken. scale: the size that
    gets full colour, by default the largest there is. few_colors: only those that every terminal
    with colours has, in two strengths of each. A line break is shown as ↵, a tab as ⇥ and
    blanks up to the next fourth column, what cannot be printed as a dot.

    Raises DataError unless there is a finite value for each character, ArgumentError for a scale
    that is not above 0.
    """
    numbers, scale = _checked(text, values, scale)
    lines = [
        Text.assemble(
            *((shown, _terminal_style(value, scale, few_colors)) for shown, value in line)
        )
        for line in _lines(text, numbers, columns)
    ]
    return Text("\n").join(lines)


def marked_text(text: str, values: Any, columns: int = 80, scale: float | None = None) -> str:
    """The text without colour: below each line a line of marks, one for each character.

    ``=`` and ``-`` are negative, ``#`` and ``+`` positive, the first of each beyond half of the
    scale; within a sixth of it there is no mark. Arguments and errors as of ``colored_text``.

    >>> print(marked_text("abcde", [-1, -0.3, 0, 0.3, 1]))
    abcde
    =- +#
    """
    numbers, scale = _checked(text, values, scale)
    lines = []
    for line in _lines(text, numbers, columns):
        marks = (MARKS[_level(value, scale)] * width(shown) for shown, value in line)
        lines += ["".join(shown for shown, _ in line).rstrip(), "".join(marks).rstrip()]
    return "\n".join(lines)


def print_colored(console: Console, text: str, values: Any, scale: float | None = None) -> None:
    """Print the text on a terminal, coloured where it can show colours and marked where not
    (NO_COLOR, a dumb terminal, a file); and below it what that means."""
    numbers, scale = _checked(text, values, scale)
    if console.color_system is None or console.no_color:
        console.print(marked_text(text, numbers, console.width, scale), soft_wrap=True)
        legend = Text("= and - negative, + and # positive; = and # beyond half of the largest")
    else:
        few = console.color_system in ("standard", "windows")
        shown = colored_text(text, numbers, console.width, scale, few)
        console.print(shown, soft_wrap=True)
        legend = Text()
        for share in np.linspace(-1, 1, 9).tolist():
            legend.append(f"{share * scale:^+7.2f}", _terminal_style(share * scale, scale, few))
    console.print()
    console.print(legend)


def colored_html(text: str, values: Any, title: str = "", scale: float | None = None) -> str:
    """The text as a page of HTML that needs nothing else; hovering over a character shows its
    value. Arguments and errors as of ``colored_text``."""
    numbers, scale = _checked(text, values, scale)
    spans = "".join(_span(c, v, scale) for c, v in zip(text, numbers, strict=True))
    heading = html.escape(title) or "Activations"
    style = _STYLE % (_hex(BLUE), _hex(RED))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{heading}</title>\n<style>{style}</style>\n</head>\n<body>\n"
        f'<h1>{heading}</h1>\n<p>{-scale:.3g}<span class="scale"></span>{scale:.3g}</p>\n'
        f"<pre>{spans}</pre>\n</body>\n</html>\n"
    )


def _checked(text: str, values: Any, scale: float | None) -> tuple[list[float], float]:
    numbers = np.asarray(values, dtype=float)
    wanted = (len(text),)
    expected = f"values of shape {wanted}, one for each character"
    expect(numbers.shape == wanted, "coloured text", expected, numbers.shape, DataError)
    finite = bool(np.isfinite(numbers).all())
    expect(finite, "coloured text", "finite values", "NaN or infinity", DataError)
    if scale is None:
        scale = float(np.abs(numbers).max(initial=0.0)) or 1.0
    expect(0 < scale < np.inf, "coloured text", "a scale above 0", scale, ArgumentError)
    return numbers.tolist(), scale


def _lines(text: str, numbers: list[float], columns: int) -> Iterator[list[tuple[str, float]]]:
    """The lines on a terminal: for each character what is shown of it, and its value."""
    line: list[tuple[str, float]] = []
    at = 0
    for character, value in zip(text, numbers, strict=True):
        shown = _shown(character, at)
        if at and at + width(shown) > columns:
            yield line
            line, at, shown = [], 0, _shown(character, 0)
        line.append((shown, value))
        at += width(shown)
        if character == "\n":
            yield line
            line, at = [], 0
    if line:
        yield line


def _shown(character: str, at: int) -> str:
    """A character as it is shown in column ``at``: blanks follow the sign of a tab."""
    if character == "\t":
        return sign(character) + " " * (TAB - 1 - at % TAB)
    return character if character == " " else sign(character)


def _terminal_style(value: float, scale: float, few_colors: bool) -> str:
    if few_colors:
        return FEW[_level(value, scale)]
    letters = "#ffffff" if abs(value) > DARK * scale else "#000000"
    return f"{letters} on {_hex(color_of(value, scale))}"


def _level(value: float, scale: float) -> int:
    size = abs(value) / scale
    level = 2 if size > 1 / 2 else 1 if size > 1 / 6 else 0
    return -level if value < 0 else level


def _span(character: str, value: float, scale: float) -> str:
    """One character as HTML. A line break is seen, and breaks the line."""
    letters = ";color:#fff" if abs(value) > DARK * scale else ""
    shown, after, kind = html.escape(character), "", ""
    if character not in "\t " and not character.isprintable():
        shown, kind = sign(character), ' class="sign"'
        after = "\n" if character == "\n" else ""
    name = html.escape(repr(character), quote=True)
    return (
        f'<span{kind} style="background:{_hex(color_of(value, scale))}{letters}" '
        f'title="{name} {value:+.4f}">{shown}</span>{after}'
    )


def _hex(color: RGB) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)
