"""Attention maps: what was looked at while each symbol was said.

A map has a row for each symbol of the target and a column for each of the source, both in reading
order: a text that is translated from left to right shows a line from the upper left to the lower
right.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_seq.errors import DataError, MissingDependencyError, expect

SHADES = " ░▒▓█"
_SIGNS = {" ": "␣", "\n": "↵", "\t": "⇥", "": "∅"}


def plot_attention(
    weights: Any, source: Sequence[str], target: Sequence[str], path: str | Path, title: str = ""
) -> None:
    """Draw a map in shades of blue; the suffix of ``path`` says in which format.

    weights (S, T): numbers ≥ 0, an array or nested lists; source: T labels, target: S labels; a
    text is as many labels as it has characters. Raises DataError if they do not fit, and
    MissingDependencyError without matplotlib.
    """
    shares = _checked(weights, source, target)
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError(
            "plots need matplotlib: pip install 'tinygrad-seq[plot]'"
        ) from error
    rows, columns = shares.shape
    figure = Figure(figsize=(3 + 0.3 * columns, 2 + 0.3 * rows), layout="constrained")
    FigureCanvasAgg(figure)  # draws without a display
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, aspect="equal")
    upright = max(map(len, source)) == 1
    axes.set_xticks(range(columns), list(map(_sign, source)), rotation=0 if upright else 90)
    axes.set_yticks(range(rows), list(map(_sign, target)))
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set(fontfamily="monospace", parse_math=False)  # a dollar is a dollar
    axes.tick_params(length=0, labelsize="large")
    axes.set_xlabel("read", fontsize="large")
    axes.set_ylabel("said", fontsize="large")
    if title:
        axes.set_title(title, parse_math=False)
    figure.colorbar(image, ax=axes, label="attention weight", shrink=0.9)
    figure.savefig(path, dpi=120)


def attention_blocks(weights: Any, source: Sequence[str], target: Sequence[str]) -> str:
    """A map as text: the source above, the target to the left, a shaded block for each weight.

    Arguments and errors as in ``plot_attention``. The darkest shade stands for the largest weight.

    >>> print(attention_blocks([[1, 0, 0], [0, 0.5, 0.5]], "abc", "AB"))
      abc
    A █
    B  ▒▒
    """
    shares = _checked(weights, source, target)
    levels = np.rint(shares / max(shares.max(), 1e-300) * (len(SHADES) - 1)).astype(int)
    above, left = list(map(_sign, source)), list(map(_sign, target))
    gap = "" if max(map(len, source)) == 1 else " "
    margin = max(map(_width, left))
    lines = [" " * margin + " " + gap.join(above)]
    for label, row in zip(left, levels, strict=True):
        blocks = gap.join(SHADES[level] * _width(a) for level, a in zip(row, above, strict=True))
        lines.append(f"{' ' * (margin - _width(label))}{label} {blocks}".rstrip())
    return "\n".join(lines)


def _checked(weights: Any, source: Sequence[str], target: Sequence[str]) -> np.ndarray:
    shares = np.asarray(weights, dtype=float)
    wanted = (len(target), len(source))
    expect(min(wanted) > 0, "attention map", "a source and a target", wanted, DataError)
    expected = f"weights of shape {wanted}, one for each pair of labels"
    expect(shares.shape == wanted, "attention map", expected, shares.shape, DataError)
    ok = bool(np.isfinite(shares).all() and (shares >= 0).all())
    got = f"{shares.min()} … {shares.max()}"
    expect(ok, "attention map", "finite weights ≥ 0", got, DataError)
    return shares


def _sign(label: str) -> str:
    """What a label looks like: white space and what cannot be printed get a sign."""
    if label in _SIGNS:
        return _SIGNS[label]
    return "".join(_SIGNS.get(c, "·") if not c.isprintable() else c for c in label)


def _width(label: str) -> int:
    """How many columns of a terminal a label takes: wide characters two, combining marks none."""
    return sum(0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF")
               for c in label)  # fmt: skip
