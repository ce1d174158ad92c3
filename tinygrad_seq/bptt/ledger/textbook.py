"""The words in which a ledger is read out: equations of a layer, each with all its numbers.

One vocabulary for the table, the explanation and LaTeX. An ``Equation`` says that a quantity is a
sum of products of others. ``general`` gives those that hold for every model; those that the books
write for an RNN, LSTM or GRU are in ``forms``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from tinygrad_seq.bptt.ledger.record import Ledger

#: how far from each other two ways to the same number may end, in units of rounding
ROUNDINGS = 1e4


@dataclass(frozen=True)
class Term:
    """A quantity at every step: ``values`` (T+1, B, n), which mean something from ``first`` to
    ``last``. In its symbol [t], [t-1] and [t+1] stand for times."""

    symbol: str
    values: np.ndarray
    first: int = 1
    last: int | None = None

    def exists(self, t: int) -> bool:
        """Whether there is such a thing at step t."""
        last = len(self.values) - 1 if self.last is None else self.last
        return self.first <= t <= last


Products = Sequence[Sequence[Term]]


@dataclass(frozen=True)
class Equation:
    """left = Σ Π terms, elementwise. A product that does not exist at a step is not written."""

    left: Term
    right: Products

    def products(self, t: int) -> list[Sequence[Term]]:
        """Those that there are at step t."""
        return [product for product in self.right if all(term.exists(t) for term in product)]

    def holds(self, t: int) -> bool:
        """Whether the right side gives the left at step t, but for rounding."""
        left = self.left.values[t]
        total, scale = np.zeros_like(left), 0.0
        for product in self.products(t):
            value = np.ones_like(left)
            for term in product:
                value = value * term.values[t]
            total = total + value
            scale = max(scale, float(np.abs(value).max(initial=0.0)))
        return agree(total, left, scale)


@dataclass(frozen=True)
class Outer:
    """What a step adds to a parameter: Σ over the batch of left rightᵀ, or of left where there is
    no right; pieces of a parameter lie one below the other."""

    symbol: str
    #: what the books call the parameter, and its name in the ledger
    target: str
    parameter: str
    pieces: Sequence[tuple[np.ndarray, np.ndarray | None]]

    def value(self, t: int) -> np.ndarray:
        """It at step t, shaped as the parameter."""
        found = [
            left[t].sum(axis=0) if right is None else left[t].T @ right[t]
            for left, right in self.pieces
        ]
        return np.concatenate(found)


@dataclass(frozen=True)
class Layer:
    """One layer, read out. ``form``: "RNN", "LSTM" or "GRU" where the books' equations hold, ""
    where only the general ones do."""

    form: str
    suffix: str
    forward: Sequence[Equation]
    backward: Sequence[Equation]
    outers: Sequence[Outer]
    #: what a table shows: what is computed forwards, what backwards
    seen: Sequence[Term]
    back: Sequence[Term]
    #: the letters of the gates, in the order of the weights' rows
    gates: str = ""
    #: what else there is to know of the symbols
    note: str = ""

    def holds(self, ledger: Ledger) -> bool:
        """Whether the equations give this ledger's states, what it carries back, and its shares."""
        times = range(ledger.steps + 1)
        for equation in self.equations():
            if not all(equation.holds(t) for t in times if equation.left.exists(t)):
                return False
        sums = {o.parameter: np.stack([o.value(t) for t in times]) for o in self.outers}
        return all(agree(share, ledger.shares[name]) for name, share in sums.items())

    def equations(self) -> Iterator[Equation]:
        """All, the forward ones first."""
        yield from self.forward
        yield from self.backward


# ---------------------------------------------------------------------- symbols


def at(symbol: str, t: int | None = None) -> str:
    """A symbol at step t, or at any.

    >>> at("W_hhᵀδ_[t+1]"), at("W_hhᵀδ_[t+1]", 3)
    ('W_hhᵀδ_{t+1}', 'W_hhᵀδ_4')
    """
    for written, shift, any_time in (
        ("[t-1]", -1, "{t−1}"),
        ("[t]", 0, "t"),
        ("[t+1]", 1, "{t+1}"),
    ):
        symbol = symbol.replace(written, any_time if t is None else str(t + shift))
    return symbol


def mark(suffix: str) -> str:
    """How a layer is marked in symbols.

    >>> mark("_l12"), mark("")
    ('¹²', '')
    """
    return suffix[2:].translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))


def suffixes(ledger: Ledger) -> list[str]:
    """Of the states' names: "_l0", "_l1" … for layers upon each other, else ""."""
    if ledger.kind == "cell":
        return [""]
    return [name[1:] for name in ledger.states if name[0] == "h"]


def states_of(ledger: Ledger, suffix: str) -> dict[str, str]:
    """The names of a layer's states → their symbols."""
    if ledger.kind == "cell":
        return {name: f"{name}_[t]" for name in ledger.states}
    own = [name for name in ledger.states if name[1:] == suffix]
    return {name: f"{name[0]}{mark(suffix)}_[t]" for name in own}


def alike(ledger: Ledger) -> list[list[str]]:
    """The names of the parameters, those of equal shares together, as the biases of an RNN."""
    groups: list[list[str]] = []
    for name, share in ledger.shares.items():
        same = (g for g in groups if np.array_equal(ledger.shares[g[0]], share) and "bias" in name)
        group = next(same, None)
        if group is None:
            groups.append([name])
        else:
            group.append(name)
    return groups


# ---------------------------------------------------------------------- what always holds


def general(ledger: Ledger, suffix: str) -> Layer:
    """∂L/∂state_t = by L_t itself + by the layer above + what step t+1 hands back."""
    seen, backward, back = [], [], []
    for name, gate in ledger.gates.items():
        if name[1:] == suffix:
            seen.append(Term(f"{name[0]}{mark(suffix)}_[t]", gate))
    for name, symbol in states_of(ledger, suffix).items():
        seen.append(Term(symbol, ledger.states[name], first=0))
        handed = parts(ledger, name)[1]
        later = Term(f"from the next step to {symbol}", handed, first=0, last=ledger.steps - 1)
        found = arrives(ledger, name, symbol, [[later]])
        backward.append(found)
        back += [term for product in found.right for term in product] + [found.left]
    return Layer("", suffix, [], backward, [], seen, back)


def parts(ledger: Ledger, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """∂L/∂(state at t) in three: by L_t itself, by what is later, by the layer above at t."""
    carried = ledger.carried[..., ledger.slices[name]]
    times = range(len(carried))
    own = np.stack([carried[t, t] for t in times])
    later = np.stack([carried[t + 1 :, t].sum(axis=0) for t in times])
    above = (ledger.credit[name] - carried).sum(axis=0)
    return own, later, above


def arrives(ledger: Ledger, name: str, symbol: str, later: Products) -> Equation:
    """∂L/∂(state at t) = by L_t itself + by the layer above + what comes from later."""
    own, _, above = parts(ledger, name)
    total = Term(f"∂L/∂{symbol}", ledger.delta(name), first=0)
    here: list[Sequence[Term]] = []
    if own.any():
        here.append([Term(f"∂L_[t]/∂{symbol}", own)])
    if above.any() and len(suffixes(ledger)) > 1:
        here.append([Term(f"from above to {symbol}", above)])
    return Equation(total, [*here, *later])


def agree(a: np.ndarray, b: np.ndarray, scale: float = 0.0) -> bool:
    """Whether two arrays are the same but for rounding; what is not finite never is."""
    if a.shape != b.shape or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return False
    largest = max(scale, float(np.abs(b).max(initial=0.0)))
    tolerance = ROUNDINGS * float(np.finfo(b.dtype).eps) * largest
    return bool(np.abs(a - b).max(initial=0.0) <= tolerance)
