"""How a training run went, in one picture: losses above, gradient norm below.

Between them, where there is one, the share of answers that were right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_seq.errors import DataError
from tinygrad_seq.viz.canvas import new_figure

# Okabe and Ito's colours, which colour-blind readers tell apart; line styles differ as well.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#555555"
# Losses that span more than this factor are drawn on a logarithmic axis.
WIDE = 5
_STYLES = (":", "--", "-.", (0, (5, 1, 1, 1, 1, 1)))


@dataclass
class Curves:
    """What is drawn. Steps and values are sequences of equal length."""

    steps: Sequence[float]
    loss: Sequence[float]
    grad_norm: Sequence[float]
    validation_steps: Sequence[float] = ()
    validation: Sequence[float] = ()
    clip: float | None = None
    baselines: Mapping[str, float] = field(default_factory=dict)
    #: what the losses are measured in; nats get an axis of bits beside them
    unit: str = "nats per character"
    #: a share at each of ``validation_steps``, and what it is called
    shares: Sequence[float] = ()
    share: str = ""
    title: str = ""


def plot_curves(curves: Curves, path: str | Path) -> None:
    """Write the picture to ``path``; its ending says in which format.

    Raises MissingDependencyError without matplotlib, DataError if there is nothing to draw.
    """
    if len(curves.steps) == 0:
        raise DataError("plot_curves: there are no training steps to draw")
    heights = (5, 2, 2) if curves.shares else (5, 2)
    figure = new_figure(8, 2 + 0.65 * sum(heights))
    upper, *between, lower = figure.subplots(len(heights), sharex=True, height_ratios=heights)
    _draw_losses(upper, curves)
    for axes in between:
        _draw_shares(axes, curves)
    _draw_norms(lower, curves)
    if curves.title:
        upper.set_title(curves.title)
    figure.savefig(path, dpi=120)


def _draw_losses(axes: Any, curves: Curves) -> None:
    axes.plot(curves.steps, curves.loss, color=BLUE, linewidth=1, label="training")
    axes.plot(curves.validation_steps, curves.validation, color=ORANGE, marker="o", markersize=4,
              label="validation")  # fmt: skip
    for style, (name, loss) in zip(cycle(_STYLES), curves.baselines.items(), strict=False):
        axes.axhline(loss, color=GREY, linestyle=style, linewidth=1, label=f"{name}: {loss:.3f}")
    axes.set_ylabel(f"loss ({curves.unit})")
    drawn = [*curves.loss, *curves.validation]
    if min(drawn) > 0 and max(drawn) > WIDE * min(drawn):
        _use_log_axis(axes)
    else:
        axes.set_ylim(bottom=0)
    if curves.unit.startswith("nats"):
        bits = axes.secondary_yaxis("right", functions=(_to_bits, _to_nats))
        bits.set_ylabel(curves.unit.replace("nats", "bits"))
        if axes.get_yscale() == "log":
            _write_plainly(bits.yaxis)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")


def _draw_shares(axes: Any, curves: Curves) -> None:
    from matplotlib.ticker import PercentFormatter

    axes.plot(curves.validation_steps, curves.shares, color=ORANGE, marker="o", markersize=4)
    axes.set_ylabel(curves.share)
    axes.set_ylim(0, 1.02)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.grid(alpha=0.3)


def _draw_norms(axes: Any, curves: Curves) -> None:
    axes.plot(curves.steps, curves.grad_norm, color=GREEN, linewidth=1, label="before clipping")
    if curves.clip:
        axes.axhline(curves.clip, color=GREY, linestyle="--", linewidth=1,
                     label=f"clipped at {curves.clip:g}")  # fmt: skip
    _use_log_axis(axes)
    axes.set_ylabel("gradient norm")
    axes.set_xlabel("step")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")


def _use_log_axis(axes: Any) -> None:
    """A logarithmic axis."""
    axes.set_yscale("log")
    _write_plainly(axes.yaxis)


def _write_plainly(axis: Any) -> None:
    """Plain numbers on a logarithmic axis: 0.1 and not 10⁻¹."""
    from matplotlib.ticker import LogFormatter

    class Plain(LogFormatter):
        """Says as much as its base class, but without exponents."""

        def __call__(self, x: float, pos: Any = None) -> str:
            return f"{x:g}" if super().__call__(x, pos) else ""

    axis.set_major_formatter(Plain(minor_thresholds=(1.5, 0.5)))
    axis.set_minor_formatter(Plain(minor_thresholds=(1.5, 0.5)))


def _to_bits(nats: Any) -> Any:
    return np.asarray(nats) / np.log(2)


def _to_nats(bits: Any) -> Any:
    return np.asarray(bits) * np.log(2)
