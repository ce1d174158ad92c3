"""Numbers read back from what a ledger prints."""

import re

import numpy as np

NUMBER = r"-?(?:\d+\.?\d*(?:e[+-]?\d+)?|nan|inf)"


def read_table(text):
    """label → {column: number}, over all blocks; a column is "t = 3" or "Σ"."""
    found, ends = {}, {}
    for line in text.split("\n"):
        heads = list(re.finditer(r"t = \d+|Σ", line))
        if heads and not line[: heads[0].start()].strip():
            ends = {head.group(): head.end() for head in heads}
            first = min(ends.values())
            continue
        # The label ends where the number in the first column may begin.
        cells = {}
        for name, end in ends.items():
            number = re.search(rf"(?:^| )({NUMBER})$", line[:end])
            if number and len(line) >= end:
                cells[name] = float(number[1])
        if cells and not line.startswith(("RNN", "LSTM", "GRU", "cell", "with", "…")):
            label = re.sub(rf"(?: +{NUMBER})+$", "", line).strip()
            assert len(label) <= first
            found.setdefault(label, {}).update(cells)
    return found


def row(table, label, steps):
    """(T+1,) numbers of a row, NaN where there is none."""
    return np.array([table[label].get(f"t = {t}", np.nan) for t in range(steps + 1)])


def rows(table, label, size, steps):
    """(T+1, size) numbers of the rows "label [1]" … ."""
    names = [label] if size == 1 else [f"{label} [{k + 1}]" for k in range(size)]
    return np.stack([row(table, name, steps) for name in names], axis=1)


def joined(text):
    """The lines of an explanation, those that were wrapped put together."""
    lines = []
    for line in text.split("\n"):
        before = lines[-1] if lines else ""
        if before.endswith(("+", "⊙")) or before.count("[") > before.count("]"):
            lines[-1] += " " + line.strip()
        else:
            lines.append(line)
    return lines


def vectors(line):
    """The vectors of numbers in a line."""
    words = re.findall(rf"\[((?:{NUMBER})(?:, (?:{NUMBER}))*)\]", line)
    return [np.array([float(v) for v in word.split(", ")]) for word in words]


def worked_out(line):
    """What "= [..] ⊙ [..] + [..]" comes to."""
    return sum(np.prod(vectors(part), axis=0) for part in line.split(" + "))


def equations(text):
    """left → (what the numbers come to, or None where there are only symbols; the result)."""
    found, name, lines = {}, "", []

    def keep():
        if name and lines:
            result = vectors(lines[-1])
            if len(result) == 1:
                made = worked_out(lines[-2]) if len(lines) > 1 and vectors(lines[-2]) else None
                found.setdefault(name, (made, result[0]))

    for line in joined(text):
        start = re.match(r"  (\S+) = (.*)", line)
        more = re.match(r" +(= .*)", line)
        if more:
            lines.append(more[1])
            continue
        keep()
        name, lines = (start[1], [start[2]]) if start else ("", [])
    keep()
    return found
