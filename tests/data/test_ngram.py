"""Count models, against sums done by hand and figures published for real text."""

from collections import Counter
from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_seq.data import NGram, Vocabulary, baselines, split, tiny_shakespeare
from tinygrad_seq.errors import ArgumentError, DataError


def by_hand(train: str, text: str, order: int, alpha: float, vocabulary: int) -> float:
    """The same from the definition, one dict and one character at a time."""
    grams = Counter(train[i : i + order] for i in range(len(train) - order + 1))
    contexts = Counter(train[i : i + order - 1] for i in range(len(train) - order + 1))
    losses = []
    for i in range(len(text) - order + 1):
        gram = text[i : i + order]
        p = (grams[gram] + alpha) / (contexts[gram[:-1]] + alpha * vocabulary)
        losses.append(-log(p))
    return sum(losses) / len(losses)


@given(
    st.text("abcd", min_size=3, max_size=40),
    st.text("abcd", min_size=3, max_size=40),
    st.integers(1, 3),
    st.sampled_from([0.1, 1.0]),
)
def test_counts_agree_with_the_definition(train, text, order, alpha):
    vocabulary = Vocabulary("abcd")
    model = NGram(vocabulary.encode(train), 4, order, alpha)
    expected = by_hand(train, text, order, alpha, 4)
    assert model.loss(vocabulary.encode(text)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_the_probabilities_of_all_next_characters_sum_to_one(order):
    rng = np.random.default_rng(0)
    model = NGram(rng.integers(0, 5, 200), 5, order, 0.3)
    context = [2] * (order - 1)
    p = [np.exp(-model.loss(np.array([*context, c]))) for c in range(5)]
    assert sum(p) == pytest.approx(1, rel=1e-12)


def test_tiny_shakespeare_gives_the_known_figures(real_data):
    text = tiny_shakespeare()
    vocabulary = Vocabulary.of(text)
    train, validation = split(vocabulary.encode(text))
    loss = {b.name: round(b.loss, 3) for b in baselines(train, validation, len(vocabulary))}
    assert loss["bigram add-1"] == 2.482
    assert loss["trigram add-0.1"] == 2.046
    assert loss["unigram add-1"] > loss["bigram add-1"]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((4, 0, 1.0), ArgumentError, "order ≥ 1"),
        ((4, 2, 0.0), ArgumentError, "alpha > 0"),
        ((2**40, 2, 1.0), ArgumentError, "< 2⁶³"),
        ((4, 4, 1.0), DataError, "4 tokens or more"),
    ],
)
def test_models_that_make_no_sense_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        NGram(np.zeros(3, np.int64), *arguments)
