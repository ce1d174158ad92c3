"""The script that reruns these tests reads what they noted, and says which goals were missed."""

import sys
from pathlib import Path

import pytest

from benchmarks import learning
from tinygrad_seq.bench import read_results

TESTS = """
import pytest

pytestmark = pytest.mark.slow

def test_it(reached):
    reached("copying, T = 100", "tanh RNN 64", 0.17345678, "0.1733 ± 5 %", "nats", "9 batches")

def test_other(reached):
    reached("a new task", "GRU 8", 3.0, "< 2", "nats", "2 epochs")
    assert 3.0 < 2

def test_skipped(reached):
    pytest.skip("no data")

def test_left_out(reached):
    reached("another", "GRU 8", 1.0, "< 2", "nats", "2 epochs")
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with tests of the kind that the script runs."""
    here = Path(__file__).parent
    (tmp_path / "tests/learning").mkdir(parents=True)
    (tmp_path / "tests/learning/test_some.py").write_text(TESTS)
    (tmp_path / "tests/learning/conftest.py").write_text((here / "conftest.py").read_text())
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = slow\nfilterwarnings = error\n")
    monkeypatch.setattr(learning, "ROOT", tmp_path)
    return tmp_path


def run(monkeypatch, *arguments):
    """Run the script; → its exit status."""
    monkeypatch.setattr(sys, "argv", ["learning.py", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        learning.main()
    return end.value.code


def test_what_was_reached_and_what_was_missed(folder, monkeypatch, capsys):
    assert run(monkeypatch, "--only", "not left_out", "--json", folder / "out.json") == 1
    met, missed = read_results(folder / "out.json")["rows"]  # a test that was skipped has no row
    assert met["figure"] == 0.17345678
    assert met["reached"]
    assert not missed["reached"]
    assert "Arjovsky" in met["published"]
    assert met["seconds"] >= 0
    lines = capsys.readouterr().out.splitlines()[-2:]
    assert lines[0].startswith("| copying, T = 100 | tanh RNN 64 | 0.1735 nats | 0.1733 ± 5 % |")
    assert "| 3 nats (missed) | < 2 | – | 2 epochs |" in lines[1]


def test_no_test_no_report(folder, monkeypatch):
    assert run(monkeypatch, "--only", "none", "--json", folder / "out.json") == (
        "learning: no test was run"
    )
    assert not (folder / "out.json").exists()
