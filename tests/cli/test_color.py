"""``tinygrad-seq color`` and ``train --flow``, as they are called."""

import io
import re
import sys

import pytest

from tests.support import tasks
from tinygrad_seq.cli import main
from tinygrad_seq.train.log import read_log

TINY = ["--embedding", "3", "--hidden", "6", "--batch", "4", "--bptt", "6", "--steps", "4",
        "--look-every", "2"]  # fmt: skip
TEXT = "she sells\nsea shells."


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Finished runs on a short text, with their gradient flow looked at, and one of sums."""
    place = tmp_path_factory.mktemp("color")
    (place / "text.txt").write_text("she sells sea shells by the sea shore.\n" * 12)
    text = ["train", "char-lm", "--text", str(place / "text.txt"), *TINY]
    assert main([*text, "--flow", "--out", str(place / "run")]) == 0
    assert main([*text, "--layers", "2", "--model", "gru", "--out", str(place / "deep")]) == 0
    with pytest.MonkeyPatch.context() as monkeypatch:
        tasks.use(monkeypatch)
        sums = ["train", "adding", "--hidden", "3", "--batch", "2", "--length", "4", "--steps", "2"]
        assert main([*sums, "--out", str(place / "sums")]) == 0
    return place


@pytest.fixture
def call(folder, monkeypatch, capsys):
    """Run a command in that folder; → what it printed, or its complaint."""
    monkeypatch.chdir(folder)

    def run(*arguments, status=0):
        capsys.readouterr()
        assert main(list(arguments)) == status
        seen = capsys.readouterr()
        assert (seen.err == "") == (status == 0)
        assert "\x1b" not in seen.out
        assert max(map(len, seen.out.split("\n"))) <= 80
        return seen.out or seen.err

    return run


def test_without_a_unit_the_liveliest_is_shown_and_others_are_named(call):
    text = call("color", "run", TEXT)
    heading, _, first, marks, *_ = text.split("\n")
    assert re.fullmatch(r"unit \d of 6, h; it varies most, then \d, \d, \d, \d, \d", heading)
    assert first == "she sells↵"
    assert set(marks) <= set("=-+# ")
    unit = heading.split()[1]
    assert call("color", "run", TEXT, "--unit", unit).split("\n")[2:] == text.split("\n")[2:]


def test_units_layers_and_cells_are_chosen(call):
    shown = {call("color", "run", TEXT, "--unit", str(unit)) for unit in range(1, 7)}
    assert len(shown) == 6
    assert call("color", "run", TEXT, "--unit", "2", "--cell").startswith("unit 2 of 6, tanh c\n")
    below = call("color", "deep", TEXT, "--unit", "2", "--layer", "1")
    assert below.startswith("unit 2 of 6 of layer 1, h\n")
    assert call("color", "deep", TEXT, "--unit", "2").startswith("unit 2 of 6 of layer 2, h\n")


def test_a_terminal_sees_colours(folder, monkeypatch):
    screen = io.StringIO()
    screen.isatty = lambda: True
    for name, value in {"TERM": "xterm-256color", "COLUMNS": "40", "COLORTERM": ""}.items():
        monkeypatch.setenv(name, value)
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "stdout", screen)
    assert main(["color", str(folder / "run"), TEXT, "--unit", "1"]) == 0
    assert "48;5;" in screen.getvalue()
    monkeypatch.setenv("NO_COLOR", "1")
    screen.seek(0)
    screen.truncate()
    assert main(["color", str(folder / "run"), TEXT, "--unit", "1"]) == 0
    assert "48;5;" not in screen.getvalue()
    assert "= and - negative" in screen.getvalue()


def test_standard_input_is_read(call, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TEXT.encode() + b"\n")))
    assert call("color", "run", "-") == call("color", "run", TEXT)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"caf\xe9")))
    assert "expected UTF-8 text, got byte 0xe9 at 3" in call("color", "run", "-", status=2)


def test_a_page_and_a_picture_are_written(call, folder):
    pytest.importorskip("matplotlib")
    text = call("color", "run", TEXT, "--unit", "3", "--html", "a.html", "--plot", "a.svg")
    assert text == "all 6 units, h: a.svg\nunit 3 of 6, h: a.html\n"
    page = (folder / "a.html").read_text("utf-8")
    assert "<title>unit 3 of 6, h</title>" in page
    assert page.count("title=") == len(TEXT)
    assert "<!-- all 6 units, h -->" in (folder / "a.svg").read_text("utf-8")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", TEXT, "--unit", "7"], "color: expected a unit from 1 to 6, got 7"),
        (["run", TEXT, "--unit", "0"], "a unit from 1 to 6, got 0"),
        (["run", TEXT, "--unit", "first"], "--unit"),
        (["run", TEXT, "--layer", "2"], "a layer from 1 to 1, got 2"),
        (["deep", TEXT, "--cell"], "--cell only for an lstm, got gru"),
        (["run", ""], "a text of one character or more"),
        (["run", "Ω"], "'Ω' at position 0 is not among"),
        (["run", TEXT, "--plot", "a.txt"], "--plot: expected a file that ends in .png"),
        (["run", TEXT, "--html", "none/a.html"], "No such file or directory: none/a.html"),
        (["run", TEXT, "--device", "tpu"], "got 'tpu'"),
        (["sums", TEXT], "a run of char-lm, whose model is recurrent, got one of adding"),
        (["nowhere", TEXT], "nowhere holds no checkpoint"),
        (["run"], "TEXT"),
    ],
)
def test_mistakes_take_one_line(call, arguments, words):
    complaint = call("color", *arguments, status=2)
    assert words in complaint
    assert complaint.count("\n") == 1


def test_a_run_with_its_gradient_flow(call, folder):
    events = [event["event"] for event in read_log(folder / "run" / "log.jsonl")]
    assert events.count("flow") == events.count("validation") == 3
    pytest.importorskip("matplotlib")
    assert (folder / "run" / "flow.png").exists()
    assert not (folder / "deep" / "flow.png").exists()


@pytest.mark.parametrize("task", ["gpt", "seq2seq", "vit"])
def test_the_flow_of_other_tasks_is_refused(call, folder, monkeypatch, task):
    tasks.use(monkeypatch)
    text = ["--text", "text.txt", "--context", "5"] if task == "gpt" else []
    patch = ["--patch", "3"] if task == "vit" else []
    words = call("train", task, *text, *patch, "--flow", "--out", "never", status=2)
    assert f"flow: expected a task whose model is recurrent in one direction, such as char-lm or " \
           f"adding, got {task}" in words  # fmt: skip
    assert not (folder / "never").exists()


def test_flow_is_a_part_of_the_options_that_a_run_was_started_with(call):
    assert "--flow cannot be changed with --resume" in call("train", "--resume", "deep", "--flow",
                                                            status=2)  # fmt: skip
