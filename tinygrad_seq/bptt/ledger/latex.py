r"""The chain rule as LaTeX: symbols and numbers in align* blocks, for a paper.

Needs ``\usepackage{amsmath}``. Vectors are columns, but ∂L_s/∂state_t before a Jacobian is a row.
What is long is left out in the middle, with dots. Of a batch the first row is shown; what is added
to a parameter is summed over all rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tinygrad_seq.bptt.ledger.forms import layers_of
from tinygrad_seq.bptt.ledger.symbols import tex, tex_array, tex_number
from tinygrad_seq.bptt.ledger.textbook import Equation, Layer, Outer, Term, alike, suffixes
from tinygrad_seq.errors import ArgumentError, expect

if TYPE_CHECKING:
    from tinygrad_seq.bptt.ledger.record import Ledger

#: sums of more terms are left out in the middle
LONG = 5


@np.errstate(all="ignore")
def latex(ledger: Ledger, t: int | None = None) -> str:
    """The chain rule of step t, or that of all steps from the last to the first.

    Raises ArgumentError unless t is None or 0 ≤ t ≤ T.
    """
    steps = ledger.steps
    ok = t is None or (
        isinstance(t, (int, np.integer)) and not isinstance(t, bool) and 0 <= t <= steps
    )
    expect(ok, "latex", f"a step t from 0 to {steps}, or None", repr(t), ArgumentError)
    layers = layers_of(ledger)
    parts = list(_rules(ledger, layers)) if t is None else list(_step(ledger, layers, int(t)))
    row = [f"% row 1 of the {ledger.batch} rows of the batch"] if ledger.batch > 1 else []
    return "\n".join(["% needs \\usepackage{amsmath}", *row, *parts])


def _rules(ledger: Ledger, layers: Sequence[Layer]) -> Iterator[str]:
    """In symbols at any step, then in numbers from the last step to the first, then the sums."""
    yield "% the rules"
    equations = [e for layer in layers for e in layer.equations()]
    lines = [f"{tex(e.left.symbol)} &= {_sum(e.right)}" for e in equations]
    lines += [_note(part) for layer in layers for part in layer.note.split("; ") if part]
    lines += [_total_rule(outer) for layer in layers for outer in layer.outers]
    yield from _align(list(dict.fromkeys(lines)))
    for t in range(ledger.steps, 0, -1):
        yield f"% step {t}, backwards"
        yield from _align(_backward(layers, t))
    yield "% the gradient: what the steps add"
    outers = {outer.parameter: outer for layer in layers for outer in layer.outers}
    for names in alike(ledger):
        yield from _align(_added(ledger, names[0], outers.get(names[0])))


def _step(ledger: Ledger, layers: Sequence[Layer], t: int) -> Iterator[str]:
    """Forward, down the Jacobians, backward, and what the step adds."""
    yield f"% step {t} of {ledger.steps}, forwards"
    yield from _align(_forward(ledger, layers, t))
    yield "% each loss by itself, through the Jacobians"
    yield from _align(_chain(ledger, t))
    yield "% backwards, from the step after it"
    yield from _align(_backward(layers, t))
    outers = {outer.parameter: outer for layer in layers for outer in layer.outers}
    lines = []
    for names in alike(ledger) if t else ():
        outer = outers.get(names[0])
        left, right = _derivative(names[0], outer), ""
        if outer is not None:
            right = f"{tex(outer.symbol, t)} = "
        lines.append(
            rf"{left} &\mathrel{{+}}= {right}{tex_array(ledger.shares[names[0]][t], alone=True)}"
        )
    if lines:
        yield f"% what step {t} adds to the gradient"
        yield from _align(lines)


def _forward(ledger: Ledger, layers: Sequence[Layer], t: int) -> Iterator[str]:
    if t:
        yield f"x_{{{t}}} &= {tex_array(ledger.inputs[t, 0], alone=True)}"
    for layer in layers:
        known = {e.left.symbol for e in layer.forward} if t else set()
        for equation in layer.forward if t else ():
            yield from _equation(equation, t)
        for term in layer.seen:
            if term.symbol not in known and term.exists(t):
                yield f"{tex(term.symbol, t)} &= {tex_array(term.values[t, 0], alone=True)}"
    if t:
        yield f"L_{{{t}}} &= {tex_number(float(ledger.losses[t]))}"


def _backward(layers: Sequence[Layer], t: int) -> Iterator[str]:
    for layer in reversed(layers):
        for equation in layer.backward:
            if equation.left.exists(t):
                yield from _equation(equation, t)


def _chain(ledger: Ledger, t: int) -> Iterator[str]:
    r"""∂L_s/∂state_t = ∂L_s/∂state_s J_s … J_{t+1} for every loss, as rows."""
    state = next(iter(ledger.states)) if len(ledger.states) == 1 else r"\mathrm{state}"
    partial = r"\lambda" if len(suffixes(ledger)) > 1 else "C"
    for s in _some([s for s in range(max(t, 1), ledger.steps + 1) if ledger.carried[s, s].any()]):
        if s is None:
            yield r"&\vdots"
            continue
        factors = [f"J_{{{k}}}" for k in range(s, t, -1)]
        dots = [factors[0], r"\cdots", factors[-1]] if len(factors) > 3 else factors
        start = rf"\frac{{\partial L_{{{s}}}}}{{\partial {state}_{{{s}}}}}"
        value = tex_array(ledger.carried[s, t, :1], alone=True)
        yield f"{partial}_{{{s},{t}}} &= {' '.join([start, *dots])} = {value}"


def _some(losses: Sequence[int]) -> list[int | None]:
    return list(losses) if len(losses) <= LONG else [*losses[: LONG - 2], None, losses[-1]]


# ---------------------------------------------------------------------- equations


def _equation(equation: Equation, t: int) -> Iterator[str]:
    """In symbols, in numbers, the result."""
    products = equation.products(t)
    result = tex_array(equation.left.values[t, 0], alone=True)
    yield f"{tex(equation.left.symbol, t)} &= {_sum(products, t)}"
    if len(products) > 1 or any(len(terms) > 1 for terms in products):
        numbers = (
            r" \odot ".join(tex_array(term.values[t, 0]) for term in terms) for terms in products
        )
        yield "&= " + " + ".join(numbers)
    yield f"&= {result}"


def _sum(products: Sequence[Sequence[Term]], t: int | None = None) -> str:
    return (
        " + ".join(r" \odot ".join(tex(term.symbol, t) for term in terms) for terms in products)
        or "0"
    )


def _note(words: str) -> str:
    """δ_t = (…), or what a symbol is in words."""
    left, equals, right = words.partition(" = ")
    if equals:
        return f"{tex(left)} &= {tex(right)}"
    left, _, right = words.partition(": ")
    return rf"{tex(left)} &: \text{{{right}}}"


def _total_rule(outer: Outer) -> str:
    return rf"{_derivative(outer.parameter, outer)} &= \sum_{{t=1}}^{{T}} {tex(outer.symbol)}"


def _derivative(name: str, outer: Outer | None) -> str:
    below = tex(outer.target) if outer else rf"\mathtt{{{name.replace('_', chr(92) + '_')}}}"
    return rf"\frac{{\partial L}}{{\partial {below}}}"


def _added(ledger: Ledger, name: str, outer: Outer | None) -> Iterator[str]:
    """∂L/∂θ = what each step adds = the sum."""
    share = ledger.shares[name]
    first = 0 if share[0].any() else 1
    chosen = _some(range(first, ledger.steps + 1))
    terms = [r"\cdots" if t is None else tex_array(share[t]) for t in chosen]
    if outer is not None:
        yield _total_rule(outer).replace("^{T}", f"^{{{ledger.steps}}}")
        yield "&= " + " + ".join(terms)
    else:
        yield f"{_derivative(name, outer)} &= " + " + ".join(terms)
    yield f"&= {tex_array(ledger.grad[name], alone=True)}"


def _align(lines: Iterator[str] | Sequence[str]) -> Iterator[str]:
    found = list(lines)
    if found:
        yield r"\begin{align*}"
        yield " \\\\\n".join(found)
        yield r"\end{align*}"
