"""What is kept of a measurement: the machine, and files that say by which schema."""

import json

import pytest

from tinygrad_seq.bench import SCHEMA, environment, read_results, write_results
from tinygrad_seq.errors import DataError


def test_environment_is_json_and_says_what_matters():
    found = environment(["cpu", "strict"])
    assert json.loads(json.dumps(found)) == found
    assert found["packages"]["numpy"]
    assert found["cores"] >= 1
    assert set(found["devices"]) == {"cpu", "strict:0"}
    assert len(found["source"]) == 16


def test_what_cannot_be_found_out_is_none(monkeypatch):
    monkeypatch.setenv("PATH", "")
    found = environment()
    assert found["commit"] is None
    assert found["changed_since_commit"] is None
    assert found["nvidia"] is None


def test_results_come_back(tmp_path):
    path = tmp_path / "deep" / "er" / "results.json"
    write_results(path, "tape", {"cores": 2}, [{"name": "a", "seconds": 0.5}], note="µ")
    record = read_results(path)
    assert record["schema"] == SCHEMA
    assert record["kind"] == "tape"
    assert record["rows"] == [{"name": "a", "seconds": 0.5}]
    assert record["note"] == "µ"
    assert [p.name for p in path.parent.iterdir()] == ["results.json"]


def test_what_was_there_stays_if_the_new_cannot_be_written(tmp_path):
    path = tmp_path / "results.json"
    write_results(path, "tape", {}, [])
    with pytest.raises(ValueError, match="JSON"):
        write_results(path, "tape", {}, [{"seconds": float("nan")}])
    assert read_results(path)["rows"] == []


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": "tinygrad_seq.bench/0"}'])
def test_what_are_no_results_is_refused(text, tmp_path):
    path = tmp_path / "results.json"
    path.write_text(text)
    with pytest.raises(DataError, match="results"):
        read_results(path)
    with pytest.raises(DataError, match="cannot read"):
        read_results(tmp_path / "nowhere.json")
