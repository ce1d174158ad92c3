"""Attention maps: what was looked at while each symbol was said.

A map has a row for each symbol of the target and a column for each of the source, both in reading
order: a text that is translated from left to right shows a line from the upper left to the lower
right.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_seq.errors import DataError, expect
from tinygrad_seq.viz.canvas import new_figure
from tinygrad_seq.viz.characters import sign, width

SHADES = " ░▒▓█"


def plot_attention(
    weights: Any,
    source: Sequence[str],
    target: Sequence[str],
    path: str | Path,
    title: str = "",
    axes: tuple[str, str] = ("read", "said"),
) -> None:
    """Draw a map in shades of blue; the suffix of ``path`` says in which format.

    weights (S, T): numbers ≥ 0, an array or nested lists; source: T labels, target: S labels; a
    text is as many labels as it has characters. axes: what source and target are. Raises DataError
    if they do not fit, and MissingDependencyError without matplotlib.
    """
    shares = _checked(weights, source, target)
    rows, columns = shares.shape
    figure = new_figure(3 + 0.3 * columns, 2 + 0.3 * rows)
    plot = figure.subplots()
    image = plot.imshow(shares, cmap="Blues", vmin=0, aspect="equal")
    upright = max(map(len, source)) == 1
    plot.set_xticks(range(columns), list(map(sign, source)), rotation=0 if upright else 90)
    plot.set_yticks(range(rows), list(map(sign, target)))
    for label in (*plot.get_xticklabels(), *plot.get_yticklabels()):
        label.set(fontfamily="monospace", parse_math=False)  # a dollar is a dollar
    plot.tick_params(length=0, labelsize="large")
    plot.set_xlabel(axes[0], fontsize="large")
    plot.set_ylabel(axes[1], fontsize="large")
    if title:
        plot.set_title(title, parse_math=False)
    figure.colorbar(image, ax=plot, label="attention weight", shrink=0.9)
    figure.savefig(path, dpi=120)


def attention_blocks(
    weights: Any, source: Sequence[str], target: Sequence[str], by_row: bool = False
) -> str:
    """A map as text: the source above, the target to the left, a shaded block for each weight.

    Arguments and errors as in ``plot_attention``. The darkest shade stands for the largest weight,
    or for the largest in each row: where rows have more and more to look at, their weights fall.

    >>> print(attention_blocks([[1, 0, 0], [0, 0.5, 0.5]], "abc", "AB"))
      abc
    A █
    B  ▒▒
    """
    shares = _checked(weights, source, target)
    largest = shares.max(axis=1 if by_row else None, keepdims=True)
    levels = np.rint(shares / np.maximum(largest, 1e-300) * (len(SHADES) - 1)).astype(int)
    above, left = list(map(sign, source)), list(map(sign, target))
    gap = "" if max(map(len, source)) == 1 else " "
    margin = max(map(width, left))
    lines = [" " * margin + " " + gap.join(above)]
    for label, row in zip(left, levels, strict=True):
        blocks = gap.join(SHADES[level] * width(a) for level, a in zip(row, above, strict=True))
        lines.append(f"{' ' * (margin - width(label))}{label} {blocks}".rstrip())
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
