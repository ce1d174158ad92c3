"""Training processes that are interrupted or killed, and resumed, end bitwise where others end."""

import signal
import subprocess
import sys

import pytest

from tinygrad_seq.train import RunFolder
from tinygrad_seq.train.log import read_log

SIZES = ["--hidden", "5", "--batch", "4", "--steps", "43", "--dropout", "0.2", "--log-every", "1",
         "--look-every", "20", "--checkpoint-every", "10"]  # fmt: skip
TASKS = {
    "char-lm": ["--text", "text.txt", "--embedding", "3", "--bptt", "6", *SIZES],
    "adding": ["--length", "8", *SIZES],
    "gpt": ["--text", "text.txt", "--width", "8", "--heads", "2", "--context", "6", *SIZES[2:]],
}

# A process that sends itself a signal when the line of step 27 has been written.
DRIVER = """
import os, sys
from tinygrad_seq.cli import main
from tinygrad_seq.train.progress import Progress
show, number = Progress.__call__, int(sys.argv[1])
def call(self, event):
    show(self, event)
    if event["event"] == "train" and event["step"] == 27:
        os.kill(os.getpid(), number)
if number:
    Progress.__call__ = call
sys.exit(main(sys.argv[2:]))
"""


@pytest.fixture
def run(tmp_path, environment):
    text = tmp_path / "text.txt"
    text.write_text("she sells sea shells by the sea shore. " * 12)

    def call(number, *arguments):
        command = [sys.executable, "-c", DRIVER, str(int(number)), "train", *arguments]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=120,
                              env=environment)  # fmt: skip

    def start(number, out, task):
        return call(number, task, "--out", out, *TASKS[task])

    return tmp_path, start, lambda out: call(0, "--resume", out)


@pytest.mark.parametrize(
    ("task", "number", "status", "saved_at"),
    [
        ("char-lm", signal.SIGINT, 130, 27),
        ("char-lm", signal.SIGTERM, 130, 27),
        ("char-lm", signal.SIGKILL, -9, 20),
        ("adding", signal.SIGINT, 130, 27),
        ("adding", signal.SIGKILL, -9, 20),
        ("gpt", signal.SIGKILL, -9, 20),
    ],
)
def test_killed_and_resumed_equals_uninterrupted(run, task, number, status, saved_at):
    folder, start, resume = run
    whole = start(0, "whole", task)
    assert whole.returncode == 0, whole.stderr
    cut = start(number, "cut", task)
    assert cut.returncode == status, cut.stderr
    assert "Traceback" not in cut.stderr
    assert ("--resume cut" in cut.stdout) == (status == 130)
    assert RunFolder(folder / "cut").load()["position"]["step"] == saved_at
    resumed = resume("cut")
    assert resumed.returncode == 0, resumed.stderr
    assert f"from step {saved_at}" in resumed.stdout
    one, other = (folder / name / "checkpoint.safetensors" for name in ("whole", "cut"))
    assert one.read_bytes() == other.read_bytes()
    one, other = (
        [(e["event"], e.get("step"), e.get("loss"), e.get("text"))
         for e in read_log(folder / name / "log.jsonl")[1:]]
        for name in ("whole", "cut")
    )  # fmt: skip
    assert one == other
