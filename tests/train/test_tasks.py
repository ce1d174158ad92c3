"""What each task holds: parts that do not overlap, baselines that are right, models that fit."""

import re

import numpy as np
import pytest

import tinygrad_seq as tg
from tests.support import tasks
from tinygrad_seq.models import CharLM, FrameModel, Reader, RowClassifier, Tagger
from tinygrad_seq.train import TASKS, Measure, Run, evaluating, finish, fit
from tinygrad_seq.train.task import weighted_mean
from tinygrad_seq.train.tasks.music import frequencies, repeats

MODELS = {"char-lm": CharLM, "digits": RowClassifier, "adding": Reader, "copy": Tagger,
          "music": FrameModel}  # fmt: skip


@pytest.mark.parametrize("kind", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("name", MODELS)
def test_the_model_is_what_the_options_ask_for(make, name, kind):
    model = Run(make(name, model=kind, layers=2, dropout=0.25)).model
    assert type(model) is MODELS[name]
    assert (type(model.rnn).__name__, model.rnn.hidden_size) == (kind.upper(), 5)
    assert (model.rnn.num_layers, model.rnn.dropout, model.dropout.p) == (2, 0.25, 0.25)


@pytest.mark.parametrize("name", TASKS)
def test_every_task_runs_on_every_device(make, name, device):
    events = []
    run = Run(make(name, steps=2, device=device))
    assert fit(run, events.append, lambda: None)
    finish(run, events.append)
    on_cpu = Run(make(name, steps=2))
    fit(on_cpu, lambda event: None, lambda: None)
    for key, weights in on_cpu.model.state_dict().items():
        ours, theirs = run.model.state_dict()[key].numpy(), weights.numpy()
        if key.endswith(("in_proj_bias", "c_attn.bias")):
            # The keys' share changes no weight of attention: its gradient is rounding alone, which
            # Adam makes as large as any other.
            ours, theirs = (np.delete(np.split(part, 3), 1, axis=0) for part in (ours, theirs))
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6, err_msg=key)


def test_what_tasks_show_is_what_the_model_says(make):
    class Says:
        """Adds a tenth to the sum; remembers all symbols but the last."""

        def __call__(self, x):
            if x.shape[-1] == 2:
                return tg.tensor((x.numpy().prod(axis=-1).sum(axis=0) + 0.1)[:, None])
            said = np.zeros((*x.shape[:2], 9), np.float32)
            said[-10:-1] = x.numpy()[:9, :, :9]
            said[-1, :, 8] = 1
            return tg.tensor(said)

    asked, said = make("copy").show(Says(), 0).split("\n")
    assert asked.split()[1:-1] == said.split()[1:-1]
    assert (len(asked.split()), said[-1]) == (11, ".")
    lines = make("adding").show(Says(), 0).split("\n")
    for line in lines:
        a, b, total, answer = map(float, re.findall(r"\d\.\d+", line))
        assert total == pytest.approx(a + b, abs=2e-3)
        assert answer == pytest.approx(total + 0.1, abs=2e-3)
    assert len(set(lines)) == 3


@pytest.mark.parametrize("name", sorted(set(TASKS) - {"char-lm"}))
def test_a_batch_is_a_function_of_the_step(make, name):
    first, second = make(name), make(name)

    def numbers(task, step):
        return [np.asarray(getattr(part, "data", part)) for part in task.batch(step)]

    for step in (0, 1, 30):
        for a, b in zip(numbers(first, step), numbers(second, step), strict=True):
            np.testing.assert_array_equal(a, b)
    assert any(
        a.shape != b.shape or (a != b).any()
        for a, b in zip(numbers(first, 0), numbers(first, 1), strict=True)
    )


@pytest.mark.parametrize("name", ["digits", "vit"])
def test_images_held_out_are_never_trained_on(make, name):
    task = make(name, batch=7)
    seen = np.concatenate([task._kept[task._epochs.at(step)] for step in range(16)])
    assert sorted([*seen, *task._held]) == list(range(120))


@pytest.mark.parametrize("name", ["adding", "copy"])
def test_training_validation_and_test_sequences_differ(make, name):
    task = make(name)
    drawn = [task._drawn(4, *place)[0].numpy() for place in ((0, 0), (0, 1), (1,), (2,))]
    for i, one in enumerate(drawn):
        assert all((one != other).any() for other in drawn[:i])


def test_always_saying_one_costs_what_the_adding_baseline_says(make):
    class One:
        def __call__(self, x):
            return tg.ones(x.shape[1], 1)

    task = make("adding", length=100)
    score, rival = task.test(One()), task.rivals()["always 1, their mean"]
    assert score["loss"] == pytest.approx(rival["loss"], rel=0.05)
    assert score["near"] == pytest.approx(1 - 0.96**2, abs=0.02)  # P(|U + V − 1| < 0.04)


def test_having_no_memory_costs_what_the_copy_baseline_says(make):
    class Blank:
        """Sure of the blanks, and guesses the rest."""

        def __call__(self, x):
            logits = np.full((*x.shape[:2], 9), -50.0, np.float32)
            logits[:-10, :, 8] = logits[-10:, :, :8] = 50
            return tg.tensor(logits)

    task = make("copy", wait=30)
    score, rival = task.test(Blank()), task.rivals()["no memory"]
    assert score["loss"] == pytest.approx(rival["loss"], rel=1e-5)
    assert score["recalled"] == pytest.approx(rival["recalled"], abs=0.02)


def test_a_perfect_memory_recalls_everything(make):
    class Perfect:
        def __call__(self, x):
            said = np.zeros((*x.shape[:2], 9), np.float32)
            said[-10:] = x.numpy()[:10, :, :9]
            return tg.tensor(said)

    assert make("copy").test(Perfect())["recalled"] == 1


def test_the_two_baselines_of_music_by_hand():
    """One key of 88 moves: on, off, on, off … Add-one counts, the first frame is not scored."""
    roll = np.zeros((5, 88), np.float32)
    roll[::2, 0] = 1
    still = -np.log(5 / 6)  # a key that never sounds: (0 + 1)/(4 + 2)
    # Of the frames 1 … 4 key 0 sounds in two: p = (2 + 1)/(4 + 2).
    assert frequencies([roll], [roll]) == pytest.approx(87 * still + np.log(2), rel=1e-12)
    # After silence it always sounds, after sound never: p = (2 + 1)/(2 + 2).
    assert repeats([roll], [roll]) == pytest.approx(87 * still - np.log(3 / 4), rel=1e-12)


def test_a_score_is_the_mean_over_items_whatever_the_batches(make, monkeypatch):
    task = make("music")
    run = Run(task)
    with evaluating(run.model):
        once = task.test(run.model)["loss"]
        rolls = tasks.little_chorales().test
        alone = [run.model.nll(*task._padded([roll])).item() for roll in rolls]
    assert once == pytest.approx(sum(alone) / sum(len(r) - 1 for r in rolls), rel=1e-6)


def test_pieces_of_a_score_count_by_their_items():
    score = weighted_mean(
        [({"loss": 1.0, "accuracy": 0.5}, 3), ({"loss": 5.0, "accuracy": 1.0}, 1)]
    )
    assert score == {"loss": 2.0, "accuracy": 0.625}


def test_a_measure_is_written_with_its_unit():
    assert Measure("loss", "nats", "nats per step", ".4f").show(0.17328, "nats") == "0.1733 nats"
    assert Measure("a", "right", "accuracy", ".2%").show(0.97123, "right") == "97.12% right"


def test_evaluating_leaves_the_model_as_it_was():
    model = Reader(2, 1, 3, dropout=0.5)

    def fail():
        with evaluating(model):
            assert not model.training
            assert not tg.is_grad_enabled()
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert model.training
    assert tg.is_grad_enabled()
    model.eval()
    with evaluating(model):
        pass
    assert not model.training
