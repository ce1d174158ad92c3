"""The character model: does it learn, does it carry its state, does it write what it should."""

import math

import numpy as np
import pytest

import tinygrad_seq as tg
from tinygrad_seq.backend import Generator
from tinygrad_seq.data import Vocabulary
from tinygrad_seq.errors import ArgumentError, DataError, OutOfRangeError
from tinygrad_seq.models import CharLM
from tinygrad_seq.optim import Adam

KINDS = ["rnn", "lstm", "gru"]


def column(tokens, device=None):
    return tg.tensor(np.asarray(tokens)[:, None], device=device)


@pytest.mark.parametrize("kind", KINDS)
def test_hello(kind, device):
    vocabulary = Vocabulary.of("hello")
    x, y = (column(vocabulary.encode(s), device) for s in ("hell", "ello"))
    model = CharLM(4, embedding=4, hidden=16, kind=kind, device=device)
    optimizer = Adam(model.parameters(), lr=0.05)
    losses = []
    for _ in range(80):
        loss, _ = model.loss(x, y)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[0] == pytest.approx(math.log(4), abs=0.3)
    assert losses[-1] < 0.01
    best = model(x)[0].argmax(axis=-1)
    assert vocabulary.decode(best.numpy()) == "ello"
    # Running free it needs its state: after the first l comes another, after the second comes o.
    written = list(model.generate(vocabulary.encode("h"), 4, temperature=0))
    assert vocabulary.decode(np.array(written)) == "ello"


@pytest.mark.parametrize("kind", KINDS)
def test_an_untrained_model_knows_nothing(kind):
    model = CharLM(65, embedding=32, hidden=128, kind=kind)
    tokens = Generator(1).integers(0, 65, (51, 8))
    loss, _ = model.loss(tg.tensor(tokens[:-1]), tg.tensor(tokens[1:]))
    assert loss.item() == pytest.approx(math.log(65), rel=0.03)


@pytest.mark.parametrize("kind", KINDS)
def test_shapes_and_names(kind):
    model = CharLM(7, embedding=3, hidden=5, kind=kind)
    logits, state = model(tg.tensor(np.zeros((4, 2), np.int64)))
    assert logits.shape == (4, 2, 7)
    parts = state if kind == "lstm" else (state,)
    assert [s.shape for s in parts] == [(1, 2, 5)] * len(parts)
    assert list(model.state_dict()) == [
        "embedding.weight",
        *(f"rnn.{n}" for n in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")),
        "head.weight",
        "head.bias",
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_two_halves_with_the_state_carried_equal_the_whole(kind):
    model = CharLM(7, embedding=3, hidden=5, kind=kind, dtype="float64")
    tokens = tg.tensor(Generator(2).integers(0, 7, (9, 2)))
    whole, _ = model(tokens)
    first, state = model(tokens[:4])
    second, _ = model(tokens[4:], state)
    both = np.concatenate([first.detach().numpy(), second.detach().numpy()])
    np.testing.assert_allclose(both, whole.detach().numpy(), rtol=0, atol=1e-14)


@pytest.mark.parametrize("kind", KINDS)
def test_free_running_starts_as_teacher_forcing_and_feeds_its_output_back(kind):
    model = CharLM(7, embedding=3, hidden=5, kind=kind, dtype="float64")
    prompt = np.array([1, 4, 2])
    written = list(model.generate(prompt, 6, temperature=0))
    forced = model(column(prompt))[0].argmax(axis=-1).numpy()
    assert written[0] == forced[-1, 0]
    # Reading what it wrote, it would write the same again.
    again = model(column([*prompt, *written]))[0].argmax(axis=-1).numpy()[:, 0]
    assert written == again[len(prompt) - 1 : -1].tolist()


def test_the_same_seed_writes_the_same_text():
    model = CharLM(7, embedding=3, hidden=5)
    first, second, other = (
        list(model.generate(np.array([0]), 40, generator=Generator(s))) for s in (3, 3, 4)
    )
    assert first == second != other


def test_only_the_likeliest_are_drawn_if_asked_for():
    model = CharLM(7, embedding=3, hidden=5)
    best = list(model.generate(np.array([0]), 20, temperature=0))
    for narrow in ({"top_k": 1}, {"top_p": 1e-6}):
        assert list(model.generate(np.array([0]), 20, **narrow)) == best


def test_writing_leaves_no_trace_on_the_tape():
    model = CharLM(7, embedding=3, hidden=5)
    list(model.generate(np.array([0]), 3))
    assert tg.is_grad_enabled()
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"temperature": -0.1}, ArgumentError, "temperature ≥ 0"),
        ({"temperature": math.nan}, ArgumentError, "temperature ≥ 0"),
        ({"length": -1}, ArgumentError, "length ≥ 0"),
        ({"top_k": 0}, ArgumentError, "top_k ≥ 1"),
        ({"top_p": 0.0}, ArgumentError, "top_p in"),
        ({"prompt": np.array([], np.int64)}, DataError, "a prompt of one token"),
    ],
)
def test_generate_refuses_at_once(wrong, error, message):
    with pytest.raises(error, match=message):
        CharLM(7, 3, 5).generate(**{"prompt": np.array([0]), "length": 2, **wrong})


def test_an_unknown_layer_is_refused():
    with pytest.raises(ArgumentError, match="rnn or lstm or gru"):
        CharLM(7, 3, 5, kind="gpt")


def test_stacked_layers_carry_a_state_each_and_dropout_only_works_in_training():
    model = CharLM(7, 3, 5, kind="gru", layers=3, dropout=0.5, dtype="float64")
    tokens = column([1, 2, 3, 4])
    one, state = model(tokens)
    assert state.shape == (3, 1, 5)
    assert (one.detach().numpy() != model(tokens)[0].detach().numpy()).any()
    model.eval()
    first, state = model(tokens[:2])
    both = np.concatenate([first.detach().numpy(), model(tokens[2:], state)[0].detach().numpy()])
    whole, _ = model(tokens)
    np.testing.assert_allclose(both, whole.detach().numpy(), rtol=0, atol=1e-14)


def test_a_token_beyond_the_vocabulary_is_refused():
    with pytest.raises(OutOfRangeError):
        CharLM(7, 3, 5)(column([7]))
