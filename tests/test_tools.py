"""The tools that accept a change would notice what they are there to notice."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.tools.no_skipped_oracle import skipped_for_torch
from tests.tools.readme_command import readme_command

TOOLS = Path(__file__).parent / "tools"
README = Path(__file__).parents[1] / "README.md"


@pytest.mark.parametrize("name", ["main job", "test"])
def test_the_readme_marks_its_commands(name):
    command = readme_command(README.read_text(), name)
    assert command.startswith("python3 -m venv .venv")
    assert "\n" not in command


def test_a_command_is_taken_as_printed():
    text = "<!-- command: a -->\n```bash\nfirst && \\\n  second\n```\n\n```bash\nother\n```\n"
    assert readme_command(text, "a") == "first && \\\n  second"
    for wrong in ("", text + text, "<!-- command: a -->\n\ntext\n\n```\nx\n```\n"):
        with pytest.raises(SystemExit, match="expected one block"):
            readme_command(wrong, "a")


@pytest.mark.parametrize(
    ("body", "missed"),
    [
        ("", []),
        ("<skipped message='no GPU'>conftest.py:36: no GPU</skipped>", []),
        ("<skipped message='the oracle, torch, is not installed'/>", ["t.ops::test_a"]),
        ("<skipped message='x'>could not import 'Torch'</skipped>", ["t.ops::test_a"]),
    ],
)
def test_skipped_oracles_are_found(tmp_path, body, missed):
    report = tmp_path / "report.xml"
    case = f"<testcase classname='t.ops' name='test_a'>{body}</testcase>"
    report.write_text(f"<testsuites><testsuite>{case}</testsuite></testsuites>")
    assert skipped_for_torch(str(report)) == missed
    run = subprocess.run([sys.executable, TOOLS / "no_skipped_oracle.py", report])
    assert run.returncode == len(missed)


@pytest.mark.parametrize(("cell", "status"), [("assert 1 + 1 == 2", 0), ("assert False", 1)])
def test_a_failing_notebook_is_noticed(tmp_path, cell, status):
    nbformat = pytest.importorskip("nbformat", reason="nbclient is not installed")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed")
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)])
    nbformat.write(book, tmp_path / "a.ipynb")
    run = subprocess.run(
        [sys.executable, TOOLS / "run_notebooks.py", tmp_path], capture_output=True, text=True
    )
    assert run.returncode == status, run.stderr
    assert ("1 notebooks ran" in run.stdout) is (status == 0)
