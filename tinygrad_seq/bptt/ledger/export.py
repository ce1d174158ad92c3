"""A ledger as a file: CSV in long form, one number a line, or JSON.

Both hold every number exactly: read back as floats, they are the ledger's, bit by bit.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from tinygrad_seq.bptt.ledger.record import Ledger

SCHEMA = "tinygrad_seq.ledger/1"


@dataclass(frozen=True)
class Column:
    """An array of the ledger, and what its axes are: "s", "t", "batch", or "" for an index."""

    quantity: str
    name: str
    values: np.ndarray
    axes: tuple[str, ...] = ()

    def index(self, place: tuple[int, ...]) -> dict[str, int]:
        """What the CSV says of a place. Times count from 0, as t does; all else from 0 as well."""
        found, others = {}, 0
        for k, position in enumerate(place):
            axis = self.axes[k] if k < len(self.axes) else ""
            found[axis or f"i{others}"] = position
            others += not axis
        return found


def columns(ledger: Ledger) -> Iterator[Column]:
    """All that the ledger holds."""
    time, credit = ("t", "batch"), ("s", "t", "batch")
    yield Column("input", "x", ledger.inputs, time)
    for name, values in ledger.states.items():
        yield Column("state", name, values, time)
    for name, values in ledger.gates.items():
        yield Column("gate", name, values, time)
    yield Column("loss", "L", ledger.losses, ("t",))
    for name, values in ledger.credit.items():
        yield Column("credit", name, values, credit)
    yield Column("carried", "lambda", ledger.carried, credit)
    yield Column("jacobian", "J", ledger.jacobians, time)
    yield Column("singular_value", "J", ledger.singular_values, time)
    yield Column("spectral_radius", "J", ledger.spectral_radius, time)
    if ledger.bound is not None:
        yield Column("bound", "J", ledger.bound, ("t",))
    for name, values in (ledger.highway or {}).items():
        yield Column("highway", name, values, credit)
    for name, values in ledger.shares.items():
        yield Column("share", name, values, ("t",))
    for name, values in ledger.grad.items():
        yield Column("grad", name, values)
    for name, values in ledger.weights.items():
        yield Column("weight", name, values)


def to_csv(ledger: Ledger, path: str | Path) -> None:
    """One number a line: quantity, name, s, t, batch, i0, i1 …, value.

    s, t and batch are empty where the quantity has no such axis; i0, i1 … index the rest: the unit,
    or the place in a weight. All count from 0. Of the credit only t ≤ s is written. Of a highway,
    Π f from step t to step s, likewise. The rest of those squares is 0.
    """
    every = list(columns(ledger))
    most = max(c.values.ndim - len(c.axes) for c in every)
    heads = ["quantity", "name", "s", "t", "batch", *(f"i{k}" for k in range(most)), "value"]
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, heads, restval="", lineterminator="\n")
        writer.writeheader()
        for column in every:
            start = {"quantity": column.quantity, "name": column.name}
            for place, value in np.ndenumerate(column.values):
                where = column.index(place)
                if where.get("t", 0) <= where.get("s", ledger.steps):
                    writer.writerow({**start, **where, "value": repr(float(value))})


def to_json(ledger: Ledger, path: str | Path) -> None:
    """One object: schema, kind, nonlinearity, steps, batch, dtype, and quantity → name → nested
    lists with the axes of ``Ledger``. NaN and infinity, which JSON does not know, are the strings
    "nan", "inf" and "-inf"."""
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "kind": ledger.kind,
        "nonlinearity": ledger.nonlinearity,
        "steps": ledger.steps,
        "batch": ledger.batch,
        "dtype": str(ledger.carried.dtype),
    }
    for column in columns(ledger):
        values = _plain(column.values.astype(float).tolist())
        document.setdefault(column.quantity, {})[column.name] = values
    text = json.dumps(document, allow_nan=False, ensure_ascii=False)
    Path(path).write_text(text + "\n", encoding="utf-8")


def _plain(values: Any) -> Any:
    """Lists as they are, with words for what is not finite."""
    if isinstance(values, list):
        return [_plain(value) for value in values]
    return values if math.isfinite(values) else str(values)
