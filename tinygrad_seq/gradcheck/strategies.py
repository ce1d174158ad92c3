"""Hypothesis strategies for arrays: shapes, broadcasting pairs, memory layouts, dtypes.

Elements come from a seeded generator rather than one by one: a gradient check wants numbers in
general position, and shrinking the shape and the layout is what helps to understand a failure.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hypothesis.extra.numpy as npst
import numpy as np
from hypothesis import strategies as st

Layout = Callable[[np.ndarray], np.ndarray]


def _strided(a: np.ndarray) -> np.ndarray:
    """Every second element of a larger array."""
    big = np.repeat(a, 2, axis=-1) if a.ndim else np.repeat(a, 2)
    return big[..., ::2] if a.ndim else big[::2].reshape(())


def _reversed(a: np.ndarray) -> np.ndarray:
    """Negative strides along every axis."""
    every = (slice(None, None, -1),) * a.ndim
    return np.ascontiguousarray(a[every])[every].reshape(a.shape)


def _offset(a: np.ndarray) -> np.ndarray:
    """A window in the middle of a larger array."""
    return np.pad(a, 1)[(slice(1, -1),) * a.ndim]


def _repeated(a: np.ndarray) -> np.ndarray:
    """Stride 0 along the first axis: all its rows are one and the same memory."""
    return np.broadcast_to(a[:1], a.shape) if a.ndim and a.size else a


#: name → a view with the same shape (and the same elements, but for ``repeated``)
LAYOUTS: dict[str, Layout] = {
    "contiguous": lambda a: np.array(a, order="C"),
    "fortran": lambda a: np.array(a, order="F"),
    "strided": _strided,
    "reversed": _reversed,
    "offset": _offset,
    "repeated": _repeated,
}


def shapes(max_dims: int = 3, max_side: int = 4, min_side: int = 1) -> st.SearchStrategy[Any]:
    """Shapes from () up; with ``min_side=0`` empty ones too."""
    return npst.array_shapes(min_dims=0, max_dims=max_dims, min_side=min_side, max_side=max_side)


def broadcastable(
    count: int = 2, max_dims: int = 3, max_side: int = 3
) -> st.SearchStrategy[tuple[tuple[int, ...], ...]]:
    """Tuples of ``count`` shapes that broadcast against each other."""
    drawn = npst.mutually_broadcastable_shapes(
        num_shapes=count, max_dims=max_dims, min_side=1, max_side=max_side
    )
    return drawn.map(lambda found: found.input_shapes)


def dtypes() -> st.SearchStrategy[Any]:
    """The dtypes that gradients can have."""
    return st.sampled_from([np.dtype(np.float64), np.dtype(np.float32)])


def axes(ndim: int) -> st.SearchStrategy[Any]:
    """None, one axis or several, counted from either end."""
    if ndim == 0:
        return st.none()
    one = st.integers(-ndim, ndim - 1)
    several = st.sets(st.integers(0, ndim - 1), min_size=1).flatmap(
        lambda chosen: st.tuples(*(st.sampled_from([a, a - ndim]) for a in sorted(chosen)))
    )
    return st.none() | one | several


@st.composite
def arrays(
    draw: st.DrawFn,
    shape: Any = None,
    dtype: Any = np.float64,
    low: float | None = None,
    high: float = 1.0,
    layouts: tuple[str, ...] = tuple(LAYOUTS),
) -> np.ndarray:
    """Arrays in any layout: standard normal, or uniform in [low, high) if ``low`` is given.

    ``shape`` and ``dtype`` are values or strategies; ``shape`` None draws one.
    """
    if shape is None:
        shape = shapes()
    size = draw(shape) if isinstance(shape, st.SearchStrategy) else shape
    kind = draw(dtype) if isinstance(dtype, st.SearchStrategy) else dtype
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    numbers = rng.standard_normal(size) if low is None else rng.uniform(low, high, size)
    layout = LAYOUTS[draw(st.sampled_from(layouts))]
    return layout(np.asarray(numbers).astype(kind))


@st.composite
def pairs(draw: st.DrawFn, **kinds: Any) -> tuple[np.ndarray, np.ndarray]:
    """Two arrays that broadcast against each other; keywords as for ``arrays``."""
    a, b = draw(broadcastable(2))
    return draw(arrays(a, **kinds)), draw(arrays(b, **kinds))
