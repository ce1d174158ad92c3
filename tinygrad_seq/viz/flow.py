"""How much of a gradient is left so many steps back: bars in a terminal, a map of a whole run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_seq.errors import DataError, expect
from tinygrad_seq.viz.canvas import new_figure

BLOCKS = " ▁▂▃▄▅▆▇█"
DECADES = 4  # from an empty bar to a full one
COLUMNS = 40  # bars side by side
LEFT = 0.01  # the share that is told of
SPAN = 1e-6  # the smallest norm with a colour of its own, as a share of the largest

# Norms by lag; None for one too large for a number.
ByLag = Sequence[float | None]


def flow_bars(norms: Mapping[str, ByLag]) -> str:
    """A line with a bar for each lag, for each tensor of the state, and a line above that says so.

    norms: lag 0, 1, … T of each. Heights are logarithmic: a full bar is the largest of the line,
    an empty one is below a ten-thousandth of it. Lags that are more than fit are thinned out. No
    line is longer than 80 columns. Raises DataError where there is no lag at all.

    >>> print(flow_bars({"h": [1, 0.5, 0.25, 0.1, 0.01, 1e-5]}))
    gradient by lag, 0 to 5 steps back (a bar of half the height: a 100th)
      h ██▇▆▄   1 % left after 4
    """
    expect(norms, "flow_bars", "norms of one tensor or more", "none", DataError)
    lags = max(len(by_lag) for by_lag in norms.values()) - 1
    expect(lags >= 0, "flow_bars", "lag 0 at least", "none", DataError)
    half = round(10 ** (DECADES / 2))
    heading = f"gradient by lag, 0 to {lags} steps back (a bar of half the height: a {half}th)"
    return "\n".join([heading, *(_line(name, by_lag) for name, by_lag in norms.items())])


def _line(name: str, by_lag: ByLag) -> str:
    values = _floats(by_lag)
    largest = values[np.isfinite(values)].max(initial=0.0)
    shown = np.unique(np.linspace(0, len(values) - 1, COLUMNS).round().astype(int))
    bars = "".join(BLOCKS[_height(value, largest)] for value in values[shown].tolist())
    return f"  {name} {bars}  {_what_is_left(values, largest)}"


def _height(value: float, largest: float) -> int:
    """How full a bar is, from 0 to 8; one that is too large for a number is full."""
    if not np.isfinite(value):
        return 8
    if value <= 0:
        return 0
    return int(np.clip(np.ceil(8 * (1 + np.log10(value / largest) / DECADES)), 0, 8))


def _what_is_left(values: np.ndarray, largest: float) -> str:
    if not np.isfinite(values).all():
        return "too large for a number"
    if largest == 0:
        return "nothing"
    top = int(values.argmax())
    few = np.flatnonzero(values[top:] <= LEFT * largest)
    if len(few):
        return f"{100 * LEFT:g} % left after {top + int(few[0])}"
    return f"{values[-1] / largest:.0%} left after {len(values) - 1}".replace("%", " %")


def plot_flow(
    steps: Sequence[int],
    norms: Mapping[str, Sequence[ByLag]],
    path: str | Path,
    title: str = "",
) -> None:
    """Draw a run: training steps across, lags down, the norm as a colour on a logarithmic scale.

    steps: when it was looked. norms: for each tensor of the state, which gets a panel of its own,
    the norms by lag at each of these steps; there may be more lags at one than at another. Black is
    a millionth of the largest or less, grey nothing. The suffix of ``path`` says in which format.

    Raises DataError if there is nothing to draw or something does not fit, MissingDependencyError
    without matplotlib.
    """
    expect(len(steps) > 0 and norms, "plot_flow", "a look or more", "none", DataError)
    panels = {name: _map(name, by_step, len(steps)) for name, by_step in norms.items()}
    largest = max(np.nanmax(panel, initial=0.0) for panel in panels.values()) or 1.0
    figure = new_figure(8, 1.2 + 2.8 * len(panels))
    drawn = figure.subplots(len(panels), sharex=True, squeeze=False)[:, 0]
    for axes, (name, panel) in zip(drawn, panels.items(), strict=True):
        image = _draw(axes, steps, panel, largest)
        axes.set_ylabel(f"steps back, by {name}", fontsize="large")
    drawn[-1].set_xlabel("training step", fontsize="large")
    if title:
        drawn[0].set_title(title, parse_math=False)
    figure.colorbar(image, ax=list(drawn), label="norm of the gradient", extend="min")
    figure.savefig(path, dpi=120)


def _draw(axes: Any, steps: Sequence[int], panel: np.ndarray, largest: float) -> Any:
    from matplotlib import colormaps
    from matplotlib.colors import LogNorm

    colors = colormaps["viridis"].with_extremes(under="black", bad="lightgrey")
    scale = LogNorm(largest * SPAN, largest)
    edges = _edges(np.asarray(steps, dtype=float))
    image = axes.pcolormesh(edges, np.arange(len(panel) + 1) - 0.5, panel, cmap=colors, norm=scale)
    axes.invert_yaxis()
    axes.yaxis.get_major_locator().set_params(integer=True)
    return image


def _map(name: str, by_step: Sequence[ByLag], count: int) -> np.ndarray:
    """(lags, looks), NaN where there is no gradient."""
    expect(len(by_step) == count, "plot_flow", f"{name} at {count} steps", len(by_step), DataError)
    lags = max(map(len, by_step))
    expect(lags > 0, "plot_flow", f"lags of {name}", "none", DataError)
    panel = np.full((lags, count), np.nan)
    for column, by_lag in enumerate(by_step):
        values = _floats(by_lag)
        panel[: len(values), column] = np.where(values > 0, values, np.nan)
    finite = panel[np.isfinite(panel)].max(initial=1.0)
    return np.minimum(panel, finite)


def _edges(steps: np.ndarray) -> np.ndarray:
    """Where the columns of a map begin and end: half way from one step to the next; the map itself
    at the first step and the last."""
    if len(steps) == 1:
        return np.array([steps[0] - 0.5, steps[0] + 0.5])
    between = (steps[1:] + steps[:-1]) / 2
    return np.concatenate([steps[:1], between, steps[-1:]])


def _floats(by_lag: ByLag) -> np.ndarray:
    return np.array([np.inf if value is None else value for value in by_lag], dtype=float)
