"""What the books write for a GRU, with a ledger's numbers; see ``forms``.

    r_t = σ(…)    z_t = σ(…)    n_t = tanh(W_xn x_t + b_xn + r_t ⊙ q_t)    q_t = W_hn h_{t−1} + b_hn
    h_t = (1 − z_t) ⊙ n_t + z_t ⊙ h_{t−1}

or with the reset before W_hn, q_t = W_hn (r_t ⊙ h_{t−1}) + b_hn and without r_t ⊙ in n_t; or with z
that takes, n_t and h_{t−1} having changed places.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np

from tinygrad_seq.bptt.ledger.given import Array, Given, logistic, rule
from tinygrad_seq.bptt.ledger.textbook import Equation, Layer, Outer, Term


def gru(given: Given) -> Iterator[Layer]:
    """Each of the ways to reset, before or after W_hn, and to update, z for keep or for take."""
    for after, keeps in product((True, False), repeat=2):
        forward = _forward(given, after, keeps)
        yield _backward(given, forward, after, keeps)


def _forward(given: Given, after: bool, keeps: bool) -> list[Equation]:
    """r_t, z_t, q_t, n_t, h_t."""
    term, past = given.term, given.before
    r, z, n = (given.gate(letter) for letter in "rzn")
    from_x = given.x @ given.w_ih.T + given.bias("bias_ih")
    w_rz, w_n, b_rz, b_n = _blocks(given)
    q = (past if after else r * past) @ w_n.T + b_n
    cut = len(w_rz)
    made_r, made_z = np.split(logistic(from_x[..., :cut] + past @ w_rz.T + b_rz), 2, axis=2)
    made_n = np.tanh(from_x[..., cut:] + (r * q if after else q))
    bias, b_xn = (" + b_hn~", " + b_xn~") if given.biases else ("", "")
    entering = "h~_[t-1]" if after else "(r~_[t]⊙h~_[t-1])"
    inner = f"W_xn~ {given.x_symbol}{b_xn} + " + ("r~_[t]⊙q~_[t]" if after else "q~_[t]")
    new, old = _mixing(given, keeps)
    return [
        Equation(term("r~_[t]", r), [[term(rule(given, "r"), made_r)]]),
        Equation(term("z~_[t]", z), [[term(rule(given, "z"), made_z)]]),
        Equation(term("q~_[t]", q), [[term(f"W_hn~ {entering}{bias}", q)]]),
        Equation(term("n~_[t]", n), [[term(f"tanh({inner})", made_n)]]),
        Equation(
            term("h~_[t]", given.h), [[new, term("n~_[t]", n)], [old, term("h~_[t-1]", past)]]
        ),
    ]


def _backward(given: Given, forward: list[Equation], after: bool, keeps: bool) -> Layer:
    """δn, δz, δr, and δq or u, what W_hn hands back."""
    term, past = given.term, given.before
    tr, tz, tq, tn = (equation.left for equation in forward[:4])
    r, z, n = tr.values, tz.values, tn.values
    new, old = _mixing(given, keeps)
    total = given.total()
    total[0] = 0  # there are no gates before the first step
    d_n = total * new.values * (1 - n * n)
    difference = past - n if keeps else n - past
    d_z = total * difference * z * (1 - z)
    d_q = d_n * r if after else d_n
    u = d_q @ _blocks(given)[1]
    d_r = (d_n * tq.values if after else u * past) * r * (1 - r)
    d_rz = np.concatenate([d_r, d_z], axis=2)
    tdn, tu = term("δn~_[t]", d_n), term("u~_[t]", u)
    arriving, through = _arriving(given, total, old, d_rz, u, after)
    sigma = [term(f"{k}~_[t](1−{k}~_[t])", g * (1 - g)) for k, g in (("r", r), ("z", z))]
    change = term("(h~_[t-1]−n~_[t])" if keeps else "(n~_[t]−h~_[t-1])", difference)
    from_n = [tdn, tq] if after else [tu, term("h~_[t-1]", past)]
    handed = term("W_hn~ᵀδn~_[t]", u)
    backward = [
        arriving,
        Equation(tdn, [[arriving.left, new, term("(1−n~_[t]²)", 1 - n * n)]]),
        Equation(term("δz~_[t]", d_z), [[arriving.left, change, sigma[1]]]),
        Equation(term("δq~_[t]", d_q), [[tdn, tr]]) if after else Equation(tu, [[handed]]),
        Equation(term("δr~_[t]", d_r), [[*from_n, sigma[0]]]),
    ]
    own = [part for found in arriving.right if len(found) == 1 for part in found]
    return Layer(
        "GRU", given.suffix, forward, backward, _outers(given, d_rz, d_n, d_q, r, after),
        seen=[tr, tz, tq, tn, term("h~_[t]", given.h, 0)],
        back=[*own, through, *(equation.left for equation in backward)],
        gates="rzn", note=_note(given.m, after),
    )  # fmt: skip


def _arriving(
    given: Given, total: Array, old: Term, d_rz: Array, u: Array, after: bool
) -> tuple[Equation, Term]:
    """∂L/∂h_t, and the part of it that comes straight through the update."""
    w_rz = _blocks(given)[0]
    if after:
        later = [[given.next("W_hh~ᵀδ′~_[t+1]", d_rz @ w_rz + u)]]
    else:
        reset = [given.next("u~_[t+1]", u), given.next("r~_[t+1]", given.gate("r"))]
        later = [[given.next("W_hrz~ᵀδ~_[t+1]", d_rz @ w_rz)], reset]
    symbol, factor = (old.symbol.replace("_[t]", new) for new in ("_[t+1]", ""))
    straight = [given.next("∂L/∂h~_[t+1]", total), given.next(symbol, old.values)]
    through = given.next(f"({factor}⊙∂L/∂h~)_[t+1]", old.values * total)
    return given.arrives(straight, *later), through


def _outers(
    given: Given, d_rz: Array, d_n: Array, d_q: Array, r: Array, after: bool
) -> list[Outer]:
    """What a step adds."""
    past = given.before
    hidden = [(d_rz, past), (d_q, past if after else r * past)]
    d_ih, d_hh = (np.concatenate([d_rz, part], axis=2) for part in (d_n, d_q))
    adds = "δ~_[t] h~_[t-1]ᵀ, for n δn~_[t] (r~_[t]⊙h~_[t-1])ᵀ"
    if after:
        return given.outers(d_ih, d_hh, hidden, "δ′~_[t] h~_[t-1]ᵀ", "′")
    return given.outers(d_ih, d_hh, hidden, adds, "")


def _note(m: str, after: bool) -> str:
    """What δ is made of."""
    note = f"δ{m}_[t] = (δr{m}_[t], δz{m}_[t], δn{m}_[t])"
    if after:
        return f"{note}; δ′{m}_[t] = (δr{m}_[t], δz{m}_[t], δq{m}_[t])"
    return f"{note}; W_hrz{m}: the rows of r and z"


def _mixing(given: Given, keeps: bool) -> tuple[Term, Term]:
    """The factors of n_t and of h_{t−1}."""
    z = given.gate("z")
    through, rest = given.term("z~_[t]", z), given.term("(1−z~_[t])", 1 - z)
    return (rest, through) if keeps else (through, rest)


def _blocks(given: Given) -> tuple[Array, Array, Array, Array]:
    """W_hh and b_hh in rows of r and z, and rows of n."""
    cut = 2 * (len(given.w_hh) // 3)
    bias = given.bias("bias_hh")
    return given.w_hh[:cut], given.w_hh[cut:], bias[:cut], bias[cut:]
