"""Where in an image a model looked, patch by patch: as a picture, and as text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_seq.errors import DataError, MissingDependencyError, expect
from tinygrad_seq.viz.attention import SHADES


def plot_patches(image: Any, weights: Any, path: str | Path, title: str = "") -> None:
    """Draw an image, and beside it in shades of blue how much was looked at each of its patches.

    image (H, W): ink, numbers ≥ 0; weights (G, G'): numbers ≥ 0, as many rows and columns as there
    are patches, which divide H and W. Raises DataError if they do not fit, MissingDependencyError
    without matplotlib.
    """
    ink, shares = _checked(image, weights)
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError(
            "plots need matplotlib: pip install 'tinygrad-seq[plot]'"
        ) from error
    height, width = ink.shape
    figure = Figure(figsize=(10, 4.6), layout="constrained")
    FigureCanvasAgg(figure)  # draws without a display
    left, right = figure.subplots(1, 2, sharex=True, sharey=True)
    place = (-0.5, width - 0.5, height - 0.5, -0.5)
    left.imshow(ink, cmap="gray_r", vmin=0)
    found = right.imshow(shares, cmap="Blues", vmin=0, extent=place)
    right.contour(ink, [ink.max() / 2], colors="black", linewidths=1.2)
    for axes, words in ((left, "the image"), (right, "what was looked at")):
        for edges, line in (
            (np.linspace(-0.5, width - 0.5, shares.shape[1] + 1), axes.axvline),
            (np.linspace(-0.5, height - 0.5, shares.shape[0] + 1), axes.axhline),
        ):
            for edge in edges[1:-1].tolist():
                line(edge, color="gray", linewidth=0.5)
        axes.set_title(words)
        axes.set_xlabel("pixel column", fontsize="large")
    left.set_ylabel("pixel row", fontsize="large")
    if title:
        figure.suptitle(title, fontsize="x-large")
    figure.colorbar(found, ax=right, label="attention weight of a patch", shrink=0.9)
    figure.savefig(path, dpi=120)


def patch_blocks(image: Any, weights: Any) -> str:
    """The same as text: the image to the left, the weights to the right, a shaded block for two
    pixels above each other. The darkest shade stands for the largest value of each.

    Arguments and errors as in ``plot_patches``.

    >>> print(patch_blocks([[0, 9], [0, 9], [9, 0], [9, 0]], [[1], [3]]))
     █   ░░
    █    ██
    """
    ink, shares = _checked(image, weights)
    (height, width), (rows, columns) = ink.shape, shares.shape
    spread = shares.repeat(height // rows, 0).repeat(width // columns, 1)
    pairs = zip(_shaded(ink), _shaded(spread), strict=True)
    return "\n".join(f"{one}   {other}".rstrip() for one, other in pairs)


def _shaded(values: np.ndarray) -> list[str]:
    """Values (H, W) as ⌈H/2⌉ lines: a character of a terminal is twice as high as it is wide."""
    even = np.pad(values, ((0, len(values) % 2), (0, 0)), mode="edge")
    halved = (even[0::2] + even[1::2]) / 2
    levels = np.rint(halved / max(values.max(), 1e-300) * (len(SHADES) - 1)).astype(int)
    return ["".join(SHADES[level] for level in row) for row in levels]


def _checked(image: Any, weights: Any) -> tuple[np.ndarray, np.ndarray]:
    ink, shares = np.asarray(image, dtype=float), np.asarray(weights, dtype=float)
    for name, values in (("image", ink), ("weights", shares)):
        ok = values.ndim == 2 and values.size > 0
        expect(ok, "patches", f"{name} with rows and columns", values.shape, DataError)
        ok = bool(np.isfinite(values).all() and (values >= 0).all())
        expect(ok, "patches", f"finite {name} ≥ 0", f"{values.min()} … {values.max()}", DataError)
    ok = all(n % g == 0 for n, g in zip(ink.shape, shares.shape, strict=True))
    expect(ok, "patches", f"as many weights as divide {ink.shape}", shares.shape, DataError)
    return ink, shares
