"""What truncation keeps of a gradient, and what it misses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tinygrad_seq.bptt.truncated import TruncatedBPTT

if TYPE_CHECKING:
    from tinygrad_seq.bptt.ledger.record import Ledger


@dataclass(frozen=True, eq=False, repr=False)
class Truncation:
    """The gradient that truncated backpropagation through time finds, beside the full one.

    mask (T+1, T+1): which ∂L_s/∂(state at t) survive, at [s, t]. grad: parameter → the gradient
    that is left. full: parameter → the whole gradient.
    """

    k1: int
    k2: int
    mask: np.ndarray
    grad: Mapping[str, np.ndarray]
    full: Mapping[str, np.ndarray]

    @property
    def norm_ratio(self) -> float:
        """|g_k| / |g| over all parameters: 1 if nothing is lost. NaN where the gradient is 0."""
        return _ratio(_joined(self.grad), _joined(self.full))

    @property
    def cosine(self) -> float:
        """The cosine of the angle between g_k and g over all parameters: 1 if the direction is
        right, below 0 if it leads uphill. NaN where either is 0."""
        return _cosine(_joined(self.grad), _joined(self.full))

    @property
    def norm_ratios(self) -> dict[str, float]:
        """``norm_ratio`` of each parameter by itself."""
        return {name: _ratio(g, self.full[name]) for name, g in self.grad.items()}

    @property
    def cosines(self) -> dict[str, float]:
        """``cosine`` of each parameter by itself."""
        return {name: _cosine(g, self.full[name]) for name, g in self.grad.items()}

    def __repr__(self) -> str:
        sizes = f"norm ratio {self.norm_ratio:.4g}, cosine {self.cosine:.4g}"
        return f"Truncation(k1={self.k1}, k2={self.k2}, {sizes})"


def surviving(steps: int, k1: int, k2: int) -> np.ndarray:
    """Which ∂L_s/∂(state at t) truncation keeps, (T+1, T+1) booleans at [s, t].

    The losses of steps a + 1 … a + k1 are differentiated together, through the steps after
    w = max(0, a + k1 − k2); the state at w is held constant, unless it is the initial one.
    """
    mask = np.zeros((steps + 1, steps + 1), bool)
    for s in range(1, steps + 1):
        last = (s - 1) // k1 * k1 + k1
        w = max(0, last - k2)
        mask[s, w + 1 if w else 0 : s + 1] = True
    return mask


def truncated(ledger: Ledger, k1: int, k2: int) -> Truncation:
    """The gradient of TruncatedBPTT(k1, k2) with fixed weights.

    The gradient is linear in λ, so each step needs one backward pass: that of the sum over those
    losses that reach it.
    """
    TruncatedBPTT(k1, k2)  # refuses what is out of range
    mask = surviving(ledger.steps, k1, k2)
    found = {name: np.zeros_like(g) for name, g in ledger.grad.items()}
    for t in range(ledger.steps + 1):
        part = ledger._steps.share(ledger.carried, np.flatnonzero(mask[:, t]), t)
        for name, g in part.items():
            found[name] += g
    return Truncation(k1, k2, mask, found, ledger.grad)


def _joined(gradient: Mapping[str, np.ndarray]) -> np.ndarray:
    return np.concatenate([np.zeros(0), *(g.ravel() for g in gradient.values())])


def _ratio(part: np.ndarray, whole: np.ndarray) -> float:
    largest = np.abs(whole).max(initial=0.0)
    if not largest:
        return float("nan")
    return float(np.linalg.norm(part / largest) / np.linalg.norm(whole / largest))


def _cosine(part: np.ndarray, whole: np.ndarray) -> float:
    units = []
    for g in (part, whole):
        largest = np.abs(g).max(initial=0.0)
        if not largest:
            return float("nan")
        g = g / largest  # squares of huge or tiny numbers would leave the range of floats
        units.append(g / np.linalg.norm(g))
    return float(np.clip(np.vdot(*units), -1, 1))
