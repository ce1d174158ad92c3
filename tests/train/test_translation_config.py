"""What an encoder and a decoder may be asked for, and that all of it takes effect."""

import numpy as np
import pytest

import tinygrad_seq as tg
from tinygrad_seq.errors import ArgumentError
from tinygrad_seq.models import Seq2Seq, TransformerSeq2Seq
from tinygrad_seq.models.teacher_forcing import over_a_run
from tinygrad_seq.train import TASKS, Run, evaluating
from tinygrad_seq.train.tasks.translation import DatesConfig, SumsConfig

TRANSFORMER = {"model": "transformer", "hidden": 8}


def test_defaults_are_those_of_the_kind_of_model():
    dates, sums = DatesConfig(), SumsConfig()
    assert (dates.attention, dates.bidirectional, dates.reverse_source) == ("general", True, False)
    assert (sums.attention, sums.bidirectional, sums.reverse_source) == ("none", False, True)
    assert (sums.embedding, sums.input_feeding, sums.heads) == (16, False, None)
    for kind in (DatesConfig, SumsConfig):
        made = kind(model="transformer")
        only = ("attention", "bidirectional", "reverse_source", "embedding", "input_feeding")
        assert [getattr(made, name) for name in only] == [None] * 5
        assert made.heads == 4
        assert kind.from_dict(made.as_dict()) == made


def test_the_options_of_a_transformer_reach_the_model(make):
    asked = {**TRANSFORMER, "heads": 2, "layers": 3, "dropout": 0.25, "embedding": None}
    model = Run(make("seq2seq", **asked)).model
    assert type(model) is TransformerSeq2Seq
    assert (model.width, model.dropout.p) == (8, 0.25)
    for stack in (model.transformer.encoder, model.transformer.decoder):
        assert len(stack.layers) == 3
        assert stack.layers[0].norm_first
        assert stack.layers[0].self_attn.num_heads == 2
    assert type(Run(make("seq2seq")).model) is Seq2Seq


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "gpt"}, "model: expected rnn, lstm, gru or transformer, got gpt"),
        ({"heads": 2}, "heads: expected no such option but for --model transformer, got 2"),
        ({"schedule": "linear"}, "schedule: expected constant, or a --teacher-forcing below 1"),
        ({"label_smoothing": 1.5}, "label-smoothing: expected a number from 0 to 1, got 1.5"),
        ({"schedule": "steep"}, "schedule: expected one of constant, linear, exponential, inv"),
        ({**TRANSFORMER, "heads": 3}, "hidden: expected a multiple of 3 heads, got 8"),
        ({**TRANSFORMER, "heads": 0}, "heads: expected a whole number ≥ 1, got 0"),
        ({**TRANSFORMER, "attention": "dot"}, "attention: .* but for --model rnn, lstm or gru"),
        ({**TRANSFORMER, "attention": "none"}, "attention: expected no such option"),
        ({**TRANSFORMER, "bidirectional": False}, "bidirectional: expected no such option"),
        ({**TRANSFORMER, "reverse_source": True}, "reverse-source: expected no such option"),
        ({**TRANSFORMER, "input_feeding": True}, "input-feeding: expected no such option"),
        ({**TRANSFORMER, "embedding": 16}, "embedding: expected no such option"),
        ({**TRANSFORMER, "teacher_forcing": 0.5}, "teacher-forcing: expected 1 for a Transf"),
        ({**TRANSFORMER, "dropout": 1.0}, "dropout: expected a number from 0 to below 1"),
    ],
)
def test_options_that_a_model_has_not_are_refused(options, message):
    with pytest.raises(ArgumentError, match=message):
        DatesConfig(**options)


@pytest.mark.parametrize("shape", ["constant", "linear", "exponential", "inverse-sigmoid"])
def test_the_share_of_right_characters_falls_as_it_is_asked_to(make, shape):
    task = make("translate-dates", teacher_forcing=0.25, schedule=shape, steps=40)
    shares = [task.batch(step)[-1] for step in range(40)]
    expected = over_a_run(shape, 40, 0.25)
    assert shares == [expected(step) for step in range(40)]
    assert all(0.25 <= share <= 1 for share in shares)
    if shape == "constant":
        assert set(shares) == {0.25}
    else:
        assert shares == sorted(shares, reverse=True)
        assert shares[0] > 0.9
        assert shares[-1] < 0.35


@pytest.mark.parametrize("shape", ["constant", "linear"])
def test_the_decoder_is_told_that_share(make, shape, monkeypatch):
    """Every update passes the share on to the loss, where coins are tossed for it."""
    told = []
    loss = Seq2Seq.loss

    def watched(self, *batch, teacher_forcing, **more):
        told.append(teacher_forcing)
        return loss(self, *batch, teacher_forcing=teacher_forcing, **more)

    monkeypatch.setattr(Seq2Seq, "loss", watched)
    run = Run(make("seq2seq", teacher_forcing=0.5, schedule=shape, steps=4))
    for _ in range(4):
        for value, _ in run.task.updates(run):
            run.count(value.item(), 0.0)
    assert told == [run.config.share_told(step) for step in range(4)]
    assert told == ([0.5] * 4 if shape == "constant" else [1.0, 0.875, 0.75, 0.625])


def test_what_it_is_told_changes_what_it_learns(make):
    found = []
    for options in ({}, {"teacher_forcing": 0.5}, {"teacher_forcing": 0.5, "schedule": "linear"}):
        run = Run(make("seq2seq", steps=6, **options))
        tg.manual_seed(0)
        for _ in range(3):
            for _, _ in run.task.updates(run):
                run.optimizer.step()
                run.step += 1
        found.append(run.model.decoder.head.weight.numpy().copy())
    for i, one in enumerate(found):
        assert all((one != other).any() for other in found[:i])


@pytest.mark.parametrize("model", ["gru", "transformer"])
def test_labels_are_smoothed_to_learn_from_and_plain_to_measure(make, model):
    sizes = {"model": model, "hidden": 8, "embedding": None}
    plain, smooth = (make("seq2seq", **sizes, label_smoothing=s) for s in (0.0, 0.25))
    run = Run(plain)
    for task in (plain, smooth):
        source, target, lengths, told = task.batch(0)
        logits = run.model(source, target, lengths)
        log_p = (logits - tg.logsumexp(logits, -1, keepdims=True)).numpy()
        said = np.take_along_axis(log_p, target.numpy()[..., None], 2)[..., 0]
        share = task.config.label_smoothing
        each = -(1 - share) * said - share * log_p.mean(axis=-1)
        expected = each[target.numpy() != 0].mean()
        loss = task.loss(run.model, source, target, lengths, told)
        assert loss.item() == pytest.approx(expected, rel=1e-5)
    with evaluating(run.model):
        assert plain.test(run.model) == smooth.test(run.model)


def test_a_model_in_a_few_words():
    said = DatesConfig(model="transformer", layers=2).describe_model()
    assert said == "Transformer, 2 + 2 layers of 4 heads, width 64"
    said = DatesConfig(layers=2, input_feeding=True, teacher_forcing=0.5).describe_model()
    assert said == ("gru with 2 x 64 units, general attention, input feeding, both directions, "
                    "told 0.5 of the answers")  # fmt: skip
    said = SumsConfig(teacher_forcing=0.5, schedule="linear").describe_model()
    assert said == "gru with 128 units, source reversed, told 0.5 of the answers in the end"


@pytest.mark.parametrize("name", ["translate-dates", "seq2seq"])
def test_help_says_what_the_default_is(name):
    config = TASKS[name].Config
    for option, value in {**config.recurrent, **config.transformer}.items():
        help = config.__dataclass_fields__[option].metadata["help"]
        shown = ("no", "yes")[value] if isinstance(value, bool) else value
        assert help.endswith(f"Default: {shown}."), option
