"""A run that is stopped and resumed ends bitwise as one that never stopped, whatever the task."""

import numpy as np
import pytest

from tinygrad_seq.backend import default_generator, manual_seed
from tinygrad_seq.errors import AnomalyError, DataError, StateError
from tinygrad_seq.nn.serialization import load, save
from tinygrad_seq.train import TASKS, Run, RunFolder, finish, fit
from tinygrad_seq.train.log import read_log
from tinygrad_seq.train.loop import look
from tinygrad_seq.train.tasks import CharTask

TRANSFORMER = {"model": "transformer", "heads": 2, "layers": 2, "hidden": 8, "embedding": None}
TIMING = {"seconds", "started", *(f"{task.items[0]}_per_second" for task in TASKS.values())}


def trained(folder, task, stops=()):
    """Train in ``folder``, stopping and resuming after each of the steps in ``stops``."""
    folder = RunFolder.new(folder)
    run = Run(task)
    log, seconds = folder.start_log(run), 0.0
    for stop in (*stops, None):

        def save_now(run=run, log=log):
            folder.save(run, log)

        done = fit(run, log.write, save_now, lambda run=run, stop=stop: run.step == stop, seconds)
        assert done == (stop is None)
        if stop is not None:
            log.write({"event": "sample", "step": -1, "text": "after the checkpoint"})
            log.close()
            manual_seed(99)  # whatever happens in between must not matter
            saved = folder.load()
            run = Run.from_state_dict(saved)
            log, seconds = folder.resume_log(saved)
    finish(run, log.write)
    log.close()
    return folder


def untimed(folder):
    return [{k: v for k, v in event.items() if k not in TIMING} for event in read_log(folder.log)]


# On a GPU sums may be taken in another order each time: bitwise equality is promised elsewhere.
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("char-lm", {"model": "rnn"}),
        ("char-lm", {"model": "lstm", "device": "strict"}),
        ("char-lm", {"model": "gru", "layers": 2, "dropout": 0.3}),
        ("char-lm", {"k2": 13}),  # windows overlap: the state was left some steps before
        ("digits", {"dropout": 0.2}),
        ("adding", {}),
        ("copy", {"model": "gru"}),
        ("music", {"layers": 2, "dropout": 0.5}),
        ("music", {"device": "strict"}),
        ("translate-dates", {"dropout": 0.2, "teacher_forcing": 0.5}),
        ("translate-dates", {"attention": "additive", "input_feeding": True}),
        ("translate-dates", {"device": "strict"}),
        ("translate-dates", {"teacher_forcing": 0.3, "schedule": "inverse-sigmoid"}),
        ("translate-dates", {**TRANSFORMER, "dropout": 0.2}),
        ("seq2seq", {**TRANSFORMER, "device": "strict"}),
        ("seq2seq", {"model": "lstm"}),
        ("gpt", {"dropout": 0.2}),
        ("gpt", {"device": "strict"}),
        ("vit", {"dropout": 0.2}),
    ],
)
def test_the_checkpoint_is_the_same_file_byte_for_byte(tmp_path, make, name, options):
    task = make(name, **options)
    whole = trained(tmp_path / "whole", task)
    # For the text: an epoch has 17 windows; 17 stops at its very end, 18 just after. For digits
    # it has 16 batches, for music 7.
    pieces = trained(tmp_path / "pieces", task, stops=(1, 7, 16, 17, 18, 27, 42))
    assert pieces.checkpoint.read_bytes() == whole.checkpoint.read_bytes()
    assert untimed(pieces) == untimed(whole)


def test_the_epochs_are_as_long_as_that_test_says(make):
    epochs = {name: make(name).updates_per_epoch for name in TASKS}
    assert epochs == {"char-lm": 17, "digits": 16, "music": 7, "adding": None, "copy": None,
                      "translate-dates": 7, "seq2seq": 7, "gpt": None, "vit": 16}  # fmt: skip


@pytest.mark.parametrize("name", TASKS)
def test_training_makes_the_loss_smaller(tmp_path, make, name):
    events = read_log(trained(tmp_path / "run", make(name, clip=1.0)).log)
    looks = [event["loss"] for event in events if event["event"] == "validation"]
    assert looks[-1] < 0.95 * looks[0]


@pytest.mark.parametrize("name", TASKS)
def test_looking_draws_nothing_from_the_stream_of_the_training(make, name):
    run = Run(make(name, dropout=0.5))
    before = default_generator().get_state()
    first, second = [], []
    look(run, first.append)
    look(run, second.append)
    assert default_generator().get_state() == before
    assert first == second
    assert run.model.training


def test_the_random_stream_goes_on_where_it_was(make):
    run = Run(make("char-lm"))
    default_generator().uniform((7,))  # as a model with dropout would have drawn
    saved = run.state_dict()
    expected = default_generator().uniform((3,))
    Run.from_state_dict(saved)
    np.testing.assert_array_equal(default_generator().uniform((3,)), expected)


def test_the_state_is_carried_through_the_text_and_starts_afresh_with_it(make):
    run = Run(make("char-lm"))
    states = []
    fit(run, lambda event: None, lambda: None, lambda: states.append(run.state) or False)
    assert [state is None for state in states] == [(n + 1) % 17 == 0 for n in range(43)]


def test_another_seed_is_another_run(tmp_path, make):
    one, other = (
        trained(tmp_path / str(seed), make("char-lm", seed=seed)).load() for seed in (0, 1)
    )
    assert (one["model"]["head.weight"].numpy() != other["model"]["head.weight"].numpy()).any()


@pytest.mark.parametrize("name", TASKS)
def test_looking_and_logging_change_nothing(tmp_path, make, name):
    often = {"log_every": 1, "look_every": 1, "checkpoint_every": 1}
    one, other = (
        trained(tmp_path / place, make(name, dropout=0.2, steps=7, **options)).load()
        for place, options in (("seldom", {}), ("often", often))
    )
    for key, weights in one["model"].items():
        np.testing.assert_array_equal(weights.numpy(), other["model"][key].numpy(), key)


@pytest.mark.parametrize("name", TASKS)
def test_the_log_tells_the_whole_story(tmp_path, make, name):
    task = make(name)
    events = read_log(trained(tmp_path / "run", task).log)
    assert events[0]["event"] == "header"
    assert (events[0]["task"], events[0]["config"]) == (name, task.config.as_dict())
    train = [event for event in events if event["event"] == "train"]
    assert [event["step"] for event in train] == [*range(4, 43, 4), 43]
    looks = [event for event in events if event["event"] == "validation"]
    assert [event["step"] for event in looks] == [0, 20, 40, 43]
    assert all(measure.key in event for event in looks for measure in task.measures)
    assert all(event[f"{task.items[0]}_per_second"] > 0 for event in train)
    seconds = [event["seconds"] for event in train]
    assert seconds == sorted(seconds)
    end = events[-1]
    assert end["event"] == "end"
    assert all(measure.key in end for measure in task.measures)
    assert end["rivals"]


def test_a_text_is_told_in_bits_too_and_beside_count_models(tmp_path, make):
    events = read_log(trained(tmp_path / "run", make("char-lm")).log)
    for event in events:
        if event["event"] in ("train", "validation", "end"):
            assert event["bits_per_character"] == pytest.approx(event["loss"] / 0.6931471805599453)
    assert [event["event"] for event in events[-3:]] == ["validation", "sample", "end"]
    names = ["unigram add-1", "bigram add-1", "trigram add-0.1", "uniform"]
    assert list(events[-1]["rivals"]) == names


def test_clipped_steps_are_counted(tmp_path, make):
    share = {}
    for clip in (0.0, 1e-9, 1e9):
        events = read_log(trained(tmp_path / str(clip), make("char-lm", clip=clip)).log)
        share[clip] = next(e["clipped"] for e in reversed(events) if e["event"] == "train")
    assert share == {0.0: 0, 1e-9: 1, 1e9: 0}


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_checkpoint(tmp_path, make):
    folder = RunFolder.new(tmp_path / "run")
    run = Run(make("char-lm"))
    log = folder.start_log(run)
    folder.save(run, log)
    before = folder.checkpoint.read_bytes()
    run.step = 1
    run.model.head.bias.data[0] = np.nan
    with pytest.raises(AnomalyError, match=r"step 2: .*--lr"):
        fit(run, log.write, lambda: folder.save(run, log))
    log.close()
    assert folder.checkpoint.read_bytes() == before


def test_another_text_is_refused(tmp_path, make):
    saved = trained(tmp_path / "run", make("char-lm")).load()
    text = tmp_path / "text.txt"
    text.write_text(text.read_text().replace("shore", "coast"))
    with pytest.raises(StateError, match="the text has changed"):
        Run.from_state_dict(saved)


def test_other_data_is_refused(make):
    saved = Run(make("adding")).state_dict()
    with pytest.raises(StateError, match="adding: expected the data the run was started with"):
        Run.from_state_dict({**saved, "data": "of another day"})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"format": "a recipe"}, r"checkpoint: expected format .*a recipe"),
        ({"task": "chess"}, "checkpoint: expected a task of char-lm, .*digits, .*, got 'chess'"),
    ],
)
def test_a_checkpoint_of_something_else_is_refused(tmp_path, make, wrong, message):
    folder = RunFolder.new(tmp_path / "run")
    save(folder.checkpoint, {**Run(make("adding")).state_dict(), **wrong})
    with pytest.raises(StateError, match=message):
        Run.from_state_dict(load(folder.checkpoint))


@pytest.mark.parametrize("text", ["", "abc", "ab" * 13])
def test_a_text_too_short_is_refused(text):
    with pytest.raises(DataError, match="too short"):
        CharTask(CharTask.Config(batch=4, bptt=6), text)


def test_a_folder_that_holds_a_run_is_left_alone(tmp_path, make):
    folder = trained(tmp_path / "run", make("adding"))
    with pytest.raises(DataError, match="holds a run already: go on with --resume"):
        RunFolder.new(folder.path)


@pytest.mark.parametrize("task", TASKS)
def test_the_default_folder_is_the_first_free_one(tmp_path, monkeypatch, task):
    monkeypatch.chdir(tmp_path)
    names = [RunFolder.new(task=task).path.as_posix() for _ in range(3)]
    assert names == [f"runs/{task}", f"runs/{task}-2", f"runs/{task}-3"]


def test_an_empty_folder_may_be_named(tmp_path):
    (tmp_path / "run").mkdir()
    assert RunFolder.new(tmp_path / "run").path.is_dir()
