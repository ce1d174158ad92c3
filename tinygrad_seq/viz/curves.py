"""How a training run went, in one picture: losses above, gradient norm below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_seq.errors import DataError, MissingDependencyError

# Okabe and Ito's colours, which colour-blind readers tell apart; line styles differ as well.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#555555"
_STYLES = (":", "--", "-.", (0, (5, 1, 1, 1, 1, 1)))


@dataclass
class Curves:
    """What is drawn. Steps and values are sequences of equal length; losses in nats."""

    steps: Sequence[float]
    loss: Sequence[float]
    grad_norm: Sequence[float]
    validation_steps: Sequence[float] = ()
    validation: Sequence[float] = ()
    clip: float | None = None
    baselines: Mapping[str, float] = field(default_factory=dict)
    title: str = ""


def plot_curves(curves: Curves, path: str | Path) -> None:
    """Write the picture to ``path``; its ending says in which format.

    Raises MissingDependencyError without matplotlib, DataError if there is nothing to draw.
    """
    if len(curves.steps) == 0:
        raise DataError("plot_curves: there are no training steps to draw")
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError(
            "plots need matplotlib: pip install 'tinygrad-seq[plot]'"
        ) from error
    figure = Figure(figsize=(8, 6.5), layout="constrained")
    FigureCanvasAgg(figure)  # draws without a display
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(5, 2))
    _draw_losses(upper, curves)
    _draw_norms(lower, curves)
    if curves.title:
        upper.set_title(curves.title)
    figure.savefig(path, dpi=120)


def _draw_losses(axes: Any, curves: Curves) -> None:
    axes.plot(curves.steps, curves.loss, color=BLUE, linewidth=1, label="training")
    axes.plot(curves.validation_steps, curves.validation, color=ORANGE, marker="o", markersize=4,
              label="validation")  # fmt: skip
    for style, (name, loss) in zip(_STYLES, curves.baselines.items(), strict=False):
        axes.axhline(loss, color=GREY, linestyle=style, linewidth=1, label=f"{name}: {loss:.3f}")
    axes.set_ylabel("loss (nats per character)")
    bits = axes.secondary_yaxis("right", functions=(_to_bits, _to_nats))
    bits.set_ylabel("bits per character")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()


def _draw_norms(axes: Any, curves: Curves) -> None:
    axes.plot(curves.steps, curves.grad_norm, color=GREEN, linewidth=1, label="before clipping")
    if curves.clip:
        axes.axhline(curves.clip, color=GREY, linestyle="--", linewidth=1,
                     label=f"clipped at {curves.clip:g}")  # fmt: skip
    axes.set_yscale("log")
    axes.set_ylabel("gradient norm")
    axes.set_xlabel("step")
    axes.grid(alpha=0.3)
    axes.legend()


def _to_bits(nats: Any) -> Any:
    return np.asarray(nats) / np.log(2)


def _to_nats(bits: Any) -> Any:
    return np.asarray(bits) * np.log(2)
