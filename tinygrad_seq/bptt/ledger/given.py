"""What the equations of a layer are made of: its input, its weights, its states."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tinygrad_seq.bptt.ledger.textbook import Equation, Outer, Term, arrives, mark, suffixes

if TYPE_CHECKING:
    from tinygrad_seq.bptt.ledger.record import Ledger

Array = np.ndarray


@dataclass(frozen=True)
class Given:
    """What the equations of a layer are made of. x, h (T+1, B, ·); before: h_{t−1}."""

    ledger: Ledger
    suffix: str
    x: Array
    x_symbol: str
    h: Array
    w_ih: Array
    w_hh: Array
    biases: dict[str, Array]

    @property
    def m(self) -> str:
        """The mark of the layer in symbols."""
        return mark(self.suffix)

    @property
    def before(self) -> Array:
        """h_{t−1}."""
        return shifted(self.h, 1)

    def name(self, base: str) -> str:
        """A parameter's name in the ledger."""
        return parameter(self.ledger, base, self.suffix)

    def bias(self, base: str) -> Array:
        """b, or zeros."""
        return self.biases.get(base, np.zeros(len(self.w_ih), self.w_ih.dtype))

    def term(self, symbol: str, values: Array, first: int = 1) -> Term:
        """A quantity that there is from ``first`` on; ~ stands for the mark of the layer."""
        return Term(symbol.replace("~", self.m), values, first)

    def next(self, symbol: str, values: Array) -> Term:
        """A quantity of step t + 1, at step t."""
        last = self.ledger.steps - 1
        return Term(symbol.replace("~", self.m), shifted(values, -1), 0, last)

    def arrives(self, *later: list[Term]) -> Equation:
        """∂L/∂h_t."""
        return arrives(self.ledger, f"h{self.suffix}", f"h{self.m}_[t]", later)

    def gate(self, letter: str) -> Array:
        """A gate (T+1, B, H)."""
        return self.ledger.gates[letter + self.suffix]

    def total(self) -> Array:
        """∂L/∂h_t (T+1, B, H); at t = 0, where no gate is, that of the initial state."""
        return self.ledger.delta(f"h{self.suffix}")

    def outers(
        self, d_ih: Array, d_hh: Array, hidden: list[tuple[Array, Array]], symbol: str, prime: str
    ) -> list[Outer]:
        """What a step adds to the weights and biases: δ x_tᵀ, what ``symbol`` says, and δ; where
        δ is another for what is recurrent, it has a prime."""
        m = self.m
        both = {"bias_ih", "bias_hh"} <= set(self.biases) and bool(prime)
        made = [
            Outer(f"δ{m}_[t] {self.x_symbol}ᵀ", f"W_xh{m}", self.name("weight_ih"),
                  [(d_ih, self.x)]),
            Outer(symbol.replace("~", m), f"W_hh{m}", self.name("weight_hh"), hidden),
        ]  # fmt: skip
        for base, delta, sign in (("bias_ih", d_ih, ""), ("bias_hh", d_hh, prime)):
            if base in self.biases:
                target = base.replace("bias_", "b_") if both else "b"
                pieces: list[tuple[Array, Array | None]] = [(delta, None)]
                made.append(Outer(f"δ{sign}{m}_[t]", f"{target}{m}", self.name(base), pieces))
        return made


def givens(ledger: Ledger, suffix: str) -> Iterator[Given]:
    """What a layer may have been given: the layer below alone, or the sum of all below."""
    bases = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    own = {base: ledger.weights.get(parameter(ledger, base, suffix)) for base in bases}
    found = {base: weight for base, weight in own.items() if weight is not None}
    if not {"weight_ih", "weight_hh"} <= set(found):
        return
    w_ih, w_hh = found.pop("weight_ih"), found.pop("weight_hh")
    h = ledger.states[f"h{suffix}"]
    below = suffixes(ledger)[: suffixes(ledger).index(suffix)]
    inputs = [(ledger.inputs, "x_[t]")]
    if below:
        ends = [ledger.states[f"h{other}"] for other in below]
        inputs = [
            (ends[-1], f"h{mark(below[-1])}_[t]"),
            (np.sum(ends, axis=0), f"x{mark(suffix)}_[t]"),
        ]
    for x, symbol in inputs:
        x = np.concatenate([np.zeros_like(x[:1]), x[1:]])  # nothing enters before the first step
        if x.shape[-1] == w_ih.shape[1] and h.shape[-1] == w_hh.shape[1]:
            yield Given(ledger, suffix, x, symbol, h, w_ih, w_hh, found)


def parameter(ledger: Ledger, base: str, suffix: str) -> str:
    """What a layer, or a cell, calls a parameter."""
    name = base + (suffix or "_l0")
    return name if name in ledger.weights else base


def shifted(values: Array, steps: int) -> Array:
    """Values of so many steps before, 0 where there are none."""
    moved = np.zeros_like(values)
    if steps > 0:
        moved[steps:] = values[:-steps]
    else:
        moved[:steps] = values[-steps:]
    return moved


def rule(given: Given, letter: str) -> str:
    """How a gate comes about, in symbols."""
    phi, bias = "tanh" if letter in "gn" else "σ", f" + b_{letter}~" if given.biases else ""
    return f"{phi}(W_x{letter}~ {given.x_symbol} + W_h{letter}~ h~_[t-1]{bias})"


def logistic(a: Array) -> Array:
    """1 / (1 + e^−a), without overflow."""
    return (1 + np.tanh(a / 2)) / 2
