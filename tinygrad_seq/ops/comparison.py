"""Comparisons and logic. Their results are masks, through which no gradient flows."""

from __future__ import annotations

import numpy as np

from tinygrad_seq.backend import xp_of
from tinygrad_seq.ops.primitive import Primitive, primitive
from tinygrad_seq.ops.sample import Booleans, Sample

_NUMBERS = [Sample((3, 4), (3, 4)), Sample((3, 4), (4,)), Sample((2, 3), 0.5)]
_MASKS = [Sample(Booleans((3, 4)), Booleans((3, 4))), Sample(Booleans((3, 4)), Booleans((4,)))]


def _pairwise(name: str, numpy: np.ufunc, samples: list[Sample], doc: str) -> Primitive:
    def forward(a, b):
        return getattr(xp_of(a, b), numpy.__name__)(a, b)

    forward.__doc__ = doc
    return primitive(name=name, numpy=numpy, samples=samples, nondiff=("a", "b"))(forward)


equal = _pairwise("equal", np.equal, _NUMBERS, "Where a = b, elementwise.")
not_equal = _pairwise("not_equal", np.not_equal, _NUMBERS, "Where a ≠ b, elementwise.")
less = _pairwise("less", np.less, _NUMBERS, "Where a < b, elementwise.")
less_equal = _pairwise("less_equal", np.less_equal, _NUMBERS, "Where a ≤ b, elementwise.")
greater = _pairwise("greater", np.greater, _NUMBERS, "Where a > b, elementwise.")
greater_equal = _pairwise("greater_equal", np.greater_equal, _NUMBERS, "Where a ≥ b, elementwise.")
bitwise_and = _pairwise("bitwise_and", np.bitwise_and, _MASKS, "Where both masks hold.")
bitwise_or = _pairwise("bitwise_or", np.bitwise_or, _MASKS, "Where either mask holds.")
bitwise_xor = _pairwise("bitwise_xor", np.bitwise_xor, _MASKS, "Where just one mask holds.")


@primitive(numpy=np.invert, samples=[Sample(Booleans((3, 4)))], nondiff=("x",))
def invert(x):
    """Where the mask does not hold."""
    return ~x


@primitive(numpy=np.isnan, samples=[Sample((3, 4))], nondiff=("x",))
def isnan(x):
    """Where x is not a number."""
    return xp_of(x).isnan(x)


@primitive(numpy=np.isinf, samples=[Sample((3, 4))], nondiff=("x",))
def isinf(x):
    """Where x is infinite, of either sign."""
    return xp_of(x).isinf(x)


@primitive(numpy=np.isfinite, samples=[Sample((3, 4))], nondiff=("x",))
def isfinite(x):
    """Where x is neither infinite nor not a number."""
    return xp_of(x).isfinite(x)
