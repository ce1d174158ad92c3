"""What one sees of a run: live on a terminal, plain elsewhere, 80 columns in both."""

import io
import re

import pytest
from rich.console import Console

from tinygrad_seq.train.progress import Progress, clock, indented, printable, thousands

TRAIN = {
    "event": "train", "step": 120, "epoch": 0.5, "loss": 2.3456, "bits_per_character": 3.3840,
    "grad_norm": 12.345, "clipped": 0.999, "lr": 0.01, "tokens_per_second": 123456.7,
    "seconds": 60.0,
}  # fmt: skip
LOOK = [
    {"event": "validation", "step": 120, "loss": 2.5, "bits_per_character": 3.6, "streams": 4},
    {"event": "sample", "step": 120, "text": "\x1b[2Jone\ntwo " + "w" * 200},
]


def shown(terminal):
    screen = Console(file=io.StringIO(), force_terminal=terminal, width=80, markup=False,
                     highlight=False)  # fmt: skip
    with Progress(screen, 100_000) as progress:
        for event in ({**TRAIN, "step": 99_999}, *LOOK, {**TRAIN, "step": 100_000}):
            progress(event)
    return screen.file.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
def test_everything_is_shown_and_fits(terminal):
    text = shown(terminal)
    assert ("\x1b" in text) == terminal
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r", "\n")
    for words in ("100000", "2.346 nats", "3.384 bits/char", "123.5k tok/s", "|g| 12.35",
                  "clipped 100%", "left", "validation loss 2.500 nats", "two www"):  # fmt: skip
        assert words in plain, words
    assert max(map(len, plain.split("\n"))) <= 80
    assert "\\x1b[2J" in plain  # what a terminal would obey is shown instead


def test_time_left_follows_from_the_steps_done():
    screen = Console(file=io.StringIO(), force_terminal=False, width=80)
    with Progress(screen, 240) as progress:
        progress(TRAIN)
    assert "1:00 left" in screen.file.getvalue()


def test_small_helpers():
    assert [thousands(n) for n in (0, 999, 1000, 41_300)] == ["0", "999", "1.0k", "41.3k"]
    assert [clock(s) for s in (0, 65, 3665)] == ["0:00", "1:05", "1:01:05"]
    assert printable("a\tb\n\x07é") == "a\tb\n\\x07é"
    assert indented("\nab\n\ncd\n") == "  | ab\n  |\n  | cd"
    assert indented("abcde", width=2) == "  | ab\n  | cd\n  | e"
