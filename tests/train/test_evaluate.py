"""The validation loss: the whole stream, the state carried."""

import numpy as np
import pytest

import tinygrad_seq as tg
from tinygrad_seq.backend import Generator
from tinygrad_seq.errors import DataError
from tinygrad_seq.models import CharLM
from tinygrad_seq.train import evaluate

TOKENS = Generator(5).integers(0, 6, (101,))


@pytest.fixture
def model():
    return CharLM(6, embedding=3, hidden=4, dtype="float64")


def direct(model, tokens):
    """From the definition: one pass over the whole text."""
    logits = model(tg.tensor(tokens[:-1, None]))[0].detach().numpy()[:, 0]
    log_p = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    return -log_p[np.arange(len(tokens) - 1), tokens[1:]].mean()


@pytest.mark.parametrize("window", [1, 7, 100, 512])
def test_one_stream_equals_the_definition_however_it_is_cut(model, window):
    loss = evaluate(model, TOKENS, window=window)
    assert loss == pytest.approx(direct(model, TOKENS), rel=1e-12)


def test_streams_are_pieces_that_start_afresh(model):
    pieces = [TOKENS[start : start + 26] for start in (0, 25, 50, 75)]
    expected = np.mean([direct(model, piece) for piece in pieces])
    assert evaluate(model, TOKENS, streams=4) == pytest.approx(expected, rel=1e-12)


def test_more_streams_than_characters_is_no_mistake(model):
    assert evaluate(model, TOKENS[:3], streams=50) > 0


def test_the_model_is_left_as_it_was(model):
    evaluate(model, TOKENS)
    assert model.training
    assert all(p.grad is None for p in model.parameters())


def test_a_text_of_one_character_has_nothing_to_predict(model):
    with pytest.raises(DataError, match="2 characters"):
        evaluate(model, TOKENS[:1])
