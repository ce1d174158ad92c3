"""How an op says what it can be tried on: sample inputs, and inputs that must be refused.

A sample is written with shapes, not numbers: ``Sample((3, 4), (4,), axis=0)`` stands for two
standard-normal arrays and a parameter. Tests, gradient checks, benchmarks and the op table all
draw their arrays from here, on the host and in the dtype they want.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Uniform:
    """Real numbers in [low, high): for ops with a domain, or that are steep elsewhere."""

    shape: Shape
    low: float = 0.0
    high: float = 1.0

    def draw(self, rng: np.random.Generator, dtype: Any) -> np.ndarray:
        return np.asarray(rng.uniform(self.low, self.high, self.shape)).astype(dtype)


@dataclass(frozen=True)
class Integers:
    """Whole numbers in [low, high): indices, labels, lengths."""

    shape: Shape
    low: int
    high: int

    def draw(self, rng: np.random.Generator, dtype: Any) -> np.ndarray:
        return np.asarray(rng.integers(self.low, self.high, self.shape))


@dataclass(frozen=True)
class Booleans:
    """A mask, true with probability ``p``."""

    shape: Shape
    p: float = 0.5

    def draw(self, rng: np.random.Generator, dtype: Any) -> np.ndarray:
        return np.asarray(rng.random(self.shape) < self.p)


def _draw(spec: Any, rng: np.random.Generator, dtype: Any) -> Any:
    if isinstance(spec, tuple):
        return np.asarray(rng.standard_normal(spec)).astype(dtype)
    if isinstance(spec, (Uniform, Integers, Booleans)):
        return spec.draw(rng, dtype)
    if isinstance(spec, list):
        return [_draw(item, rng, dtype) for item in spec]
    return spec  # a literal: a number, an array, None


class Sample:
    """One call of an op. A tuple among ``args`` is the shape of a standard-normal array;
    ``Uniform``, ``Integers`` and ``Booleans`` draw otherwise; all else is passed as it is."""

    def __init__(self, *args: Any, **params: Any):
        self.args = args
        self.params = params

    def draw(self, seed: int = 0, dtype: Any = np.float64) -> tuple[list[Any], dict[str, Any]]:
        """Positional arguments (host arrays and literals) and keyword parameters."""
        rng = np.random.default_rng(seed)
        args = [_draw(spec, rng, dtype) for spec in self.args]
        return args, {
            k: v.draw(rng, dtype) if hasattr(v, "draw") else v for k, v in self.params.items()
        }

    def __repr__(self) -> str:
        inside = [str(a) for a in self.args] + [f"{k}={v!r}" for k, v in self.params.items()]
        return f"({', '.join(inside)})"


class Bad(Sample):
    """A call that must raise ``error`` with a message that names the op and contains ``match``."""

    def __init__(self, error: type[Exception], match: str, *args: Any, **params: Any):
        super().__init__(*args, **params)
        self.error = error
        self.match = match
