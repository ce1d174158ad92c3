"""What a GPT is trained and measured on, and how texts are translated."""

import numpy as np
import pytest

import tinygrad_seq as tg
from tests.support import tasks
from tinygrad_seq import nn
from tinygrad_seq.errors import ArgumentError, OutOfRangeError
from tinygrad_seq.train import Run, evaluating
from tinygrad_seq.train.tasks import GPTTask
from tinygrad_seq.train.translator import UNKNOWN, Languages, Translator


def test_a_gpt_learns_the_next_character_of_the_training_text_only(make):
    text = tasks.TEXT[:400]
    task = GPTTask(make("gpt").config, text + tasks.TEXT[:44].upper())
    seen = set()
    for step in range(60):
        inputs, targets = (part.numpy() for part in task.batch(step))
        assert inputs.shape == targets.shape == (4, 7)
        np.testing.assert_array_equal(inputs[:, 1:], targets[:, :-1])
        for one, last in zip(inputs, targets[:, -1:], strict=True):
            piece = task.vocabulary.decode(np.concatenate([one, last]))
            assert piece in text  # small letters: the held-out tenth is in capitals
            seen.add(piece)
    assert len(seen) > 20


@pytest.mark.parametrize("context", [3, 7, 23, 45, 200])
def test_every_character_held_out_but_the_first_is_scored_once(make, context):
    class Counts:
        """Costs one nat for each character of the kind that it is asked about."""

        def __init__(self):
            self.seen = []

        def loss(self, inputs, targets):
            np.testing.assert_array_equal(inputs.numpy()[:, 1:], targets.numpy()[:, :-1])
            assert inputs.shape[1] <= context
            self.seen.append(targets.numpy().ravel())
            return targets.to(dtype="float64").mean()

    task, model = make("gpt", context=context), Counts()
    score = task.test(model)
    expected = task.validation[1:]
    np.testing.assert_array_equal(np.concatenate(model.seen), expected)
    assert score["loss"] == pytest.approx(expected.mean(), rel=1e-12)


class Adds:
    """A model that knows sums of two digits, and makes a mistake where the first is 7."""

    def __init__(self, languages):
        self.languages = languages

    def parameters(self):
        return iter([tg.zeros(1)])

    def generate(self, source, lengths, length, **how):
        said = np.zeros((length, source.shape[1]), np.int64)
        for row, (column, steps) in enumerate(zip(source.numpy().T, lengths, strict=True)):
            a, b = "".join(self.languages.source.decode(column[:steps])).split("+")
            answer = str(int(a) + int(b) + (a == "7"))
            tokens = self.languages.target.encode(answer, eos=True)
            said[: len(tokens), row] = tokens
        return type("Said", (), {"tokens": said, "weights": None})

    def loss(self, source, target, lengths):
        return tg.tensor(float(np.sum(target.numpy() != 0)))


def test_answers_without_a_mistake_are_counted(make):
    task = make("seq2seq")
    score = task.test(Adds(task.languages))
    wrong = sum(source.startswith("7") for source, _ in task._test)
    assert 0 < wrong < len(task._test)
    assert score["exact"] == pytest.approx(1 - wrong / len(task._test))
    lines = task.show(Adds(task.languages), 0).splitlines()
    assert all(("not" in line) == line.startswith("7") for line in lines)


def test_lines_held_out_are_never_trained_on(make):
    for name, lines in (
        ("translate-dates", tasks.little_dates()),
        ("seq2seq", tasks.little_sums()),
    ):
        task = make(name)
        seen = []
        for step in range(task.updates_per_epoch):
            source, _, lengths, _ = task.batch(step)
            for column, steps in zip(source.numpy().T, lengths, strict=True):
                seen.append("".join(task.languages.source.decode(column[:steps])))
        kept = [source for source, _ in lines[: -(len(lines) // 10) - len(lines) // 50]]
        assert sorted(seen) == sorted(kept)
        assert [*task._train, *task._held, *task._test] == lines


def test_looking_up_and_guessing_are_the_rivals(make):
    rivals = make("seq2seq").rivals()
    assert rivals["looked up among the lines it learnt"] == {"exact": 0}  # no sum occurs twice
    assert rivals["guessing among their answers"]["exact"] == pytest.approx(1 / 19)


@pytest.mark.parametrize("kind", ["rnn", "lstm", "gru"])
def test_the_options_of_a_translation_reach_the_model(make, kind):
    asked = {"model": kind, "layers": 2, "hidden": 8, "dropout": 0.25, "attention": "additive",
             "input_feeding": True, "bidirectional": True, "reverse_source": False}  # fmt: skip
    model = Run(make("seq2seq", **asked)).model
    for rnn in (model.encoder.rnn, model.decoder.rnn):
        assert (type(rnn).__name__, rnn.num_layers, rnn.dropout) == (kind.upper(), 2, 0.25)
    assert (model.encoder.rnn.bidirectional, model.encoder.reverse) == (True, False)
    assert type(model.decoder.attention) is nn.AdditiveAttention
    assert model.decoder.input_feeding
    assert Run(make("seq2seq")).model.encoder.reverse
    assert Run(make("seq2seq")).model.decoder.attention is None


@pytest.mark.parametrize("beams", [1, 3])
def test_texts_are_answered_in_their_own_order_whatever_their_company(make, beams):
    run = Run(make("translate-dates"))
    texts = ["7 may", "", "may 12", "30 may", "may 1"]
    with evaluating(run.model):
        translator = Translator(run.model, run.task.languages)
        said = translator.translate(texts, beams)
        assert said == [translator.translate([text], beams)[0] for text in texts]
    assert said[1] == ""


def test_a_look_is_as_large_as_the_texts(make):
    run = Run(make("translate-dates"))
    with evaluating(run.model):
        translator = Translator(run.model, run.task.languages)
        said, weights = translator.look("7 may")
        assert weights.shape == (len(said), 5)
        np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-6)
        with pytest.raises(ArgumentError, match="one character or more"):
            translator.look("")
    run = Run(make("seq2seq"))
    with evaluating(run.model), pytest.raises(ArgumentError, match="a model with attention"):
        Translator(run.model, run.task.languages).look("1+1")


def test_languages():
    languages = Languages.of([("ab", "xyz"), ("ba", "z")])
    assert languages.longest == 4
    assert Languages.from_dict(languages.as_dict()) == languages
    with pytest.raises(
        OutOfRangeError, match=r"the character 'c' at position 1 is not among the 2"
    ):
        languages.encode("ac")
    assert languages.decode(np.array([3, 4, 2, 4])) == UNKNOWN + languages.target.symbols[0]
