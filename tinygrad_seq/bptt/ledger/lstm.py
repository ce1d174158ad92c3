"""What the books write for an LSTM, with a ledger's numbers; see ``forms``.

    i_t = σ(…)    f_t = σ(…)    g_t = tanh(…)    o_t = σ(…)
    c_t = f_t ⊙ c_{t−1} + i_t ⊙ g_t              h_t = o_t ⊙ tanh c_t

δc_t is ∂L/∂c_t through all that c_t feeds, h_t among it; the δ of the gates lie one below the other
in δ_t.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tinygrad_seq.bptt.ledger.given import Given, logistic, rule, shifted
from tinygrad_seq.bptt.ledger.textbook import Equation, Layer

GATES = "ifgo"


def lstm(given: Given) -> Iterator[Layer]:
    """The one way there is; none with a projection, where h and c differ in width."""
    if given.h.shape == given.ledger.states[f"c{given.suffix}"].shape:
        yield _backward(given, _forward(given))


def _forward(given: Given) -> list[Equation]:
    """i_t, f_t, g_t, o_t, c_t, h_t."""
    term, c = given.term, given.ledger.states[f"c{given.suffix}"]
    a = given.x @ given.w_ih.T + given.before @ given.w_hh.T
    a = a + given.bias("bias_ih") + given.bias("bias_hh")
    gates = []
    for letter, block in zip(GATES, np.split(a, 4, axis=2), strict=True):
        made = np.tanh(block) if letter == "g" else logistic(block)
        right = [[term(rule(given, letter), made)]]
        gates.append(Equation(term(f"{letter}~_[t]", given.gate(letter)), right))
    i, f, g, o = (equation.left for equation in gates)
    return [
        *gates,
        Equation(term("c~_[t]", c), [[f, term("c~_[t-1]", shifted(c, 1))], [i, g]]),
        Equation(term("h~_[t]", given.h), [[o, term("tanh(c~_[t])", np.tanh(c))]]),
    ]


def _backward(given: Given, forward: list[Equation]) -> Layer:
    """δc_t, and δ_t of the four gates."""
    ledger, term, m = given.ledger, given.term, given.m
    ti, tf, tg, to, state = (equation.left for equation in forward[:5])
    i, f, g, o, c = (part.values for part in (ti, tf, tg, to, state))
    total, tanh_c, past = given.total(), np.tanh(c), shifted(c, 1)
    d_c = ledger.delta(f"c{given.suffix}") + total * o * (1 - tanh_c**2)
    d_i, d_f = d_c * g * i * (1 - i), d_c * past * f * (1 - f)
    d_g, d_o = d_c * i * (1 - g * g), total * tanh_c * o * (1 - o)
    delta = np.concatenate([d_i, d_f, d_g, d_o], axis=2)
    delta[0] = 0
    arriving = given.arrives([given.next("W_hh~ᵀδ~_[t+1]", delta @ given.w_hh)])
    whole, of_c = arriving.left, term("δc~_[t]", d_c, 0)
    here = [whole, to, term("(1−tanh²c~_[t])", 1 - tanh_c**2)]
    slopes = [
        term(f"{k}~_[t](1−{k}~_[t])", v * (1 - v)) for k, v in {"i": i, "f": f, "o": o}.items()
    ]
    gates = [
        Equation(term("δi~_[t]", d_i), [[of_c, tg, slopes[0]]]),
        Equation(term("δf~_[t]", d_f), [[of_c, term("c~_[t-1]", past), slopes[1]]]),
        Equation(term("δg~_[t]", d_g), [[of_c, ti, term("(1−g~_[t]²)", 1 - g * g)]]),
        Equation(term("δo~_[t]", d_o), [[whole, term("tanh(c~_[t])", tanh_c), slopes[2]]]),
    ]
    straight = [given.next("f~_[t+1]", f), given.next("δc~_[t+1]", d_c)]
    highway = (ledger.highway or {})[f"c{given.suffix}"][:, 0]
    outers = given.outers(delta, delta, [(delta, given.before)], "δ~_[t] h~_[t-1]ᵀ", "")
    own = [part for found in arriving.right for part in found]
    carried = given.next("(f~⊙δc~)_[t+1]", f * d_c)
    note = f"δ{m}_[t] = (δi{m}_[t], δf{m}_[t], δg{m}_[t], δo{m}_[t])"
    note += f"; Πf{m}_[t] = f{m}_1 ⊙ … ⊙ f{m}_[t]"
    return Layer(
        "LSTM", given.suffix, forward, [arriving, Equation(of_c, [here, straight]), *gates], outers,
        seen=[ti, tf, tg, to, term("c~_[t]", c, 0), term("Πf~_[t]", highway),
              term("h~_[t]", given.h, 0)],
        back=[*own, whole, carried, of_c, *(equation.left for equation in gates)],
        gates=GATES,
        note=note,
    )  # fmt: skip
