"""The ledger as a table: time runs across, every quantity of the textbook is a row.

Read it from left to right for the forward pass, from right to left for the backward pass; what each
step adds to a parameter ends in its sum, the gradient. The table is 80 columns wide. What does not
fit beside each other stands in blocks of steps, and what is too much to be read is left out in the
middle, with a line that says so: ``to_csv`` has it all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_seq.bptt.ledger.forms import layers_of
from tinygrad_seq.bptt.ledger.textbook import Layer, Term, alike, at
from tinygrad_seq.bptt.ledger.writing import (
    WIDTH,
    check_digits,
    number,
    shown_backward,
    shown_forward,
    wrapped,
)

if TYPE_CHECKING:
    from tinygrad_seq.bptt.ledger.record import Ledger

# More than this is left out: units of a vector, numbers of a parameter, rows of the batch, blocks.
UNITS, ENTRIES, BATCH, BLOCKS = 8, 36, 4, 4
LABEL = 32
SUM = "Σ"


@dataclass
class Row:
    """A line: a number for each step 0 … T, or None, and a sum. Without any it is a remark."""

    label: str
    values: Sequence[float | None] = ()
    total: float | None = None


@dataclass
class Section:
    """Rows below a headline; further lines of it stand in the first block only."""

    title: str
    legend: list[str] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)


@np.errstate(all="ignore")
def table(ledger: Ledger, digits: int = 4) -> str:
    """All numbers of a small net, 80 columns wide. Raises ArgumentError unless digits is from 1 to
    17."""
    check_digits("table", digits)
    layers = layers_of(ledger)
    sections = [*_passes(ledger, layers), _gradients(ledger, layers)]
    title = f"{_named(ledger)} over T = {ledger.steps} steps"
    loss = f"L = Σ_t L_t = {number(ledger.loss, digits)}"
    lines = wrapped("", [title, _size(ledger), loss], "; ")
    weights = list(_weights(ledger, layers, digits))
    lines += wrapped("with ", weights, "; ") if weights else []
    return "\n".join([*lines, *_blocks(sections, ledger.steps, digits), *_checked(ledger)])


def _named(ledger: Ledger) -> str:
    phi = f" ({ledger.nonlinearity})" if ledger.nonlinearity else ""
    return f"{ledger.kind}{phi}"


def _size(ledger: Ledger) -> str:
    rows = f"{ledger.batch} rows in the batch; " if ledger.batch > 1 else ""
    widths = [("x", ledger.inputs), *ledger.states.items()]
    return rows + "size of " + ", ".join(f"{name} {h.shape[-1]}" for name, h in widths)


def _weights(ledger: Ledger, layers: Sequence[Layer], digits: int) -> Iterator[str]:
    """The values of the small parameters, by what the books call them."""
    targets = {outer.parameter: outer.target for layer in layers for outer in layer.outers}
    names = list(targets.values())
    for name, values in ledger.weights.items():
        if values.size > ENTRIES:
            continue
        symbol = targets.get(name, name)
        if names.count(symbol) > 1:  # of the two biases the books know the sum
            symbol = name
        yield f"{symbol} = {_nested(values.tolist(), digits)}"


def _nested(values: Any, digits: int) -> str:
    if isinstance(values, list):
        return f"[{', '.join(_nested(value, digits) for value in values)}]"
    return f"{values:.{digits}g}"


def _checked(ledger: Ledger) -> Iterator[str]:
    """The largest |Σ − gradient|."""
    errors = [np.abs(s.sum(axis=0) - ledger.grad[n]) for n, s in ledger.shares.items() if s.size]
    if errors:
        worst = max(float(error.max()) for error in errors)
        yield f"{SUM} is the gradient of an ordinary backward pass to within {worst:.1g}."


# ---------------------------------------------------------------------- what is in it


def _passes(ledger: Ledger, layers: Sequence[Layer]) -> Iterator[Section]:
    """Forward and backward, for each row of the batch."""
    shown = range(min(ledger.batch, BATCH))
    for b in shown:
        of = f" (row {b + 1} of {ledger.batch})" if ledger.batch > 1 else ""
        forward, backward = Section(f"forward →{of}"), Section(f"← backward{of}")
        if b == 0:
            forward.legend = [line for layer in layers for line in shown_forward(layer)]
            backward.legend = [line for layer in layers[::-1] for line in shown_backward(layer)]
        forward.rows += _vector(Term("x_[t]", ledger.inputs), b)
        for layer in layers:
            forward.rows += [row for term in layer.seen for row in _vector(term, b)]
        if ledger.batch == 1:
            forward.rows.append(_losses(ledger))
        yield forward
        for layer in reversed(layers):
            backward.rows += [row for term in layer.back for row in _vector(term, b)]
        yield backward
    if ledger.batch > 1:
        said = f"… rows {len(shown) + 1} to {ledger.batch} of the batch are left out"
        more = [Row(said)] if ledger.batch > len(shown) else []
        yield Section("loss of the whole batch", rows=[*more, _losses(ledger)])


def _losses(ledger: Ledger) -> Row:
    return Row("L_t", [None, *map(float, ledger.losses[1:])], ledger.loss)


def _vector(term: Term, b: int) -> Iterator[Row]:
    """A row for each unit."""
    values = term.values[:, b]
    label = at(term.symbol)
    size = values.shape[1]
    for k in _chosen(size, UNITS):
        if k is None:
            yield Row(f"… {size - UNITS + 1} more of {label}")
            continue
        there = [float(v) if term.exists(t) else None for t, v in enumerate(values[:, k])]
        yield Row(f"{label} [{k + 1}]" if size > 1 else label, there)


def _gradients(ledger: Ledger, layers: Sequence[Layer]) -> Section:
    """What each step adds to each parameter."""
    outers = {outer.parameter: (outer, layer.gates) for layer in layers for outer in layer.outers}
    section = Section("gradient")
    for names in alike(ledger):
        symbol, gates = ", ".join(names), ""
        if names[0] in outers:
            outer, gates = outers[names[0]]
            symbol = outer.target
            section.legend.append(f"∂L/∂{symbol} = Σ_t {at(outer.symbol)}")
        section.rows += _parameter(ledger, names[0], f"∂L/∂{symbol}", gates)
    return section


def _parameter(ledger: Ledger, name: str, label: str, gates: str) -> Iterator[Row]:
    """A row for each number of it."""
    share, total = ledger.shares[name], ledger.grad[name]
    first = 0 if share[0].any() else 1
    for k in _chosen(total.size, ENTRIES):
        if k is None:
            yield Row(f"… {total.size - ENTRIES + 1} more of {label}")
            continue
        index = tuple(map(int, np.unravel_index(k, total.shape)))
        values = [float(v[index]) if t >= first else None for t, v in enumerate(share)]
        yield Row(
            f"{label} {_index(index, total.shape, gates)}".rstrip(), values, float(total[index])
        )


def _index(index: Sequence[int], shape: tuple[int, ...], gates: str) -> str:
    """From 1, with the letter of the gate before the unit."""
    words = [str(k + 1) for k in index]
    if gates:
        gate, unit = divmod(index[0], shape[0] // len(gates))
        words[0] = f"{gates[gate]}{unit + 1}"
    return f"[{','.join(words)}]" if words else ""


def _chosen(size: int, most: int) -> Iterator[int | None]:
    """Indices, with None in the place of those left out before the last."""
    if size <= most:
        yield from range(size)
        return
    yield from range(most - 2)
    yield None
    yield size - 1


# ---------------------------------------------------------------------- how it is laid out


def _blocks(sections: Sequence[Section], steps: int, digits: int) -> Iterator[str]:
    """The lines of all blocks of steps."""
    rows = [row for section in sections for row in section.rows if len(row.values)]
    label = min(LABEL, max(len(row.label) for row in rows))
    numbers = [v for row in rows for v in (*row.values, row.total) if v is not None]
    columns: list[int | str] = [*range(steps + 1), SUM]
    width = 1 + max(len(number(v, digits)) for v in numbers)
    if label + len(columns) * (width + 1) <= WIDTH or label + len(columns) * width > WIDTH:
        width += 1
    beside = max(1, (WIDTH - label) // width)
    blocks: list[list[int | str]] = [
        columns[k : k + beside] for k in range(0, len(columns), beside)
    ]
    half = BLOCKS // 2
    for k, block in enumerate(blocks):
        if len(blocks) > BLOCKS and half <= k < len(blocks) - half:
            if k == half:
                last = blocks[-half - 1][-1]
                yield f"\n… t = {block[0]} to {last} are left out; to_csv writes every number."
            continue
        if k:
            yield ""
        yield " " * label + "".join(f"{_heading(c):>{width}}" for c in block)
        for section in sections:
            lines = [_line(row, block, label, width, digits) for row in section.rows]
            if any(lines):
                yield from _headline(section, k == 0)
                yield from filter(None, lines)


def _heading(column: int | str) -> str:
    return column if isinstance(column, str) else f"t = {column}"


def _headline(section: Section, first: bool) -> list[str]:
    if not first or not section.legend:
        return [section.title]
    return wrapped(f"{section.title}  ", section.legend, "; ")


def _line(row: Row, block: Sequence[int | str], label: int, width: int, digits: int) -> str:
    """The row's part of a block; empty where it has none. A remark stands in the first block."""
    if not len(row.values):
        return row.label if 0 in block else ""
    cells = [row.total if isinstance(c, str) else row.values[c] for c in block]
    written = ["" if v is None else number(v, digits) for v in cells]
    if not any(written):
        return ""
    name = row.label if len(row.label) <= label else row.label[: label - 1] + "…"
    return (f"{name:<{label}}" + "".join(f"{cell:>{width}}" for cell in written)).rstrip()
