"""The example package checks its own ops and layers, from outside."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[1] / "example_package"


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Run a copy of the package's tests in a process of its own; → exit status and output."""
    caches = shutil.ignore_patterns("__pycache__", ".hypothesis")
    copy = shutil.copytree(EXAMPLE, tmp_path / "example", ignore=caches)
    monkeypatch.setenv("PYTHONPATH", str(EXAMPLE.parents[1]))
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)

    def go(*arguments):
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
        done = subprocess.run(command, cwd=copy, capture_output=True, text=True, timeout=200)
        assert not done.stderr
        return done.returncode, done.stdout

    return go


def test_all_is_right_with_the_example(run):
    status, text = run()
    assert status == 0, text
    assert re.search(r"\b10 passed", text)


def test_the_planted_mistake_is_blamed_on_its_place(run):
    status, text = run("--planted", "tests/test_planted.py", "--gradcheck-seed", "3")
    assert status == 1
    assert "1 failed, 1 passed" in text
    assert "d out / d x  pass       9 agree" in text
    assert "d out / d t  wrong      1 of 9 differ" in text
    assert "worst: d out[2] / d t[2]" in text
    assert re.search(r"analytic +-1\n +numeric +1 ", text)
    name = "tests/test_planted.py::test_one_sign_is_wrong"
    assert f"reproduce: pytest {name} --gradcheck-seed 3" in text
    assert "gradcheck: --gradcheck-seed 3" in text
    assert "Traceback" not in text
    shown = text[text.index("__ test_one_sign_is_wrong") : text.index("reproduce: pytest")]
    assert len(shown.splitlines()) <= 20, shown  # the report, and nothing else


def test_a_run_from_above_passes_it_by():
    neighbour = Path(__file__).with_name("test_names.py")
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run([*command, str(EXAMPLE), str(neighbour)], cwd=EXAMPLE.parents[1],
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "test_names.py::" in done.stdout
    assert "example_package" not in done.stdout
    assert "test_shrink" not in done.stdout


def test_it_uses_only_what_is_public():
    text = "".join(path.read_text() for path in EXAMPLE.rglob("*.py"))
    used = set(re.findall(r"(?:from|import) (tinygrad_seq[\w.]*)", text))
    assert used == {"tinygrad_seq", "tinygrad_seq.backend", "tinygrad_seq.gradcheck",
                    "tinygrad_seq.ops.primitive", "tinygrad_seq.ops.sample"}  # fmt: skip
    assert not re.search(r"(?:tg|nn|some)\._|import _", text)
