"""How numbers and equations are written on a page of 80 columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from tinygrad_seq.bptt.ledger.textbook import Equation, Layer, Term, at
from tinygrad_seq.errors import ArgumentError, expect

WIDTH = 80


def check_digits(op: str, digits: object) -> None:
    """Refuse what is no number of digits."""
    ok = isinstance(digits, int) and not isinstance(digits, bool) and 1 <= digits <= 17
    expect(ok, op, "digits from 1 to 17", repr(digits), ArgumentError)


def number(value: float, digits: int = 4) -> str:
    """A number with so many digits.

    >>> number(0.5), number(-1.25e-7), number(0.0), number(12345.0)
    ('0.5000', '-1.250e-7', '0', '1.234e+4')
    """
    if not value:
        return "0"
    if not np.isfinite(value):
        return str(float(value))
    mantissa, e, exponent = f"{value:#.{digits}g}".partition("e")
    return mantissa.rstrip(".") + (f"e{int(exponent):+d}" if e else "")


def vector(values: np.ndarray, digits: int = 4, most: int = 8) -> str:
    """[0.5000, -1.250], the middle left out where it is long."""
    words = [number(float(v), digits) for v in values]
    if len(words) > most:
        words = [*words[: most - 2], "…", words[-1]]
    return f"[{', '.join(words)}]"


def matrix(values: np.ndarray, digits: int = 4, most: int = 8) -> list[str]:
    """A row on each line, the middle left out where there are many."""
    rows = [vector(row, digits) for row in np.atleast_2d(values)]
    if len(rows) > most:
        rows = [*rows[: most - 2], "…", rows[-1]]
    last = len(rows) - 1
    return [("[" if k == 0 else " ") + row + "]" * (k == last) for k, row in enumerate(rows)]


def wrapped(lead: str, pieces: Iterable[str], between: str = "") -> list[str]:
    """Lines of at most 80 columns, the later ones indented as the lead is wide. A piece that is too
    wide for a line of its own is broken at its spaces."""
    indent = " " * (len(lead) if len(lead) <= 16 else 4)
    lines, line, empty = [], lead, True
    width = WIDTH - len(between.rstrip())  # it ends a line where the next piece does not fit
    for piece in pieces:
        added = piece if empty else between + piece
        if len(line) + len(added.rstrip()) <= width:
            line, empty = line + added, False
            continue
        if not empty:
            lines.append((line + between).rstrip())
            line = indent
        for word in _words(piece, width - len(indent)):
            if len(line) + len(word.rstrip()) > width and line.strip():
                lines.append(line.rstrip())
                line = indent
            line += word
        empty = False
    return [*lines, line.rstrip()]


def _words(piece: str, width: int) -> list[str]:
    """A piece, or its words with the spaces after them where it is too wide."""
    if len(piece) <= width:
        return [piece]
    words = [word + " " for word in piece.split(" ")]
    return [*words[:-1], words[-1][:-1]]


# ---------------------------------------------------------------------- equations in symbols


def product(terms: Sequence[Term], t: int | None = None) -> str:
    """The factors with ⊙ between them."""
    return " ⊙ ".join(at(term.symbol, t) for term in terms)


def in_symbols(equation: Equation, t: int | None = None) -> str:
    """An equation at any step, or at step t with what there is then."""
    products = equation.right if t is None else equation.products(t)
    right = " + ".join(product(terms, t) for terms in products) or "0"
    return f"{at(equation.left.symbol, t)} = {right}"


def legend(equations: Sequence[Equation], shown: Sequence[Term]) -> list[str]:
    """The equations at any step. What is not shown is written out where it is used."""
    symbols = {term.symbol for term in shown}
    inside = {e.left.symbol: e for e in equations if e.left.symbol not in symbols}
    lines = []
    for equation in equations:
        if equation.left.symbol in inside:
            continue
        line = in_symbols(equation)
        for symbol, other in inside.items():
            right = in_symbols(other).partition(" = ")[2]
            left, equals, rest = line.partition(" = ")
            written = f"({right})" if " + " in right else right
            line = left + equals + rest.replace(at(symbol), written)
        lines.append(line)
    return lines


def shown_forward(layer: Layer) -> list[str]:
    """The legend of what is computed forwards."""
    return legend(layer.forward, layer.seen)


def shown_backward(layer: Layer) -> list[str]:
    """The legend of what is computed backwards."""
    return [*legend(layer.backward, layer.back), *filter(None, [at(layer.note)])]
