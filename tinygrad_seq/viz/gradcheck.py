"""A gradient check as a picture: error against step size, Taylor remainder, errors of all elements.

The figures come from ``report.sweep()`` and ``report.histogram()``::

    s, h = report.sweep(), report.histogram()
    plot_check("check.png", s.steps, s.errors, s.floors, s.remainders, h.exponents, h.counts)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_seq.errors import DataError, expect
from tinygrad_seq.viz.canvas import new_figure
from tinygrad_seq.viz.curves import BLUE, GREEN, GREY, ORANGE

Numbers = Sequence[float] | np.ndarray


def plot_check(
    path: str | Path,
    steps: Numbers,
    errors: Numbers,
    floors: Numbers,
    remainders: Numbers,
    exponents: Numbers = (),
    counts: Numbers = (),
    title: str = "",
) -> None:
    """Write the picture to ``path``; its ending says in which format.

    ``steps``, ``errors``, ``floors`` (what rounding alone may do to a difference) and
    ``remainders`` have one length; ``counts`` of derivatives by decades of their error, starting at
    10**exponents, are drawn if there are any. Raises MissingDependencyError without matplotlib,
    DataError if there is nothing to draw or lengths differ.
    """
    lengths = {len(values) for values in (steps, errors, floors, remainders)}
    expect(len(lengths) == 1 and len(steps) > 1, "plot_check", "arrays of one length above 1",
           sorted(lengths), DataError)  # fmt: skip
    same = len(exponents) == len(counts)
    expect(same, "plot_check", f"{len(exponents)} counts", len(counts), DataError)
    panels = 3 if len(counts) else 2
    figure = new_figure(4.2 * panels, 3.8)
    axes = figure.subplots(1, panels)
    draw_errors(axes[0], steps, errors, floors)
    draw_remainders(axes[1], steps, remainders)
    if len(counts):
        draw_histogram(axes[2], exponents, counts)
    if title:
        figure.suptitle(title)
    figure.savefig(path, dpi=120)


def draw_errors(axes: Any, steps: Numbers, errors: Numbers, floors: Numbers) -> None:
    """Error of the central difference by its step, and what rounding makes of it."""
    axes.loglog(steps, _positive(errors), color=BLUE, marker="o", markersize=4,
                label="|difference − analytic|")  # fmt: skip
    axes.loglog(steps, _positive(floors), color=GREY, linestyle="--", label="rounding, at most")
    _finish(axes, "error")


def draw_remainders(axes: Any, steps: Numbers, remainders: Numbers) -> None:
    """The Taylor remainder, and lines of slope 1 and 2 through its coarsest step."""
    h, r = np.asarray(steps, float), _positive(remainders)
    axes.loglog(h, r, color=BLUE, marker="o", markersize=4, label="|f(x+hd) − f(x) − h·a|")
    known = np.flatnonzero(np.isfinite(r))
    if known.size:
        first = known[0]
        low = np.nanmin(r) / 10
        for power, colour, style, what in ((2, GREEN, "--", "right"), (1, ORANGE, ":", "wrong")):
            line = r[first] * (h / h[first]) ** power
            axes.loglog(h, np.where(line >= low, line, np.nan), color=colour, linestyle=style,
                        label=f"slope {power}: {what}")  # fmt: skip
    _finish(axes, "Taylor remainder")


def draw_histogram(axes: Any, exponents: Numbers, counts: Numbers) -> None:
    """How many derivatives are off by how much."""
    axes.bar(np.asarray(exponents) + 0.5, counts, width=0.9, color=BLUE)
    for axis in (axes.xaxis, axes.yaxis):
        axis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("error, power of ten")
    axes.set_ylabel("derivatives")
    axes.grid(alpha=0.3, axis="y")


def _finish(axes: Any, name: str) -> None:
    axes.set_xlabel("step h")
    axes.set_ylabel(name)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")


def _positive(values: Numbers) -> np.ndarray:
    """What a logarithmic axis can show."""
    array = np.asarray(values, float)
    return np.where(np.isfinite(array) & (array > 0), array, np.nan)
