"""Dates with and without attention, and sums with the source reversed and not."""

import re

import numpy as np
import pytest

import tinygrad_seq as tg
from benchmarks.seq2seq import MODELS, Translation, train
from tests.learning.steps import skip_without
from tinygrad_seq.data import addition, dates

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


def learned(data, options, epochs, rate=0.005):
    """A model from seed 0 after some epochs, and the share of unseen lines it has right."""
    tg.manual_seed(0)
    model = data.model(**options)
    for _ in train(model, data, epochs, rate):
        pass
    return model, data.exact(model)


def fields_looked_at(data, model, texts):
    """Of texts like "May 3, 1994", in what share each field of the answer looks most at its own.

    For the year, the day's last digit, and the month, whose field ends with the day: both ways of
    reading carry "Oct" on to the space behind it, and further.
    """
    right = []
    for text in texts:
        _, weights = data.look(model, text)
        most, day = weights.argmax(axis=1), re.search(r"\d+", text)
        year = most[0:4] >= len(text) - 4
        right.append([year.mean(), day.start() <= most[9] < day.end(), most[6] <= day.end()])
    return np.mean(right, axis=0)


def test_dates_are_translated_with_attention(reached):
    skip_without("dates")
    lines = dates()
    data, epochs = Translation.of(lines), 2
    model, exact = learned(data, MODELS["dates"]["attention"], epochs)
    _, plain = learned(data, MODELS["dates"]["no attention"], epochs)
    reached("dates", "GRU 64, attention", 100 * exact, "≥ 99", "% exact",
            f"{epochs} epochs; without attention {plain:.1%}")  # fmt: skip
    assert exact >= 0.99
    assert plain < exact - 0.25

    # As people write them the year comes last: the map is no one diagonal, but has one a field.
    unseen = [asked for asked, _ in lines[-len(data.unseen) :]]
    texts = [text for text in unseen if re.fullmatch(r"[A-Za-z]+ \d+, \d{4}", text)][:200]
    assert len(texts) == 200
    assert (fields_looked_at(data, model, texts) >= 0.9).all()


def test_sums_are_learned_faster_from_a_reversed_source(reached):
    skip_without("addition")
    data, epochs = Translation.of(addition()), 5
    _, backwards = learned(data, MODELS["addition"]["source reversed"], epochs, rate=0.01)
    _, forwards = learned(data, MODELS["addition"]["not reversed"], epochs, rate=0.01)
    reached("addition", "GRU 128, source reversed", 100 * backwards, "20 more than not reversed",
            "% exact", f"{epochs} epochs; not reversed {forwards:.1%}")  # fmt: skip
    assert backwards >= forwards + 0.2
