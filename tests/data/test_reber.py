"""The Reber grammars, against a regular expression and averages worked out by hand."""

import re
from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_seq.backend import Generator
from tinygrad_seq.data import EMBEDDED_REBER, REBER, legal_first
from tinygrad_seq.errors import ArgumentError, DataError, ShapeError

# Another way to write the automaton: from the fork behind P (3), T* V then either the V that ends
# it or P X back to 3; from the fork behind T (2), S* X then either S or X into 3.
BEHIND_P = "(?:T*VPX)*T*V(?:V|PS)"
PLAIN = f"B(?:TS*X(?:S|X{BEHIND_P})|P{BEHIND_P})E"
PATTERN = {REBER: PLAIN, EMBEDDED_REBER: f"B(?:T{PLAIN}T|P{PLAIN}P)E"}
BOTH = pytest.mark.parametrize("grammar", [REBER, EMBEDDED_REBER], ids=repr)


@BOTH
def test_what_is_drawn_is_of_the_grammar(grammar):
    for string in grammar.strings(2000, Generator(0)):
        assert re.fullmatch(PATTERN[grammar], string)
        assert grammar.accepts(string)


@BOTH
def test_the_checker_agrees_with_the_regular_expression_on_damaged_strings(grammar):
    rng = np.random.default_rng(0)
    refused = 0
    for string in grammar.strings(3000, Generator(1)):
        at = rng.integers(len(string))
        damaged = string[:at] + "BTSXPVE"[rng.integers(7)] + string[at + rng.integers(2) :]
        assert grammar.accepts(damaged) is bool(re.fullmatch(PATTERN[grammar], damaged))
        refused += not grammar.accepts(damaged)
    assert 1000 < refused < 3000


@given(st.text("BTSXPVE", max_size=9))
def test_the_checker_agrees_on_any_string(string):
    assert REBER.accepts(string) is bool(re.fullmatch(PLAIN, string))


@pytest.mark.parametrize("string", ["BTXSE", "BPVVE", "BTSSXXTVVE", "BPTVPXTTVVE", "BTSXXVPSE"])
def test_strings_from_the_literature_are_accepted(string):
    assert REBER.accepts(string)
    assert EMBEDDED_REBER.accepts(f"BT{string}TE")
    assert EMBEDDED_REBER.accepts(f"BP{string}PE")
    assert not EMBEDDED_REBER.accepts(f"BT{string}PE")  # this is what must be remembered
    assert not EMBEDDED_REBER.accepts(string)


@pytest.mark.parametrize("string", ["", "B", "BTXS", "BTXSEE", "TXSE", "BTVSE", "btxse", "BTXS?"])
def test_what_is_not_a_whole_string_is_not_accepted(string):
    assert not REBER.accepts(string)


@BOTH
def test_legal_symbols_are_those_after_which_the_string_can_still_be_finished(grammar):
    """Every prefix of a string of the grammar, and only those, can be finished."""
    strings = grammar.strings(3000, Generator(2))
    prefixes = {s[:n] for s in strings for n in range(len(s) + 1)}
    for string in strings[:200]:
        legal = grammar.legal(string)
        assert legal.shape == (len(string) - 1, 7)
        for t, row in enumerate(legal):
            for symbol, allowed in zip(grammar.symbols, row, strict=True):
                if not allowed:
                    assert string[: t + 1] + symbol not in prefixes
            assert row[grammar.symbols.index(string[t + 1])]


def test_legal_symbols_worked_out_by_hand():
    found = ["".join(np.array(list("BTSXPVE"))[row]) for row in EMBEDDED_REBER.legal("BPBTXSEPE")]
    assert found == ["TP", "B", "TP", "SX", "SX", "E", "P", "E"]


@BOTH
def test_legal_symbols_of_a_string_that_is_cut_short(grammar):
    (string,) = grammar.strings(1, Generator(5))
    for n in range(1, len(string)):
        assert (grammar.legal(string[:n]) == grammar.legal(string)[: n - 1]).all()
    assert grammar.legal("").shape == (0, 7)


@pytest.mark.parametrize(
    ("string", "message"),
    [
        ("BTBPVVEPE", "expected T at 7 of 'BTBPVVEPE', got P"),
        ("BXB", "expected T or P at 1 of 'BXB', got X"),
        ("BTBPVVETEE", "expected the end at 9 of 'BTBPVVETEE', got E"),
    ],
)
def test_a_break_of_the_grammar_is_named_with_its_place(string, message):
    with pytest.raises(DataError, match=message):
        EMBEDDED_REBER.legal(string)


@pytest.mark.parametrize(("grammar", "length", "forks"), [(REBER, 8, 6), (EMBEDDED_REBER, 12, 7)])
def test_mean_length_and_mean_cost_are_those_worked_out(grammar, length, forks):
    strings = grammar.strings(4000, Generator(0))
    assert np.mean([len(s) for s in strings]) == pytest.approx(length, rel=0.02)
    cost = [np.log(grammar.legal(s).sum(axis=1)).sum() for s in strings]
    assert np.mean(cost) == pytest.approx(forks * log(2), rel=0.03)


@BOTH
def test_a_seed_fixes_the_strings(grammar):
    assert grammar.strings(50, Generator(7)) == grammar.strings(50, Generator(7))
    assert grammar.strings(50, Generator(7)) != grammar.strings(50, Generator(8))


def test_a_batch_lines_up_inputs_targets_and_what_is_legal():
    strings = ["BTXSE", "BPTVVE"]
    batch = REBER.batch(strings)
    assert batch.lengths.tolist() == [4, 5]
    assert batch.inputs.shape == batch.targets.shape == (5, 2)
    assert batch.legal.shape == (5, 2, 7)
    for b, string in enumerate(strings):
        n = len(string) - 1
        assert batch.inputs[:n, b].tolist() == REBER.encode(string[:-1]).tolist()
        assert batch.targets[:n, b].tolist() == REBER.encode(string[1:]).tolist()
        assert np.take_along_axis(batch.legal[:n, b], batch.targets[:n, b, np.newaxis], 1).all()
        assert not batch.legal[n:, b].any()
    assert REBER.encode("BTSXPVE").tolist() == list(range(7))


def test_a_string_is_right_if_the_legal_symbols_come_first_at_every_step():
    batch = EMBEDDED_REBER.batch(EMBEDDED_REBER.strings(4, Generator(3)))
    scores = np.where(batch.legal, 0.1, 0.0) + 5  # padding has no legal symbol
    assert legal_first(scores, batch.legal).tolist() == [True] * 4
    t = batch.lengths[2] - 2  # where the second symbol comes again
    scores[t, 2] = scores[t, 2, ::-1]
    assert legal_first(scores, batch.legal).tolist() == [True, True, False, True]
    scores[0, 0] = 1  # a tie decides nothing
    assert legal_first(scores, batch.legal).tolist() == [False, True, False, True]
    with pytest.raises(ShapeError, match="legal_first: expected scores"):
        legal_first(scores[:-1], batch.legal)


def test_what_makes_no_sense_is_refused():
    with pytest.raises(DataError, match="Reber grammar: expected strings of its own, got 'BTX'"):
        REBER.batch(["BTXSE", "BTX"])
    with pytest.raises(DataError, match="symbols of BTSXPVE, got 'BA'"):
        REBER.encode("BA")
    with pytest.raises(ArgumentError, match="count ≥ 0, got -1"):
        REBER.strings(-1, Generator(0))
