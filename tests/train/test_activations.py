"""What units do while a trained model reads."""

import numpy as np
import pytest

import tinygrad_seq as tg
from tinygrad_seq.errors import ArgumentError, DataError, OutOfRangeError, StateError
from tinygrad_seq.train import Run
from tinygrad_seq.train.activations import Activations, read_activations

TEXT = "sea shells by the shore.\n"[:-1]


@pytest.fixture
def saved(make):
    """The checkpoint of a run that has not been trained."""
    return lambda name="char-lm", **options: Run(make(name, **options)).state_dict()


@pytest.mark.parametrize("device", ["cpu", "strict"])
@pytest.mark.parametrize(("model", "cell"), [("rnn", False), ("lstm", False), ("lstm", True)])
def test_they_are_the_states_of_the_layer(make, model, cell, device):
    run = Run(make("char-lm", model=model))
    seen = read_activations(run.state_dict(), TEXT, cell=cell, device=device)
    run.model.eval()
    tokens = tg.tensor(run.task.vocabulary.encode(TEXT)[:, None])
    x = run.model.embedding(tokens)
    if cell:
        expected = np.tanh(run.model.rnn(x, return_inner=True)[2][0].cells.numpy())
    else:
        expected = run.model.rnn(x)[0].numpy()
    np.testing.assert_allclose(seen.values, expected[:, 0], rtol=1e-5, atol=1e-6)
    assert (seen.layer, seen.layers, seen.what) == (1, 1, "tanh c" if cell else "h")


def test_layers_are_told_apart(make):
    run = Run(make("char-lm", model="gru", layers=2))
    below, top = (read_activations(run.state_dict(), TEXT, layer).values for layer in (1, 2))
    x = run.model.eval().embedding(tg.tensor(run.task.vocabulary.encode(TEXT)[:, None]))
    output, last = run.model.rnn(x)
    np.testing.assert_allclose(top, output[:, 0].numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(below[-1], last[0, 0].numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(read_activations(run.state_dict(), TEXT).values, top)


def test_what_a_unit_did_until_then_does_not_depend_on_what_follows(saved):
    whole, part = (read_activations(saved(), text).values for text in (TEXT, TEXT[:5]))
    np.testing.assert_array_equal(whole[:5], part)


def test_the_liveliest_unit_varies_most():
    seen = Activations("abc", np.array([[0, 1, 5.0], [0, -1, 5], [0, 1, 5.1]]), 1, 1, "h")
    assert seen.liveliest() == [2, 3, 1]
    np.testing.assert_array_equal(seen.of(2), [1, -1, 1])


@pytest.mark.parametrize("unit", [0, 4, -1])
def test_a_unit_that_is_not_there_is_refused(unit):
    with pytest.raises(OutOfRangeError, match="a unit from 1 to 3"):
        Activations("a", np.zeros((1, 3)), 1, 1, "h").of(unit)


@pytest.mark.parametrize(
    ("name", "options", "arguments", "error", "words"),
    [
        ("char-lm", {}, {"text": ""}, DataError, "one character or more"),
        ("char-lm", {}, {"text": "ζ"}, OutOfRangeError, "'ζ' at position 0"),
        ("char-lm", {}, {"layer": 2}, OutOfRangeError, "a layer from 1 to 1, got 2"),
        ("char-lm", {"model": "gru"}, {"cell": True}, ArgumentError, "for an lstm, got gru"),
        ("gpt", {}, {}, StateError, "a run of char-lm, whose model is recurrent, got one of gpt"),
        ("adding", {}, {}, StateError, "got one of adding"),
    ],
)
def test_what_cannot_be_shown_is_refused(saved, name, options, arguments, error, words):
    with pytest.raises(error, match=words):
        read_activations(saved(name, **options), **{"text": TEXT, **arguments})
