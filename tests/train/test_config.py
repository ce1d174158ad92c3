"""The options of a run."""

import math
from itertools import pairwise

import pytest

from tinygrad_seq.errors import ArgumentError, StateError
from tinygrad_seq.train import TrainConfig


def test_a_configuration_survives_as_a_dict():
    config = TrainConfig(text="a.txt", hidden=7, clip=0)
    assert TrainConfig.from_dict(config.as_dict()) == config


@pytest.mark.parametrize("odd", [{"colour": "red"}, {}])
def test_a_dict_with_other_options_is_refused(odd):
    options = TrainConfig().as_dict() | odd
    if not odd:
        del options["bptt"]
    with pytest.raises(StateError, match="colour" if odd else "bptt"):
        TrainConfig.from_dict(options)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"model": "gru"}, "model: expected rnn or lstm, got gru"),
        ({"hidden": 0}, "hidden"),
        ({"batch": -1}, "batch"),
        ({"bptt": 0}, "bptt"),
        ({"steps": 0}, "steps"),
        ({"log_every": 0}, "log-every"),
        ({"lr": 0.0}, "lr"),
        ({"lr": math.nan}, "lr"),
        ({"lr": math.inf}, "lr"),
        ({"clip": -1.0}, "clip"),
        ({"clip": math.nan}, "clip"),
        ({"seed": -1}, "seed"),
    ],
)
def test_options_out_of_range_are_refused(wrong, message):
    with pytest.raises(ArgumentError, match=message):
        TrainConfig(**wrong)


def test_the_learning_rate_rises_and_falls():
    config = TrainConfig(steps=1000, lr=0.1)
    rates = [config.learning_rate(step) for step in range(1000)]
    assert rates[0] == pytest.approx(0.1 / 50)
    assert max(rates) == rates[49]
    assert rates[499] == pytest.approx(0.1 * 0.525, rel=0.01)
    assert rates[999] == pytest.approx(0.1 * 0.05, rel=0.01)
    assert all(a > b for a, b in pairwise(rates[49:]))


@pytest.mark.parametrize("steps", [1, 2, 19])
def test_the_shortest_runs_have_a_rate_too(steps):
    config = TrainConfig(steps=steps, lr=0.1)
    assert all(0 < config.learning_rate(step) <= 0.1 for step in range(steps))
