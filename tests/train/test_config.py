"""The options of a run."""

import math
from itertools import pairwise

import pytest

from tinygrad_seq.errors import ArgumentError, StateError
from tinygrad_seq.train import TASKS, TrainConfig
from tinygrad_seq.train.config import option_notes
from tinygrad_seq.train.tasks.char_lm import CharConfig


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_a_configuration_survives_as_a_dict(task):
    config = task.Config(steps=7, clip=0, seed=3)
    assert task.Config.from_dict(config.as_dict()) == config


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_every_option_has_its_help(task):
    for name in task.Config().as_dict():
        assert option_notes(task.Config, name)["help"].endswith((".", "...")), name


def test_help_comes_from_the_class_nearest_to_the_task():
    assert option_notes(CharConfig, "batch")["help"] == "Pieces of the text read side by side."
    assert option_notes(CharConfig, "hidden")["help"] == "Units of each recurrent layer."
    assert option_notes(CharConfig, "k2")["metavar"] == "K"


@pytest.mark.parametrize("odd", [{"colour": "red"}, {}])
def test_a_dict_with_other_options_is_refused(odd):
    options = CharConfig().as_dict() | odd
    if not odd:
        del options["bptt"]
    with pytest.raises(StateError, match="colour" if odd else "bptt"):
        CharConfig.from_dict(options)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"model": "gpt"}, "model: expected rnn, lstm or gru, got gpt"),
        ({"hidden": 0}, "hidden"),
        ({"layers": 0}, "layers"),
        ({"dropout": 1.0}, "dropout"),
        ({"dropout": -0.1}, "dropout"),
        ({"embedding": 0}, "embedding"),
        ({"k2": 63}, "k2: expected a whole number ≥ 64, that of --bptt, got 63"),
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
        CharConfig(**wrong)


@pytest.mark.parametrize(
    ("task", "wrong"), [("adding", {"length": 1}), ("copy", {"wait": 0}), ("digits", {"batch": 0})]
)
def test_options_of_other_tasks_out_of_range_are_refused(task, wrong):
    with pytest.raises(ArgumentError, match=next(iter(wrong))):
        TASKS[task].Config(**wrong)


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
