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
from tinygrad_seq.bptt.ledger.textbook import Equation, Layer, Term


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
    term, past, total = given.term, given.before, given.total()
    total[0] = 0  # there are no gates before the first step
    tr, tz, tq, tn = (equation.left for equation in forward[:4])
    r, z, q, n = tr.values, tz.values, tq.values, tn.values
    new, old = _mixing(given, keeps)
    w_rz, w_n, _, _ = _blocks(given)
    d_n = total * new.values * (1 - n * n)
    difference = past - n if keeps else n - past
    d_z = total * difference * z * (1 - z)
    d_q = d_n * r if after else d_n
    u = d_q @ w_n
    d_r = (d_n * q if after else u * past) * r * (1 - r)
    d_rz = np.concatenate([d_r, d_z], axis=2)
    tdn, tu = term("δn~_[t]", d_n), term("u~_[t]", u)
    if after:
        hands_back = given.next("W_hh~ᵀδ′~_[t+1]", d_rz @ w_rz + u)
        later = [[hands_back]]
        middle = [Equation(term("δq~_[t]", d_q), [[tdn, tr]])]
    else:
        hands_back = given.next("W_hrz~ᵀδ~_[t+1]", d_rz @ w_rz)
        later = [[hands_back], [given.next("u~_[t+1]", u), given.next("r~_[t+1]", r)]]
        middle = [Equation(tu, [[term("W_hn~ᵀδn~_[t]", u)]])]
    symbol = old.symbol.replace("[t]", "[t+1]")
    straight = [given.next("∂L/∂h~_[t+1]", total), given.next(symbol, old.values)]
    arriving = given.arrives(straight, *later)
    sigma = [term(f"{k}~_[t](1−{k}~_[t])", g * (1 - g)) for k, g in (("r", r), ("z", z))]
    change = term("(h~_[t-1]−n~_[t])" if keeps else "(n~_[t]−h~_[t-1])", difference)
    from_n = [tdn, tq] if after else [tu, term("h~_[t-1]", past)]
    backward = [
        arriving,
        Equation(tdn, [[arriving.left, new, term("(1−n~_[t]²)", 1 - n * n)]]),
        Equation(term("δz~_[t]", d_z), [[arriving.left, change, sigma[1]]]),
        *middle,
        Equation(term("δr~_[t]", d_r), [[*from_n, sigma[0]]]),
    ]
    hidden = [(d_rz, past), (d_q, past if after else r * past)]
    delta, delta_hh = (np.concatenate([d_rz, part], axis=2) for part in (d_n, d_q))
    prime, m = "′" if after else "", given.m
    adds = "δ′~_[t] h~_[t-1]ᵀ" if after else "δ~_[t] h~_[t-1]ᵀ, for n δn~_[t] (r~_[t]⊙h~_[t-1])ᵀ"
    note = f"δ{m}_[t] = (δr{m}_[t], δz{m}_[t], δn{m}_[t])"
    if after:
        note += f"; δ′{m}_[t] = (δr{m}_[t], δz{m}_[t], δq{m}_[t])"
    else:
        note += f"; W_hrz{m}: the rows of r and z"
    own = [part for found in arriving.right if len(found) == 1 for part in found]
    factor = old.symbol.replace("_[t]", "")
    through = given.next(f"({factor}⊙∂L/∂h~)_[t+1]", old.values * total)
    return Layer(
        "GRU", given.suffix, forward, backward, given.outers(delta, delta_hh, hidden, adds, prime),
        seen=[tr, tz, tq, tn, term("h~_[t]", given.h, 0)],
        back=[*own, through, *(equation.left for equation in backward)],
        gates="rzn", note=note,
    )  # fmt: skip


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
