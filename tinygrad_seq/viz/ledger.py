"""What a ledger says, in four panels: credit, gradient by lag, spectra, bias of truncation.

Every panel is a function of its own that draws into given axes, for notebooks that want one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_seq.errors import DataError, expect
from tinygrad_seq.viz.canvas import new_figure
from tinygrad_seq.viz.curves import BLUE, GREEN, GREY, ORANGE

# What is this much smaller than the largest is drawn as the smallest: it would stretch the scale.
DEEPEST = 1e-20
_LINES = (("-", "o"), ("--", "s"), ("-.", "^"), (":", "v"))


def plot_ledger(
    *,
    credit: Mapping[str, Any],
    singular_values: Any,
    spectral_radius: Any,
    norm_ratio: Any,
    cosine: Any,
    bound: Any = None,
    title: str = "",
    path: str | Path | None = None,
) -> Any:
    """The four panels in one matplotlib figure, which is returned; saved where a path is given.

    credit: name of a state → ‖∂L_s/∂(state at t)‖ at [s, t], (T+1, T+1), the mean over the batch;
    the heat map shows the first. singular_values (T+1, B, S), spectral_radius (T+1, B), bound
    (T+1,) or None: of the Jacobians, t = 0 is left out. norm_ratio, cosine (T,): of the gradient
    that a sliding window of k = 1 … T steps finds, against the full one.

    Raises DataError where shapes do not fit, MissingDependencyError without matplotlib.
    """
    figure = new_figure(11, 8)
    (upper, by_lag), (spectra, bias) = figure.subplots(2, 2)
    draw_credit(upper, credit)
    draw_lags(by_lag, credit)
    draw_spectra(spectra, singular_values, spectral_radius, bound)
    draw_truncation(bias, norm_ratio, cosine)
    if title:
        figure.suptitle(title, parse_math=False)
    if path is not None:
        figure.savefig(path, dpi=120)
    return figure


def draw_credit(axes: Any, credit: Mapping[str, Any]) -> None:
    """A heat map of ‖∂L_s/∂(state at t)‖ of the first state: s down, t across, t ≤ s, colours on a
    logarithmic scale. Grey is 0: the loss at s does not see that far, or there is none."""
    from matplotlib.colors import LogNorm

    name, norms = next(iter(_norms(credit).items()))
    times = len(norms)
    below = np.tril(np.ones((times, times), bool))
    below[0] = False  # there is no loss before the first step
    some = norms[below & (norms > 0) & np.isfinite(norms)]
    largest = some.max(initial=0.0) or 1.0
    smallest = max(some.min(initial=largest), largest * DEEPEST)
    if smallest == largest:
        smallest, largest = largest / 10, largest * 10
    axes.imshow(np.where(below, 0.0, np.nan), cmap="Greys", vmin=-0.4, vmax=1,
                interpolation="nearest")  # fmt: skip
    drawn = np.where(below & (norms > 0), np.clip(norms, smallest, largest), np.nan)
    image = axes.imshow(drawn, norm=LogNorm(smallest, largest), cmap="cividis",
                        interpolation="nearest")  # fmt: skip
    cut = "min" if some.min(initial=smallest) < smallest else "neither"
    label = f"‖∂L_s/∂({name} at t)‖; grey: 0"
    axes.figure.colorbar(image, ax=axes, label=label, shrink=0.85, extend=cut)
    axes.set_xlabel(f"t, the step of {name}")
    axes.set_ylabel("s, the step of the loss")
    axes.set_ylim(times - 0.5, 0.5)
    axes.set_title("credit: which loss answers to which step")
    _whole(axes.xaxis, axes.yaxis)


def draw_lags(axes: Any, credit: Mapping[str, Any]) -> None:
    """‖∂L_s/∂(state at t)‖ against s − t on a logarithmic axis: thin lines for single losses (of
    the first state), thick ones for each state's mean over the losses that there are."""
    every = _norms(credit)
    shown = False
    for k, (name, norms) in enumerate(every.items()):
        style, marker = _LINES[k % len(_LINES)]
        losses = [s for s in range(1, len(norms)) if norms[s, s::-1].any()]
        if k == 0:
            for s in losses:
                axes.plot(_positive(norms[s, s::-1]), color=BLUE, alpha=0.25, linewidth=1)
        means = _positive(lag_means(norms))
        shown |= bool(np.isfinite(means).any())
        colour = (BLUE, ORANGE, GREEN, GREY)[k % 4]
        axes.plot(means, style, color=colour, marker=marker, markersize=5, linewidth=2,
                  label=f"{name}, mean over losses")  # fmt: skip
    if shown:
        axes.set_yscale("log")
    axes.set_xlabel("lag s − t, in steps")
    axes.set_ylabel("‖∂L_s/∂state_t‖")
    axes.set_title("gradient by lag: fading, steady or growing")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    _whole(axes.xaxis)


def lag_means(norms: Any) -> np.ndarray:
    """(T+1, T+1) norms at [s, t] → their mean at each lag s − t = 0 … T over the losses that there
    are, (T+1,); 0 where no loss is so late."""
    array = np.asarray(norms, dtype=float)
    losses = [s for s in range(1, len(array)) if array[s, : s + 1].any()]
    means = np.zeros(len(array))
    for lag in range(len(array)):
        found = [array[s, s - lag] for s in losses if s >= lag]
        means[lag] = np.mean(found) if found else 0.0
    return means


def draw_spectra(axes: Any, singular_values: Any, spectral_radius: Any, bound: Any = None) -> None:
    """The singular values of J_t = ∂state_t/∂state_{t−1} at each step, the spectral radius, and
    Pascanu's bound where there is one. All below 1 fades, 1 keeps, above 1 may grow."""
    values = np.asarray(singular_values, dtype=float)
    radius = np.asarray(spectral_radius, dtype=float)
    ok = values.ndim == 3 and radius.shape == values.shape[:2] and len(values) > 1
    got = f"{values.shape} and {radius.shape}"
    expected = "singular_values (T+1, B, S) and spectral_radius (T+1, B)"
    expect(ok, "draw_spectra", expected, got, DataError)
    steps = np.arange(1, len(values))
    spread = np.broadcast_to(steps[:, None, None], values[1:].shape)
    axes.plot(spread.ravel(), _positive(values[1:]).ravel(), "o", color=BLUE, markersize=4,
              alpha=0.5, zorder=3, label="singular values")  # fmt: skip
    axes.plot(steps, _positive(radius[1:].max(axis=1)), "-s", color=ORANGE, markersize=6,
              linewidth=1.5, label="spectral radius (batch max)")  # fmt: skip
    if bound is not None:
        axes.plot(steps, np.asarray(bound, dtype=float)[1:], "--", color=GREEN, linewidth=2,
                  label="bound ‖W_hh‖·max|φ′|")  # fmt: skip
    axes.axhline(1, color=GREY, linestyle=":", linewidth=1.5, label="1: kept as it is")
    if np.isfinite(_positive(values[1:])).any():
        axes.set_yscale("log")
    axes.set_xlabel("step t")
    axes.set_ylabel("size")
    axes.set_title("Jacobians ∂state_t/∂state_{t−1}")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    _whole(axes.xaxis)


def draw_truncation(axes: Any, norm_ratio: Any, cosine: Any) -> None:
    """How much of the gradient a sliding window of k = 1 … T steps keeps (blue, left axis), and how
    far its direction is off (orange, right axis, 1 − cosine on a logarithmic scale)."""
    ratio, cosine = np.asarray(norm_ratio, dtype=float), np.asarray(cosine, dtype=float)
    ok = ratio.ndim == 1 and ratio.shape == cosine.shape and ratio.size > 0
    expected = "norm_ratio and cosine of shape (T,)"
    expect(ok, "draw_truncation", expected, f"{ratio.shape} and {cosine.shape}", DataError)
    windows = np.arange(1, len(ratio) + 1)
    (kept,) = axes.plot(windows, ratio, "-o", color=BLUE, markersize=5, label="norm ratio (left)")
    line = axes.axhline(1, color=GREY, linestyle=":", linewidth=1.5, label="full gradient (left)")
    axes.set_ylim(0, 1.05 * np.nanmax(ratio, initial=1.0))
    axes.set_xlim(0.5, len(ratio) + 0.5)
    if not np.isfinite(ratio).any():
        axes.text(0.5, 0.5, "there is no gradient", transform=axes.transAxes, ha="center")
    axes.set_xlabel("k, the steps that each loss is carried back through")
    axes.set_ylabel("‖g_k‖ / ‖g‖", color=BLUE)
    axes.set_title("truncation by a sliding window (k1 = 1, k2 = k)")
    right = axes.twinx()
    # What is left of 1 − cosine by rounding alone says nothing.
    off = np.where(1 - cosine > 1e-15, 1 - cosine, np.nan)
    (turned,) = right.plot(windows, off, "--s", color=ORANGE, markersize=5,
                           label="1 − cosine (right)")  # fmt: skip
    right.set_ylabel("1 − cosine(g_k, g)", color=ORANGE)
    if np.isfinite(off).any():
        right.set_yscale("log")
    else:
        right.set_ylim(0, 1)
    axes.grid(alpha=0.3)
    axes.legend(handles=[kept, turned, line], fontsize="small", loc="best")
    _whole(axes.xaxis)


def _norms(credit: Mapping[str, Any]) -> dict[str, np.ndarray]:
    norms = {str(name): np.asarray(part, dtype=float) for name, part in credit.items()}
    expect(norms, "plot_ledger", "the credit of a state or more", "none", DataError)
    for name, part in norms.items():
        ok = part.ndim == 2 and part.shape[0] == part.shape[1] >= 2
        expect(ok, "plot_ledger", f"credit of {name} (T+1, T+1), T ≥ 1", part.shape, DataError)
    return norms


def _positive(values: np.ndarray) -> np.ndarray:
    """What a logarithmic axis can show; a gap in the place of the rest."""
    return np.where(np.isfinite(values) & (values > 0), values, np.nan)


def _whole(*many: Any) -> None:
    for axis in many:
        axis.get_major_locator().set_params(integer=True)
