"""Heat maps of activations: a row for each unit, a column for each step of time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_seq.errors import ArgumentError, DataError, expect
from tinygrad_seq.viz.canvas import DIVERGING, new_figure
from tinygrad_seq.viz.characters import sign

# More labels than this below a picture could not be read: steps are numbered instead.
MOST_LABELS = 120


def plot_activations(
    values: Any,
    path: str | Path,
    *,
    labels: Sequence[str] | None = None,
    title: str = "",
    first: int = 0,
) -> None:
    """Draw activations over time, blue where negative, white at 0, red where positive.

    values (T, H): T steps of H units, or a mapping of names to such arrays (the gates of an LSTM:
    ``gate_panels``), each drawn in a panel of its own below the one before; H may differ. All
    panels have one scale, symmetric around 0, up to the largest size there is. labels: what came in
    at each of the T steps, a text is as many labels as it has characters. first: the number of the
    first unit. The suffix of ``path`` says in which format.

    Raises DataError if there is nothing to draw, or shapes or labels do not fit, or a value is not
    finite; MissingDependencyError without matplotlib.
    """
    panels = _checked(values)
    steps = len(next(iter(panels.values())))
    got = 0 if labels is None else len(labels)
    expect(labels is None or got == steps, "plot_activations", f"{steps} labels", got, DataError)
    limit = max(float(np.abs(part).max()) for part in panels.values()) or 1.0
    most = max(1.0, 8 / len(panels))
    heights = [min(max(1.0, 0.16 * part.shape[1]), most) for part in panels.values()]
    width = max(5.0, min(2.2 + 0.16 * steps, 16.0))
    figure = new_figure(width, 1.0 + sum(heights) + 0.3 * len(heights))
    drawn = figure.subplots(len(panels), sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (name, part) in zip(drawn, panels.items(), strict=True):
        place = (-0.5, steps - 0.5, first + part.shape[1] - 0.5, first - 0.5)
        image = axes.imshow(part.T, cmap=DIVERGING, vmin=-limit, vmax=limit, aspect="auto",
                            interpolation="nearest", extent=place)  # fmt: skip
        axes.set_ylabel(f"unit of {name}" if name else "unit", fontsize="large")
        axes.yaxis.get_major_locator().set_params(integer=True)
    _label_time(drawn[-1], steps, labels)
    if title:
        drawn[0].set_title(title, parse_math=False)
    figure.colorbar(image, ax=list(drawn), label="activation", aspect=max(10, 5 * sum(heights)))
    figure.savefig(path, dpi=120)


def gate_panels(gates: Any, names: str = "ifgo") -> dict[str, np.ndarray]:
    """Gates that lie side by side, (T, K·H), as K arrays (T, H) by their one-letter names.

    names: "ifgo" of an LSTM, "rzn" of a GRU, in the order of the layer's weights. Raises
    ArgumentError if the columns cannot be shared out evenly.
    """
    array = np.asarray(gates)
    ok = array.ndim == 2 and len(names) > 0 and array.shape[1] % len(names) == 0
    expected = f"gates of shape (T, {len(names)}·H) for {names!r}"
    expect(ok, "gate_panels", expected, array.shape, ArgumentError)
    return dict(zip(names, np.split(array, len(names), axis=1), strict=True))


def _checked(values: Any) -> dict[str, np.ndarray]:
    """The panels by name, as floats."""
    named = values if isinstance(values, Mapping) else {"": values}
    panels = {str(name): np.asarray(part, dtype=float) for name, part in named.items()}
    expect(panels, "plot_activations", "an array or more", "none", DataError)
    steps = next(iter(panels.values())).shape[:1]
    for name, part in panels.items():
        what = f"{name} of shape (T, H), T and H ≥ 1" if name else "shape (T, H), T and H ≥ 1"
        ok = part.ndim == 2 and part.size > 0
        expect(ok, "plot_activations", what, part.shape, DataError)
        same = part.shape[:1] == steps
        expect(same, "plot_activations", f"{name} of {steps[0]} steps", len(part), DataError)
        finite = bool(np.isfinite(part).all())
        expect(finite, "plot_activations", "finite values", "NaN or infinity", DataError)
    return panels


def _label_time(axes: Any, steps: int, labels: Sequence[str] | None) -> None:
    """What came in below each column, or the numbers of the steps where that is too much."""
    if labels is None or steps > MOST_LABELS:
        axes.set_xlabel("step", fontsize="large")
        axes.xaxis.get_major_locator().set_params(integer=True)
        return
    upright = max(map(len, labels)) == 1
    axes.set_xticks(range(steps), list(map(sign, labels)), rotation=0 if upright else 90)
    for label in axes.get_xticklabels():
        label.set(fontfamily="monospace", parse_math=False)  # a dollar is a dollar
    axes.tick_params(axis="x", length=0)
    axes.set_xlabel("input", fontsize="large")
