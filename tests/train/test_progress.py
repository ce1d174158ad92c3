"""What one sees of a run: live on a terminal, plain elsewhere, 80 columns in both."""

import io
import re

import pytest
from rich.console import Console

from tinygrad_seq.train import TASKS
from tinygrad_seq.train.progress import Progress, clock, indented, printable, thousands

TRAIN = {
    "event": "train", "step": 120, "epoch": 0.5, "loss": 2.3456, "bits_per_character": 3.3840,
    "grad_norm": 12.345, "clipped": 0.999, "lr": 0.01, "seconds": 60.0,
    **{f"{task.items[0]}_per_second": 123456.7 for task in TASKS.values()},
}  # fmt: skip
SCORE = {"loss": 2.5, "bits_per_character": 3.6, "accuracy": 0.5, "near": 0.25, "recalled": 0.125,
         "exact": 0.75}  # fmt: skip
LOOK = [
    {"event": "validation", "step": 120, **SCORE},
    {"event": "sample", "step": 120, "text": "\x1b[2Jone\ntwo " + "w" * 200},
]


def shown(terminal, task="char-lm"):
    screen = Console(file=io.StringIO(), force_terminal=terminal, width=80, markup=False,
                     highlight=False)  # fmt: skip
    with Progress(screen, TASKS[task], 100_000) as progress:
        for event in ({**TRAIN, "step": 99_999}, *LOOK, {**TRAIN, "step": 100_000}):
            progress(event)
    return screen.file.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
def test_everything_is_shown_and_fits(terminal):
    text = shown(terminal)
    assert ("\x1b" in text) == terminal
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r", "\n")
    for words in ("100000", "2.346 nats", "3.384 bits/char", "123.5k tok/s", "|g| 12.35",
                  "clipped 100%", "left", "validation 2.500 nats per char",
                  "two www"):  # fmt: skip
        assert words in plain, words
    assert max(map(len, plain.split("\n"))) <= 80
    assert "\\x1b[2J" in plain  # what a terminal would obey is shown instead


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("digits", ("2.346 nats", "123.5k img/s", "validation 50.00% accuracy, 2.500 nats per")),
        ("adding", ("2.34560 MSE", "123.5k seq/s", "2.50000 mean squared error, 25.0% within")),
        ("copy", ("2.3456 nats", "123.5k seq/s", "2.5000 nats per step, 12.5% recalled")),
        ("gpt", ("2.346 nats 3.384 bits/char", "123.5k tok/s", "validation 2.500 nats per char")),
        ("vit", ("2.346 nats", "123.5k img/s", "validation 50.00% accuracy, 2.500 nats per")),
        ("seq2seq", ("2.3456 nats", "123.5k lines/s", "validation 75.00% without a mistake, 2.5")),
        ("music", ("2.346 nats/frame", "123.5k frames/s", "validation 2.500 nats per frame")),
    ],
)
def test_every_task_has_its_own_words(task, words):
    text = shown(False, task)
    for word in words:
        assert word in text, word
    assert max(map(len, text.split("\n"))) <= 80


def test_time_left_follows_from_the_steps_done():
    screen = Console(file=io.StringIO(), force_terminal=False, width=80)
    with Progress(screen, TASKS["char-lm"], 240) as progress:
        progress(TRAIN)
    assert "1:00 left" in screen.file.getvalue()


def test_small_helpers():
    assert [thousands(n) for n in (0, 999, 1000, 41_300)] == ["0", "999", "1.0k", "41.3k"]
    assert [clock(s) for s in (0, 65, 3665)] == ["0:00", "1:05", "1:01:05"]
    assert printable("a\tb\n\x07é") == "a\tb\n\\x07é"
    assert indented("\nab\n\ncd\n") == "  | ab\n  |\n  | cd"
    assert indented("abcde", width=2) == "  | ab\n  | cd\n  | e"
