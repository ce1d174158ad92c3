"""The log: one JSON object per line, cut back to the checkpoint on resuming."""

import json

import pytest

from tinygrad_seq.errors import StateError
from tinygrad_seq.train.log import JsonLog, read_log


def written(path, count):
    log = JsonLog(path)
    for step in range(count):
        log.write({"event": "train", "step": step, "text": "é\n\u2028"})
    log.sync()
    log.close()
    return path


def test_every_event_is_one_line(tmp_path):
    path = written(tmp_path / "log.jsonl", 3)
    lines = path.read_bytes().split(b"\n")
    assert len(lines) == 4
    assert [json.loads(line)["step"] for line in lines[:3]] == [0, 1, 2]
    assert read_log(path)[1] == {"event": "train", "step": 1, "text": "é\n\u2028"}


@pytest.mark.parametrize("keep", [0, 2, 3])
def test_lines_after_the_checkpoint_are_dropped(tmp_path, keep):
    path = written(tmp_path / "log.jsonl", 3)
    log = JsonLog(path, keep)
    log.write({"event": "end"})
    log.close()
    assert log.lines == keep + 1
    events = [event["event"] for event in read_log(path)]
    assert events == ["train"] * keep + ["end"]


def test_half_a_line_after_the_checkpoint_does_no_harm(tmp_path):
    path = written(tmp_path / "log.jsonl", 3)
    path.write_bytes(path.read_bytes()[:-5])
    JsonLog(path, 2).close()
    assert [event["step"] for event in read_log(path)] == [0, 1]


def test_a_log_shorter_than_the_checkpoint_says_is_refused_and_left_alone(tmp_path):
    path = written(tmp_path / "log.jsonl", 3)
    before = path.read_bytes()
    with pytest.raises(StateError, match="expected the 4 lines"):
        JsonLog(path, 4)
    assert path.read_bytes() == before


def test_a_number_that_json_lacks_is_refused(tmp_path):
    log = JsonLog(tmp_path / "log.jsonl")
    with pytest.raises(ValueError, match="JSON"):
        log.write({"event": "train", "loss": float("nan")})
    log.close()
    assert log.lines == 0


@pytest.mark.parametrize(("line", "message"), [("{", "line 2 is not JSON"), ("[]", "no event")])
def test_reading_what_is_no_log(tmp_path, line, message):
    path = written(tmp_path / "log.jsonl", 1)
    path.write_text(path.read_text("utf-8") + line + "\n", "utf-8")
    with pytest.raises(StateError, match=message):
        read_log(path)
