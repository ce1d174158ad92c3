"""A ledger written to a file and read back: the same numbers, bit by bit."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

import tinygrad_seq as tg
from tests.support.ledgers import NETS, Task, name_of
from tinygrad_seq import bptt, nn
from tinygrad_seq.bptt.ledger.export import SCHEMA, columns

SOME = [NETS[k] for k in (0, 3, 5, 8, 10)]


def everything(ledger):
    """(quantity, name) → array, written down once more."""
    found = {
        ("input", "x"): ledger.inputs,
        ("loss", "L"): ledger.losses,
        ("carried", "lambda"): ledger.carried,
        ("jacobian", "J"): ledger.jacobians,
        ("singular_value", "J"): ledger.singular_values,
        ("spectral_radius", "J"): ledger.spectral_radius,
    }
    for quantity, arrays in [
        ("state", ledger.states), ("gate", ledger.gates), ("credit", ledger.credit),
        ("highway", ledger.highway or {}), ("share", ledger.shares), ("grad", ledger.grad),
        ("weight", ledger.weights),
    ]:  # fmt: skip
        found |= {(quantity, name): array for name, array in arrays.items()}
    if ledger.bound is not None:
        found["bound", "J"] = ledger.bound
    return found


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("net", SOME, ids=name_of)
def test_csv_round_trip(net, dtype, tmp_path):
    ledger = Task(net, dtype, steps=3).ledger()
    ledger.to_csv(tmp_path / "a.csv")
    expected = everything(ledger)
    found = {key: np.zeros_like(array) for key, array in expected.items()}
    with open(tmp_path / "a.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[:5] == ["quantity", "name", "s", "t", "batch"]
    seen = set()
    for row in rows:
        key = (row["quantity"], row["name"])
        order = ["s", "t", "batch", *(name for name in row if name[0] == "i")]
        place = tuple(int(row[axis]) for axis in order if row[axis])
        assert (*key, place) not in seen
        seen.add((*key, place))
        found[key][place] = float(row["value"])
    assert found.keys() == expected.keys()
    for key, array in expected.items():
        np.testing.assert_array_equal(found[key], array, err_msg=str(key))
    times = {(row["s"], row["t"]) for row in rows if row["quantity"] == "credit"}
    assert times == {(str(s), str(t)) for s in range(4) for t in range(s + 1)}


@pytest.mark.parametrize("net", SOME, ids=name_of)
def test_json_round_trip(net, tmp_path):
    ledger = Task(net, steps=3).ledger()
    ledger.to_json(str(tmp_path / "a.json"))
    document = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    head = {
        k: document.pop(k) for k in ("schema", "kind", "nonlinearity", "steps", "batch", "dtype")
    }
    assert head == {
        "schema": SCHEMA, "kind": ledger.kind, "nonlinearity": ledger.nonlinearity, "steps": 3,
        "batch": 2, "dtype": "float64",
    }  # fmt: skip
    found = {(q, n): np.array(v) for q, arrays in document.items() for n, v in arrays.items()}
    expected = everything(ledger)
    assert found.keys() == expected.keys()
    for key, array in expected.items():
        np.testing.assert_array_equal(found[key], array, err_msg=str(key))


def test_nothing_of_the_record_is_left_out():
    """Every array among the ledger's fields is in one of the columns."""
    ledger = Task(NETS[5], steps=2).ledger()
    written = [id(column.values) for column in columns(ledger)]
    for name, value in vars(ledger).items():
        arrays = value.values() if isinstance(value, dict) else [value]
        for array in arrays:
            assert not isinstance(array, np.ndarray) or id(array) in written, name


def test_what_is_not_finite(tmp_path):
    net = nn.RNN(1, 1, nonlinearity="relu", dtype=np.float64)
    ledger = bptt.ledger(net, tg.ones(2, 1, 1, dtype=np.float64), lambda h, t: h.sum())
    odd = replace(ledger, losses=np.array([0.0, np.inf, np.nan]))
    odd.to_json(tmp_path / "a.json")
    document = json.loads(
        (tmp_path / "a.json").read_text(encoding="utf-8"), parse_constant=pytest.fail
    )
    assert document["loss"]["L"] == [0.0, "inf", "nan"]
    np.testing.assert_array_equal([float(v) for v in document["loss"]["L"]], odd.losses)
    odd.to_csv(tmp_path / "a.csv")
    lines = (tmp_path / "a.csv").read_text(encoding="utf-8").split("\n")
    assert [v.rsplit(",", 1)[1] for v in lines if v.startswith("loss,")] == ["0.0", "inf", "nan"]
