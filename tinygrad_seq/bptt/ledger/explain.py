"""The chain rule of one step in symbols, and beside it in numbers.

Two ways lead to ∂L/∂state_t: from each later loss down the product of the Jacobians, and one step
of the recursion of the textbook. Both are worked out here and held against the ledger; where they
do not meet, that is an error and nothing is printed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tinygrad_seq.bptt.ledger.forms import layers_of
from tinygrad_seq.bptt.ledger.textbook import Equation, Layer, alike, at, suffixes
from tinygrad_seq.bptt.ledger.writing import in_symbols, matrix, number, vector, wrapped
from tinygrad_seq.errors import ArgumentError, GraphError, expect

if TYPE_CHECKING:
    from tinygrad_seq.bptt.ledger.record import Ledger

# More is left out: rows of the batch, losses that a step answers for, places of a parameter.
BATCH, LOSSES, ENTRIES = 2, 8, 16
# Jacobians of more numbers of a state are not printed.
SMALL = 6
TOLERANCE = 1e5  # in units of rounding


@np.errstate(all="ignore")
def explain(ledger: Ledger, t: int) -> str:
    """How step t answers for the losses; t = 0 is the initial state.

    Raises ArgumentError unless 0 ≤ t ≤ T, and GraphError if the two ways and the ledger differ.
    """
    expected = f"a step t from 0 to {ledger.steps}"
    ok = isinstance(t, (int, np.integer)) and not isinstance(t, bool) and 0 <= t <= ledger.steps
    expect(ok, "explain", expected, repr(t), ArgumentError)
    t = int(t)
    layers = layers_of(ledger)
    lines = [_title(ledger, t)]
    for b in range(min(ledger.batch, BATCH)):
        if ledger.batch > 1:
            lines += ["", f"Row {b + 1} of {ledger.batch} of the batch"]
        lines += _forward(ledger, layers, t, b)
        lines += _chain(ledger, t, b)
        lines += _recursion(ledger, layers, t, b)
    if ledger.batch > BATCH:
        lines += ["", f"… rows {BATCH + 1} to {ledger.batch} of the batch go the same way"]
    return "\n".join([*lines, *_shares(ledger, layers, t)])


def _title(ledger: Ledger, t: int) -> str:
    if t == 0:
        return f"Before the first of {ledger.steps} steps: the initial state"
    which = {1: ", the first", ledger.steps: ", the last"}.get(t, "") if ledger.steps > 1 else ""
    return f"Step {t} of {ledger.steps}{which}: {ledger.kind}"


# ---------------------------------------------------------------------- forward


def _forward(ledger: Ledger, layers: Sequence[Layer], t: int, b: int) -> Iterator[str]:
    yield from ["", "Forward"]
    if t:
        yield from wrapped(f"  x_{t} = ", [vector(ledger.inputs[t, b])])
    for layer in layers:
        done = set()
        for equation in layer.forward if t else ():
            yield from _equation(equation, t, b)
            done.add(equation.left.symbol)
        for term in layer.seen:
            if term.symbol not in done and term.exists(t):
                yield from wrapped(f"  {at(term.symbol, t)} = ", [vector(term.values[t, b])])
    if t:
        of = " (of the whole batch)" if ledger.batch > 1 else ""
        yield f"  L_{t} = {number(float(ledger.losses[t]))}{of}"


def _equation(equation: Equation, t: int, b: int) -> Iterator[str]:
    """In symbols, in numbers, and the result."""
    left, result = at(equation.left.symbol, t), vector(equation.left.values[t, b])
    products = equation.products(t)
    yield from wrapped(f"  {left} = ", [in_symbols(equation, t).partition(" = ")[2]])
    indent = " " * (2 + len(left))
    if any(len(terms) > 1 for terms in products) or len(products) > 1:
        pieces = [" ⊙ ".join(vector(term.values[t, b]) for term in terms) for terms in products]
        yield from wrapped(f"{indent} = ", pieces, " + ")
    yield from wrapped(f"{indent} = ", [result])


# ---------------------------------------------------------------------- down the Jacobians


def _chain(ledger: Ledger, t: int, b: int) -> Iterator[str]:
    """C[s, t] = C[s, s] J_s … J_{t+1} for every loss, and their sum."""
    stacked = len(suffixes(ledger)) > 1
    letter = "λ" if stacked else "C"
    losses = [s for s in range(max(t, 1), ledger.steps + 1) if ledger.carried[s, s].any()]
    credits = {s: _credit(ledger, s, t) for s in losses}
    yield from ["", _answers(losses, t)]
    if any(s > t for s in losses):
        rule = f"{letter}[s,{t}] = {letter}[s,s] J_s … J_{t + 1}"
        yield f"  {rule}   with J_k = ∂state_k/∂state_{{k−1}}"
        yield from _jacobian(ledger, t + 1, b)
    for s in _some(losses):
        if s is None:
            yield f"  … {len(losses) - LOSSES + 1} more …"
            continue
        yield from _by_state(ledger, f"  {_step(ledger, letter, s, t)} = ", credits[s][b])
    if len(losses) > 1:
        total = np.sum(list(credits.values()), axis=0)
        size = max(float(np.abs(credit).max()) for credit in credits.values())
        _expect(total, ledger.carried[:, t].sum(axis=0), size, f"the sum of {letter}[s,{t}]")
        yield from _by_state(ledger, "  their sum = ", total[b])
    if stacked:
        yield "  λ is by the state as the next step sees it; the layer above comes in below."


def _credit(ledger: Ledger, s: int, t: int) -> np.ndarray:
    """C[s, s] J_s … J_{t+1}, worked out (B, S)."""
    start = ledger.carried[s, s]
    credit = np.einsum("bi,bij->bj", start, ledger.jacobian_between(s, t))
    growth = ledger.singular_values[t + 1 : s + 1, :, 0].max(axis=1, initial=0.0)
    size = float(np.abs(start).max()) * start.shape[-1] * float(np.prod(growth))
    _expect(credit, ledger.carried[s, t], size, f"C[{s},{t}]")
    return credit


def _jacobian(ledger: Ledger, k: int, b: int) -> Iterator[str]:
    """The first factor, and how much it can stretch or shrink."""
    if ledger.carried.shape[-1] <= SMALL:
        lines = matrix(ledger.jacobians[k, b])
        yield from [
            f"  J_{k} = {lines[0]}",
            *(" " * (5 + len(f"J_{k}")) + row for row in lines[1:]),
        ]
    bound = "" if ledger.bound is None else f"; none is above {number(float(ledger.bound[k]))}"
    lead = f"  singular values of J_{k}: "
    yield from wrapped(lead, [vector(ledger.singular_values[k, b]) + bound])


def _some(losses: Sequence[int]) -> list[int | None]:
    """All, or the first and the last with None between them."""
    return list(losses) if len(losses) <= LOSSES else [*losses[: LOSSES - 2], None, losses[-1]]


def _answers(losses: Sequence[int], t: int) -> str:
    """The headline: which losses there are from here on."""
    if not losses:
        return f"No loss comes after step {t}: nothing to answer for"
    names = ", ".join(f"L_{s}" for s in losses[:LOSSES])
    names += f", … L_{losses[-1]}" if len(losses) > LOSSES else ""
    what = "The initial state" if t == 0 else f"Step {t}"
    return f"{what} answers for {names}"


def _step(ledger: Ledger, letter: str, s: int, t: int) -> str:
    """C[4,2] = C[4,4] J_4 J_3."""
    if s == t:
        state = "state" if len(ledger.states) > 1 else next(iter(ledger.states))
        return f"{letter}[{s},{t}] = ∂L_{s}/∂{state}_{s}"
    factors = [f"J_{k}" for k in range(s, t, -1)]
    if len(factors) > 3:
        factors = [factors[0], "…", factors[-1]]
    return f"{letter}[{s},{t}] = {letter}[{s},{s}] {' '.join(factors)}"


def _by_state(ledger: Ledger, lead: str, values: np.ndarray) -> list[str]:
    """A vector over all states, by their names where there are more than one."""
    parts = ledger.slices
    if len(parts) == 1:
        return wrapped(lead, [vector(values)])
    return wrapped(lead, [f"{name} {vector(values[part])}" for name, part in parts.items()], "  ")


# ---------------------------------------------------------------------- one step of the recursion


def _recursion(ledger: Ledger, layers: Sequence[Layer], t: int, b: int) -> Iterator[str]:
    """∂L/∂h_t from ∂L/∂h_{t+1}, and the δ that follow from it."""
    after = f", from step {t + 1}" if t < ledger.steps else ": nothing comes after the last step"
    yield from ["", f"The same in one step of the recursion{after}"]
    for layer in reversed(layers):
        for equation in layer.backward:
            if not equation.left.exists(t):
                continue
            if not equation.holds(t) and np.isfinite(equation.left.values[t]).all():
                raise GraphError(f"explain: {in_symbols(equation, t)} does not hold")
            yield from _equation(equation, t, b)
        if layer.note and t:
            yield f"  {at(layer.note, t)}"


# ---------------------------------------------------------------------- what it adds


def _shares(ledger: Ledger, layers: Sequence[Layer], t: int) -> Iterator[str]:
    """What the step adds to the gradient of each parameter."""
    outers = {outer.parameter: outer for layer in layers for outer in layer.outers}
    groups = [g for g in alike(ledger) if t or ledger.shares[g[0]][0].any()]
    if not groups:
        return
    over = f", summed over the {ledger.batch} rows" if ledger.batch > 1 else ""
    yield from ["", f"What {'the start' if t == 0 else f'step {t}'} adds to the gradient{over}"]
    for names in groups:
        share, known = ledger.shares[names[0]], ", ".join(names)
        lead = f"  ∂L/∂{known}: "
        if names[0] in outers and t:
            outer = outers[names[0]]
            _expect(outer.value(t), share[t], float(np.abs(share).max(initial=0.0)), lead.strip())
            lead = f"  ∂L/∂{outer.target} ({known}): {at(outer.symbol, t)} = "
        yield from _block(lead, share[t])
    if t == 1 and not any(h[0].any() for h in ledger.states.values()):
        yield "  h_0 = 0, so the first step adds nothing to what h_0 is multiplied with."


def _block(lead: str, values: np.ndarray) -> list[str]:
    """A vector behind the lead, a matrix below it."""
    if values.ndim < 2:
        return wrapped(lead, [vector(np.atleast_1d(values), most=ENTRIES)])
    flat = values.reshape(-1, values.shape[-1])
    most = ENTRIES if flat.shape[1] <= SMALL else SMALL
    lines = [line for row in matrix(flat, most=most) for line in wrapped("    ", [row])]
    return [lead.rstrip(), *lines]


def _expect(made: np.ndarray, held: np.ndarray, size: float, what: str) -> None:
    """What was worked out must be what the ledger holds; what is not finite says nothing."""
    if not (np.isfinite(made).all() and np.isfinite(held).all()):
        return
    error = float(np.abs(made - held).max(initial=0.0))
    eps = float(np.finfo(held.dtype).eps)
    if error > TOLERANCE * eps * max(size, float(np.abs(held).max(initial=0.0))):
        raise GraphError(
            f"explain: expected {what} to be what the ledger holds, got a difference of {error:.3g}"
        )
