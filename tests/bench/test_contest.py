"""Contests: everybody gets the same turns, and nobody's death goes unnoticed."""

import sys

import pytest

from tinygrad_seq.bench import compare_processes, standings, take_turns
from tinygrad_seq.bench.contest import ContestError
from tinygrad_seq.errors import ArgumentError

# A contestant that speaks the protocol of ``serve`` with made-up times.
FAKE = """
import json, os, sys
for i, _ in enumerate(sys.stdin):
    if i == {rounds}:
        sys.exit(3)
    print(json.dumps([{seconds}, {seconds}] + [float(os.environ["OMP_NUM_THREADS"])]), flush=True)
"""
REAL = "from tinygrad_seq.bench import serve; serve(lambda: sum(range({n})), repeat=3, warmup=1)"


def fake(seconds, rounds=-1):
    return [sys.executable, "-S", "-c", FAKE.format(seconds=seconds, rounds=rounds)]


def test_turns_alternate_and_so_does_their_order():
    played = []

    def player(name):
        return lambda: played.append(name) or [1.0]

    times = take_turns({name: player(name) for name in "abc"}, 3)
    assert "".join(played) == "abccbaabc"
    assert times == {name: [1.0] * 3 for name in "abc"}


def test_standings_are_medians_and_ratios_of_medians():
    table = standings({"ours": [1.0, 3.0, 100.0], "theirs": [4.0, 4.0, 4.0, 8.0]}, "theirs")
    assert table["ours"].seconds == 3.0
    assert table["ours"].ratio == 0.75
    assert (table["ours"].low, table["ours"].high) == (2.0, 51.5)
    assert table["theirs"].ratio == 1.0
    assert table["theirs"].tries == 4


def test_processes_are_asked_in_turn_with_their_threads():
    commands = {"slow": fake(6.0), "fast": fake(2.0)}
    table = compare_processes(commands, base="fast", rounds=4, threads=2)
    assert table["slow"].ratio == 3.0
    assert table["slow"].tries == 12
    assert table["fast"].low == 2.0


def test_serve_speaks_the_protocol():
    commands = {n: [sys.executable, "-c", REAL.format(n=n)] for n in ("1", "300_000")}
    table = compare_processes(commands, base="1", rounds=2)
    assert table["1"].tries == 6
    assert table["300_000"].ratio > 10


def test_a_process_that_dies_is_named():
    commands = {"steady": fake(1.0), "frail": fake(1.0, rounds=1)}
    with pytest.raises(ContestError, match="frail: its process ended with exit status 3"):
        compare_processes(commands, base="steady", rounds=3)


def test_bad_arguments_are_refused():
    with pytest.raises(ArgumentError, match="base to be one of a, got 'b'"):
        compare_processes({"a": fake(1.0)}, base="b")
    with pytest.raises(ArgumentError, match="rounds ≥ 1"):
        take_turns({}, 0)
