"""A figure that is drawn into a file, without a display; and the diverging colours of signed maps.

Blue stands for negative, white for zero, red for positive: told apart by colour-blind readers, and
by their darkness from zero.
"""

from __future__ import annotations

from typing import Any

from tinygrad_seq.errors import MissingDependencyError

#: matplotlib's name of the map from blue over white to red
DIVERGING = "RdBu_r"


def new_figure(width: float, height: float) -> Any:
    """An empty matplotlib figure of this size, in inches.

    Raises MissingDependencyError without matplotlib.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError(
            "plots need matplotlib: pip install 'tinygrad-seq[plot]'"
        ) from error
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure
