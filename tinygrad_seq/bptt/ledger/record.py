"""The record of a run: what was computed at each step, and how each step is to blame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_seq.bptt.ledger.steps import Steps
from tinygrad_seq.bptt.ledger.truncation import Truncation, truncated
from tinygrad_seq.errors import ArgumentError, expect

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False, repr=False)
class Ledger:
    """Every number of backpropagation through time; made by ``bptt.ledger``.

    Time runs as in the textbook: t = 0 is before the first step, x_t enters at step t = 1 … T and
    gives h_t and L_t. Every array has T + 1 entries along each axis of time and is indexed by t
    itself; what does not exist at t = 0 is 0 there. All arrays are on the host, in the dtype of the
    states. B is the batch, H the width of a state, S that of all states together.

    Names of states: "h", and "c" of an LSTM; the other tensors of a user's state are "s1", "s2" …
    Layers upon each other have a suffix: "h_l0", "h_l1", "c_l0" …

    What is not among the fields is worked out when it is asked for, from the tape of the run. If
    the weights have been changed in place by then, that raises GraphError.
    """

    #: "RNN", "LSTM", "GRU", or "cell" for a user's own
    kind: str
    #: φ of an RNN: "tanh", "relu" or "sigmoid"; None for another kind
    nonlinearity: str | None
    #: x_t (T+1, B, D)
    inputs: np.ndarray
    #: name → the state at t (T+1, B, H)
    states: Arrays
    #: "i", "f", "g", "o" of an LSTM, "r", "z", "n" of a GRU (with the suffix of a layer), after
    #: their nonlinearities → (T+1, B, H); empty for another kind
    gates: Arrays
    #: L_t (T+1,), 0 where there is none; the loss that is differentiated is their sum L
    losses: np.ndarray
    #: name → C[s, t] = ∂L_s/∂(that state at t) (T+1, T+1, B, H), 0 for t > s: through all that the
    #: tensor itself feeds, the other states of its layer at t held. h_l0 at t feeds the layer above
    #: at t, and its own next step.
    credit: Arrays
    #: λ[s, t] (T+1, T+1, B, S): the derivative of L_s by the state after step t as what comes later
    #: sees it, all tensors side by side in the order of ``states``. λ[s, t−1] = λ[s, t] J_t. Where
    #: no layers stand upon each other, it is what ``credit`` holds.
    carried: np.ndarray
    #: parameter → what its use at step t adds to ∂L/∂θ (T+1, *θ.shape): in the recurrence at t and
    #: in L_t; at t = 0 in making the initial state
    shares: Arrays
    #: parameter → ∂L/∂θ, from one ordinary backward pass through the model; Σ_t shares[t] is equal
    grad: Arrays
    #: parameter → its values
    weights: Arrays
    #: Pascanu's bound on ‖J_t‖₂ (T+1,): ‖W_hh‖₂ · max|φ′|, for a plain RNN of one layer, or None
    #: (Pascanu, Mikolov and Bengio 2013, arXiv:1211.5063)
    bound: np.ndarray | None
    #: name of the cell → Π_{j=k+1…t} f_j at [t, k] (T+1, T+1, B, H), the direct path from c_k to
    #: c_t, 1 at t = k and 0 for t < k; of an LSTM, or None
    highway: Arrays | None
    #: the recorded steps, from which the rest is worked out
    _steps: Steps = field(kw_only=True)

    # ------------------------------------------------------------------ sizes and names

    @property
    def steps(self) -> int:
        """T, the number of steps."""
        return len(self.losses) - 1

    @property
    def batch(self) -> int:
        """B, the number of rows."""
        return int(self.inputs.shape[1])

    @property
    def loss(self) -> float:
        """L = Σ_t L_t."""
        return float(self.losses.sum())

    @property
    def slices(self) -> dict[str, slice]:
        """Where each state stands in the S numbers of ``carried`` and ``jacobians``."""
        widths = [state.shape[-1] for state in self.states.values()]
        ends = np.cumsum([0, *widths]).tolist()
        return {name: slice(ends[k], ends[k + 1]) for k, name in enumerate(self.states)}

    def __repr__(self) -> str:
        sizes = f"T={self.steps}, B={self.batch}, S={self.carried.shape[-1]}"
        return f"Ledger({self.kind}, {sizes}, L={self.loss:.6g})"

    # ------------------------------------------------------------------ what follows from it

    def delta(self, name: str = "h") -> np.ndarray:
        """∂L/∂(state at t) = Σ_s C[s, t], (T+1, B, H): the derivative by the state itself, where
        the δ_t of ``table`` and ``explain`` is that by the a_t within the nonlinearity.

        Raises ArgumentError for a name that is not among ``states``.
        """
        known = ", ".join(self.states)
        expect(name in self.credit, "delta", f"one of {known}", repr(name), ArgumentError)
        return self.credit[name].sum(axis=0)

    @cached_property
    def jacobians(self) -> np.ndarray:
        """J_t = ∂state_t/∂state_{t−1} of each row, all states side by side, (T+1, B, S, S).

        Raises ArgumentError if rows of the batch act on each other.
        """
        return self._steps.jacobians()

    @cached_property
    def singular_values(self) -> np.ndarray:
        """The singular values of J_t, largest first, (T+1, B, S); the first is ‖J_t‖₂. NaN where
        J_t is not finite."""
        jacobians, usable = _finite(self.jacobians)
        values = np.linalg.svd(jacobians, compute_uv=False)
        return np.where(usable[..., None], values, np.nan)

    @cached_property
    def spectral_radius(self) -> np.ndarray:
        """The largest |eigenvalue| of J_t, (T+1, B). NaN where J_t is not finite."""
        jacobians, usable = _finite(self.jacobians)
        radius = np.abs(np.linalg.eigvals(jacobians)).max(axis=-1)
        return np.where(usable, radius, np.nan)

    def jacobian_between(self, t: int, k: int) -> np.ndarray:
        """∂state_t/∂state_k = J_t … J_{k+1} of each row, (B, S, S); the identity for t = k.

        Raises ArgumentError unless 0 ≤ k ≤ t ≤ T.
        """
        self._expect_times("jacobian_between", t, k)
        product = np.broadcast_to(
            np.eye(self.carried.shape[-1], dtype=self.carried.dtype), self.jacobians.shape[1:]
        )
        for j in range(k + 1, t + 1):
            product = self.jacobians[j] @ product
        return product

    def bound_between(self, t: int, k: int) -> float | None:
        """Pascanu's bound on ‖∂state_t/∂state_k‖₂: the product of ``bound`` over the steps between;
        None where there is none. Raises ArgumentError unless 0 ≤ k ≤ t ≤ T."""
        self._expect_times("bound_between", t, k)
        return None if self.bound is None else float(np.prod(self.bound[k + 1 : t + 1]))

    def share(self, s: int, t: int) -> dict[str, np.ndarray]:
        """parameter → what L_s adds to ∂L/∂θ through its use at step t, shaped as θ.

        0 for t > s. At t = s this includes what the loss itself does with the parameter; at t = 0
        it is what goes through the making of the initial state. Σ_s of it is ``shares[t]``. Raises
        ArgumentError unless 0 ≤ s, t ≤ T.
        """
        for time in (s, t):
            self._expect_times("share", time, 0)
        return self._steps.share(self.carried, [s] if t <= s else [], t)

    def truncated(self, k1: int, k2: int) -> Truncation:
        """What TruncatedBPTT(k1, k2) would find with these weights, and what it misses.

        Raises ArgumentError unless k1 ≤ k2 are integers ≥ 1.
        """
        return truncated(self, k1, k2)

    def _expect_times(self, op: str, t: int, k: int) -> None:
        ok = all(isinstance(v, (int, np.integer)) for v in (t, k)) and 0 <= k <= t <= self.steps
        expected = f"times 0 ≤ k ≤ t ≤ {self.steps}"
        expect(ok, op, expected, f"t = {t!r}, k = {k!r}", ArgumentError)

    # ------------------------------------------------------------------ to read, to draw, to keep

    def table(self, digits: int = 4) -> str:
        """All of it as a table in the notation of the textbook, for small nets."""
        from tinygrad_seq.bptt.ledger.table import table

        return table(self, digits)

    def explain(self, t: int) -> str:
        """The chain rule of step t in symbols, and beside it in numbers."""
        from tinygrad_seq.bptt.ledger.explain import explain

        return explain(self, t)

    def latex(self, t: int | None = None) -> str:
        """The chain rule of step t, or of all steps, as LaTeX."""
        from tinygrad_seq.bptt.ledger.latex import latex

        return latex(self, t)

    def plot(self, path: str | Path | None = None) -> Any:
        """Draw the credit as a heat map, the gradient's norm by lag, the spectra of the Jacobians
        and the bias of truncation against k; → the figure. It is saved where a path is given."""
        from tinygrad_seq.viz.ledger import plot_ledger

        ks = range(1, self.steps + 1)
        cuts = [self.truncated(1, k) for k in ks]
        return plot_ledger(
            credit={n: np.linalg.norm(c, axis=3).mean(axis=2) for n, c in self.credit.items()},
            singular_values=self.singular_values,
            spectral_radius=self.spectral_radius,
            bound=self.bound,
            norm_ratio=[cut.norm_ratio for cut in cuts],
            cosine=[cut.cosine for cut in cuts],
            title=repr(self),
            path=path,
        )

    def to_csv(self, path: str | Path) -> None:
        """Write every number to a CSV file."""
        from tinygrad_seq.bptt.ledger.export import to_csv

        to_csv(self, path)

    def to_json(self, path: str | Path) -> None:
        """Write every number to a JSON file."""
        from tinygrad_seq.bptt.ledger.export import to_json

        to_json(self, path)


def _finite(jacobians: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The matrices with zeros in the place of those that are not finite, and which are."""
    usable = np.isfinite(jacobians).all(axis=(-2, -1))
    return np.where(usable[..., None, None], jacobians, 0), usable
