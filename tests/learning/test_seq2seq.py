"""Dates with and without attention, and sums with the source reversed and not."""

import re
from itertools import islice

import numpy as np
import pytest

import tinygrad_seq as tg
from benchmarks.seq2seq import EPOCHS, MODELS, RATES, Translation, train
from tests.learning.steps import skip_without
from tinygrad_seq.data import addition, dates

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


def learned(data, options, epochs):
    """A model from seed 0 after some epochs, and the share of unseen lines it has right."""
    tg.manual_seed(0)
    model = data.model(**options)
    for _ in train(model, data, epochs):
        pass
    return model, data.exact(model)


def share_after(data, options, epochs, of, seed):
    """The share of unseen lines a model has right after the first epochs ``of`` some."""
    tg.manual_seed(seed)
    model = data.model(**options)
    for _ in islice(train(model, data, of, RATES["addition"]), epochs):
        pass
    return data.exact(model)


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


def test_dates_are_translated_by_a_transformer(reached):
    skip_without("dates")
    data, epochs = Translation.of(dates()), 3
    _, exact = learned(data, MODELS["dates"]["Transformer"], epochs)
    reached("dates", "Transformer 1 + 1 × 64", 100 * exact, "≥ 99", "% exact", f"{epochs} epochs")
    assert exact >= 0.99


def test_sums_are_learned_faster_from_a_reversed_source(reached):
    """When a model sees how to carry is a matter of luck: before that, and from two seeds."""
    skip_without("addition")
    data, seeds, epochs, of = Translation.of(addition()), 2, 3, EPOCHS["addition"]
    backwards, forwards = (
        np.mean([share_after(data, options, epochs, of, seed) for seed in range(seeds)])
        for options in (MODELS["addition"][name] for name in ("source reversed", "not reversed"))
    )
    reached("addition", "GRU 128, source reversed", 100 * backwards, "10 more than not reversed",
            "% exact", f"{epochs} epochs, {seeds} seeds; not reversed {forwards:.1%}")  # fmt: skip
    assert backwards >= forwards + 0.1
