"""What the books write for an RNN, an LSTM and a GRU, with a ledger's numbers: here the RNN.

Whether it holds is not asked of the model but tried on the numbers: from the weights it must give
the recorded states and gates, what is carried back from step to step, and what every step adds to
the weights. It does for plain layers, stacked or not; it does not with layer normalisation,
peepholes, a projection, or weights that are frozen, and there ``general`` is left.

δ is the derivative by what a nonlinearity is given: δ_t = ∂L/∂a_t.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from tinygrad_seq.bptt.ledger.given import Array, Given, givens, logistic
from tinygrad_seq.bptt.ledger.gru import gru
from tinygrad_seq.bptt.ledger.lstm import lstm
from tinygrad_seq.bptt.ledger.textbook import Equation, Layer, general, suffixes

if TYPE_CHECKING:
    from tinygrad_seq.bptt.ledger.record import Ledger


@np.errstate(all="ignore")  # a net that has exploded: what is not finite says so itself
def layers_of(ledger: Ledger) -> list[Layer]:
    """Each layer of a ledger, the lowest first."""
    found = []
    for suffix in suffixes(ledger):
        tried: Iterator[Layer] = iter(())
        if ledger.kind in FORMS:
            tried = (
                layer
                for given in givens(ledger, suffix)
                for layer in FORMS[ledger.kind](given)
                if layer.holds(ledger)
            )
        found.append(next(tried, None) or general(ledger, suffix))
    return found


def rnn(given: Given) -> Iterator[Layer]:
    """h_t = φ(a_t), δ_t = (∂L_t/∂h_t + W_hhᵀδ_{t+1}) ⊙ φ′(a_t)."""
    m, h = given.m, given.h
    a = given.x @ given.w_ih.T + given.before @ given.w_hh.T
    a = a + given.bias("bias_ih") + given.bias("bias_hh")
    known: dict[str, tuple[str, Callable[[Array], Array], Array, str]] = {
        "tanh": ("tanh(a~_[t])", np.tanh, 1 - h * h, "(1−h~_[t]²)"),
        "sigmoid": ("σ(a~_[t])", logistic, h * (1 - h), "h~_[t](1−h~_[t])"),
        "relu": ("max(0, a~_[t])", _rectified, (h > 0).astype(h.dtype), "[h~_[t]>0]"),
    }
    name, phi, slope, words = known[str(given.ledger.nonlinearity)]
    bias = f" + b{m}" if given.biases else ""
    net = given.term(f"W_xh~ {given.x_symbol} + W_hh~ h~_[t-1]{bias}", a)
    delta = given.total() * slope
    delta[0] = 0
    shown = given.term("a~_[t]", a)
    carried = given.next("W_hh~ᵀδ~_[t+1]", delta @ given.w_hh)
    arriving, derivative = given.arrives([carried]), given.term(words, slope)
    left = given.term("δ~_[t]", delta)
    new = Equation(given.term("h~_[t]", h), [[given.term(name, phi(a))]])
    backward = [arriving, Equation(left, [[arriving.left, derivative]])]
    own = [term for part in arriving.right for term in part]
    yield Layer(
        "RNN", given.suffix, [Equation(shown, [[net]]), new], backward,
        given.outers(delta, delta, [(delta, given.before)], "δ~_[t] h~_[t-1]ᵀ", ""),
        seen=[shown, given.term("h~_[t]", h, 0)],
        back=[*own, left],
    )  # fmt: skip


def _rectified(a: Array) -> Array:
    return np.maximum(a, 0)


FORMS: dict[str, Callable[[Given], Iterator[Layer]]] = {"RNN": rnn, "LSTM": lstm, "GRU": gru}
