"""Hypothesis strategies for checking ops and layers of your own.

Raw arrays: ``shapes``, ``broadcastable``, ``axes``, ``dtypes``, ``arrays``, ``pairs``. Tensors:
``tensors``, ``inputs`` (several whose sizes fit), ``sequences`` (padded, with lengths), and
``samples``, what an op declares of itself. A check of an op with a kink at 0::

    @given(some.inputs(("n", "k"), ("k",), avoid=0.0, device=some.devices()))
    def test_scaled_relu(inputs):
        tg.gradcheck(scaled_relu, inputs)

Elements come from a seeded generator rather than one by one: a gradient check wants numbers in
general position, and shrinking the shape and the layout is what helps to understand a failure.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import hypothesis.extra.numpy as npst
import numpy as np
from hypothesis import strategies as st

from tinygrad_seq.autograd import Tensor
from tinygrad_seq.backend import as_device, transfer
from tinygrad_seq.errors import ArgumentError, expect
from tinygrad_seq.gradcheck.suite import Call, call_of
from tinygrad_seq.ops.primitive import Primitive

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


def devices() -> st.SearchStrategy[str]:
    """``"cpu"``, and ``"strict"``, which refuses what a GPU would refuse."""
    return st.sampled_from(["cpu", "strict"])


def _drawn(draw: st.DrawFn, value: Any) -> Any:
    """``value``, or what it gives if it is a strategy."""
    return draw(value) if isinstance(value, st.SearchStrategy) else value


@st.composite
def arrays(
    draw: st.DrawFn,
    shape: Any = None,
    dtype: Any = np.float64,
    low: float | None = None,
    high: float = 1.0,
    layouts: tuple[str, ...] = tuple(LAYOUTS),
    avoid: float | tuple[float, ...] = (),
    margin: float = 0.1,
) -> np.ndarray:
    """Arrays in any layout: standard normal, or uniform in [low, high) if ``low`` is given.

    ``shape`` and ``dtype`` are values or strategies; ``shape`` None draws one. No element is within
    ``margin`` of a number in ``avoid``: the places where the function has a kink, a pole or a jump.

    >>> arrays((3,), low=0.5, high=2.0)  # where a logarithm is safe
    arrays(shape=(3,), low=0.5, high=2.0)
    """
    size = _drawn(draw, shapes() if shape is None else shape)
    kind = _drawn(draw, dtype)
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))

    def numbers(count: Any) -> np.ndarray:
        found = rng.standard_normal(count) if low is None else rng.uniform(low, high, count)
        return np.asarray(found)

    layout = LAYOUTS[draw(st.sampled_from(layouts))]
    return layout(_clear(numbers(size), numbers, np.atleast_1d(avoid), margin).astype(kind))


def _clear(
    numbers: np.ndarray, more: Callable[[int], np.ndarray], avoid: np.ndarray, margin: float
) -> np.ndarray:
    """``numbers`` with those too near to what is avoided drawn again."""
    for _ in range(200):
        near = (np.abs(numbers[..., None] - avoid) < margin).any(axis=-1)
        if not near.any():
            return numbers
        numbers = np.where(near, more(numbers.size).reshape(numbers.shape), numbers)
    where = f"numbers at least {margin} from {avoid.tolist()} to be likely in that range"
    raise ArgumentError(f"strategies: expected {where}, got none in 200 draws")


@st.composite
def pairs(draw: st.DrawFn, **kinds: Any) -> tuple[np.ndarray, np.ndarray]:
    """Two arrays that broadcast against each other; keywords as for ``arrays``."""
    a, b = draw(broadcastable(2))
    return draw(arrays(a, **kinds)), draw(arrays(b, **kinds))


@st.composite
def tensors(draw: st.DrawFn, shape: Any = None, device: Any = "cpu", **kinds: Any) -> Tensor:
    """``arrays`` as Tensors on ``device``, a name or a strategy; the other keywords are its own.

    >>> positive = tensors(low=0.1, high=3.0)
    >>> between_0_and_1 = tensors(low=0.05, high=0.95)
    >>> off_the_kinks = tensors((4, 3), avoid=(-1.0, 1.0), margin=0.2)
    """
    return _on(draw(arrays(shape, **kinds)), _drawn(draw, device))


def _on(array: np.ndarray, device: str) -> Tensor:
    return Tensor(transfer(array, as_device(device)))


@st.composite
def inputs(
    draw: st.DrawFn, *specs: Any, max_side: int = 4, device: Any = "cpu", dtype: Any = np.float64,
    **kinds: Any,
) -> tuple[Any, ...]:  # fmt: skip
    """What to call a function with: for each spec an argument, on one device and in one dtype.

    A tuple is the shape of a Tensor as ``tensors`` draws it. Its sizes are numbers or names; the
    same name is the same size everywhere, from 1 to ``max_side``. Anything else is passed on: a
    value as it is, a strategy drawn.

    >>> for_a_matrix_product = inputs(("n", "k"), ("k", "m"))
    >>> with_an_axis = inputs((3, "n"), st.sampled_from([0, -1]))
    """
    place, kind = _drawn(draw, device), _drawn(draw, dtype)
    sides: dict[str, int] = {}

    def size(side: Any) -> int:
        if isinstance(side, str) and side not in sides:
            sides[side] = draw(st.integers(1, max_side), label=side)
        return sides[side] if isinstance(side, str) else int(side)

    return tuple(
        draw(tensors(tuple(map(size, spec)), device=place, dtype=kind, **kinds))
        if isinstance(spec, tuple)
        else _drawn(draw, spec)
        for spec in specs
    )


class Sequences(NamedTuple):
    """Padded sequences: ``x`` (T, B, D), zero from ``lengths[b]`` on; the longest has T steps."""

    x: Tensor
    lengths: list[int]


@st.composite
def sequences(
    draw: st.DrawFn, max_steps: int = 5, max_batch: int = 3, features: int | None = None,
    batch_first: bool = False, device: Any = "cpu", **kinds: Any,
) -> Sequences:  # fmt: skip
    """``Sequences`` of 1 to ``max_steps`` steps; ``features`` None draws D from 1 to 4.

    With ``batch_first`` x is (B, T, D). The other keywords are those of ``arrays``.

    >>> for_a_layer = sequences(features=3, dtype=np.float32)
    """
    expect(max_steps > 0 and max_batch > 0, "sequences", "max_steps and max_batch ≥ 1",
           (max_steps, max_batch), ArgumentError)  # fmt: skip
    batch, steps = draw(st.integers(1, max_batch)), draw(st.integers(1, max_steps))
    lengths = draw(st.lists(st.integers(1, steps), min_size=batch, max_size=batch))
    lengths[draw(st.integers(0, batch - 1))] = steps
    width = draw(st.integers(1, 4)) if features is None else features
    x = draw(arrays((steps, batch, width), **kinds))
    real = np.arange(steps)[:, None] < np.array(lengths)  # (T, B)
    x = np.where(real[..., None], x, x.dtype.type(0))
    return Sequences(_on(x.swapaxes(0, 1) if batch_first else x, _drawn(draw, device)), lengths)


@st.composite
def samples(draw: st.DrawFn, op: Primitive, device: Any = "cpu") -> Call:
    """One of the samples that an op declares, with numbers of its own → ``.fn`` and ``.inputs``.

    ``tg.gradcheck(call.fn, call.inputs)`` then checks the op by what it says of itself. Samples
    without a floating input that a gradient reaches are left out.
    """
    expect(op.samples, f"samples({op.name})", "an op that declares samples", "none", ArgumentError)
    place, seed = _drawn(draw, device), draw(st.integers(0, 2**16))
    calls = [call_of(op, sample, place, seed) for sample in op.samples]
    usable = [call for call in calls if call.inputs]
    expect(usable, f"samples({op.name})", "a sample that can be differentiated", "none",
           ArgumentError)  # fmt: skip
    return draw(st.sampled_from(usable))
