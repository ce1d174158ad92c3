"""The list of mistakes: each is one, each has its words, and none is taken for another."""

from itertools import combinations

import numpy as np
import pytest

import tinygrad_seq as tg
from tinygrad_seq import nn
from tinygrad_seq.bptt.compare.record import recorded
from tinygrad_seq.bptt.compare.textbook import Pick, signals_of
from tinygrad_seq.bptt.compare.textbook.gather import gathered, misgathered, shares
from tinygrad_seq.bptt.compare.words import IN_GATHERING, ON_THE_WAY, SLOPES, sentence

LAYERS = [
    lambda: nn.RNN(4, 4),
    lambda: nn.RNN(3, 4, nonlinearity="relu"),
    lambda: nn.RNN(3, 4, nonlinearity="sigmoid"),
    lambda: nn.RNN(2, 3),
    lambda: nn.LSTM(4, 4),
    lambda: nn.GRU(4, 4),
    lambda: nn.GRU(3, 4, update="take", reset_after=False),
]
#: two words for one thing
SAME = [{"update_sign", "gate_sign:z"}]


def run_of(make):
    tg.manual_seed(1)
    model = make()
    run, unrolled = recorded(model, tg.randn(4, 3, model.input_size), None, None, 0)
    return run, unrolled.truth(run.dh).suffix(4)


def gradients(signals):
    """All of them as one vector."""
    names = [n for n in signals.run.shapes() if n not in ("da", "dh", "dc")]
    return np.concatenate([gathered(signals, n).ravel() for n in names])


@pytest.mark.parametrize("make", LAYERS)
def test_without_a_mistake_it_is_the_tapes(make):
    run, tape = run_of(make)
    signals = signals_of(run)
    for name in run.shapes():
        np.testing.assert_allclose(gathered(signals, name), tape[name], rtol=1e-10, atol=1e-12)
    for name in ("db", "dWx", "dWh"):
        np.testing.assert_allclose(shares(signals, name).sum((0, 1)), tape[name], atol=1e-12)


@pytest.mark.parametrize("make", LAYERS)
def test_every_mistake_on_the_way_differs_from_the_truth_and_from_the_others(make):
    run, _ = run_of(make)
    pick = Pick()
    made = {"": gradients(signals_of(run, pick=pick))}
    assert len(pick.offered) >= 18
    for mistake in pick.offered:
        made[mistake] = gradients(signals_of(run, [mistake]))
        assert sentence(mistake, (), run.gates)
    for (a, one), (b, two) in combinations(made.items(), 2):
        far = np.linalg.norm(one - two) / np.linalg.norm(made[""])
        assert far > 1e-6 or {a, b} in SAME, (a, b)


@pytest.mark.parametrize("make", LAYERS)
def test_every_mistake_in_gathering_differs_from_the_truth_and_from_the_others(make):
    run, _ = run_of(make)
    signals = signals_of(run)
    for name in run.shapes():
        right = gathered(signals, name)
        made = [("", right), *misgathered(signals, name)]
        assert len({mistake for mistake, _ in made}) == len(made)
        for (a, one), (b, two) in combinations(made, 2):
            assert one.shape == two.shape == right.shape
            assert np.linalg.norm(one - two) > 1e-6 * np.linalg.norm(right), (name, a, b)
            assert sentence(b, [name], run.gates).startswith(name)


def test_there_are_no_words_for_what_is_no_mistake():
    """Every sentence belongs to a mistake that some layer's backward pass offers."""
    offered, gathering = set(), set()
    for make in LAYERS:
        run, _ = run_of(make)
        pick = Pick()
        signals = signals_of(run, pick=pick)
        offered |= set(pick.offered)
        for name in run.shapes():
            gathering |= {mistake.partition(":")[0] for mistake, _ in misgathered(signals, name)}
    places = {m.partition(":")[0] for m in offered}
    assert {m.partition(":")[0] for m in ON_THE_WAY} <= places
    slopes = {m.split("_", 2)[2] for m in places if m.startswith("slope_")}
    assert {m for m in slopes if not m.startswith("of_") or m == "of_value"} == set(SLOPES)
    named = {m for m in IN_GATHERING if not m.startswith("shape_") and m != "factor"}
    assert named == {m for m in gathering if "_ordered_" not in m}


def test_pick_makes_the_mistakes_it_is_told_to():
    assert Pick([])(1, "i", wrong=2) == 1
    assert Pick(["wrong"])(1, "i", wrong=2) == 2
    assert Pick(["wrong:i"])(1, "i", wrong=2) == 2
    assert Pick(["wrong:f"])(1, "i", wrong=2) == 1
    assert Pick(["wrong"])(1, wrong=lambda: 3) == 3
    pick = Pick()
    assert pick(1, "i", wrong=2) == 1
    assert list(pick.offered) == ["wrong", "wrong:i"]
