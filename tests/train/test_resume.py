"""A run that is stopped and resumed ends bitwise as one that never stopped."""

import numpy as np
import pytest

from tinygrad_seq.backend import default_generator, manual_seed
from tinygrad_seq.errors import AnomalyError, DataError, StateError
from tinygrad_seq.nn.serialization import load, save
from tinygrad_seq.train import CharRun, RunFolder, TrainConfig, finish, fit
from tinygrad_seq.train.log import read_log
from tinygrad_seq.train.loop import look

TEXT = "she sells sea shells by the sea shore. " * 12
TINY = {"embedding": 3, "hidden": 5, "batch": 4, "bptt": 6, "steps": 43, "lr": 0.01, "clip": 0.3,
        "log_every": 4, "look_every": 20, "checkpoint_every": 9}  # fmt: skip


def trained(folder, config, stops=(), text=TEXT):
    """Train in ``folder``, stopping and resuming after each of the steps in ``stops``."""
    folder = RunFolder.new(folder)
    run = CharRun(config, text)
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
            run = CharRun.from_state_dict(saved, text)
            log, seconds = folder.resume_log(saved)
    finish(run, log.write)
    log.close()
    return folder


def untimed(folder):
    timing = {"seconds", "tokens_per_second", "started"}
    return [{k: v for k, v in event.items() if k not in timing} for event in read_log(folder.log)]


# On a GPU sums may be taken in another order each time: bitwise equality is promised elsewhere.
@pytest.mark.parametrize("device", ["cpu", "strict"])
@pytest.mark.parametrize("model", ["rnn", "lstm"])
def test_the_checkpoint_is_the_same_file_byte_for_byte(tmp_path, model, device):
    config = TrainConfig(**TINY, model=model, device=device)
    whole = trained(tmp_path / "whole", config)
    # An epoch has 17 windows: 17 stops at its very end, 18 just after, 27 at a checkpoint.
    pieces = trained(tmp_path / "pieces", config, stops=(1, 17, 18, 27, 42))
    assert CharRun(config, TEXT).streams.windows == 17
    assert pieces.checkpoint.read_bytes() == whole.checkpoint.read_bytes()
    assert untimed(pieces) == untimed(whole)


def test_the_random_stream_goes_on_where_it_was():
    run = CharRun(TrainConfig(**TINY), TEXT)
    default_generator().uniform((7,))  # as a model with dropout would have drawn
    saved = run.state_dict()
    expected = default_generator().uniform((3,))
    CharRun.from_state_dict(saved, TEXT)
    np.testing.assert_array_equal(default_generator().uniform((3,)), expected)


def test_looking_draws_nothing_from_the_stream_of_the_training():
    run = CharRun(TrainConfig(**TINY), TEXT)
    before = default_generator().get_state()
    events = []
    look(run, events.append)
    look(run, events.append)
    assert default_generator().get_state() == before
    assert events[0] == events[2]
    assert events[1] == events[3]


def test_the_state_is_carried_through_the_text_and_starts_afresh_with_it():
    run = CharRun(TrainConfig(**TINY), TEXT)
    states = []
    fit(run, lambda event: None, lambda: None, lambda: states.append(run.state) or False)
    assert [state is None for state in states] == [(n + 1) % 17 == 0 for n in range(43)]


def test_another_seed_is_another_run(tmp_path):
    one, other = (
        trained(tmp_path / str(seed), TrainConfig(**TINY, seed=seed)).load() for seed in (0, 1)
    )
    assert (one["model"]["head.weight"].numpy() != other["model"]["head.weight"].numpy()).any()


def test_looking_and_logging_change_nothing(tmp_path):
    often = {**TINY, "log_every": 1, "look_every": 1, "checkpoint_every": 1}
    one, other = (
        trained(tmp_path / name, TrainConfig(**options)).load()
        for name, options in (("seldom", TINY), ("often", often))
    )
    for name, weights in one["model"].items():
        np.testing.assert_array_equal(weights.numpy(), other["model"][name].numpy(), name)


def test_the_log_tells_the_whole_story(tmp_path):
    folder = trained(tmp_path / "run", TrainConfig(**TINY))
    events = read_log(folder.log)
    kinds = [event["event"] for event in events]
    assert kinds[0] == "header"
    assert kinds[-3:] == ["validation", "sample", "end"]
    train = [event for event in events if event["event"] == "train"]
    assert [event["step"] for event in train] == [*range(4, 43, 4), 43]
    looks = [event["step"] for event in events if event["event"] == "validation"]
    assert looks == [0, 20, 40, 43]
    assert events[0]["config"] == TrainConfig(**TINY).as_dict()
    for event in train:
        assert event["bits_per_character"] == pytest.approx(event["loss"] / 0.6931471805599453)
        assert event["tokens_per_second"] > 0
    seconds = [event["seconds"] for event in train]
    assert seconds == sorted(seconds)
    assert train[-1]["loss"] < train[0]["loss"]
    end = events[-1]
    assert list(end["baselines"]) == ["unigram add-1", "bigram add-1", "trigram add-0.1"]


def test_clipped_steps_are_counted(tmp_path):
    share = {}
    for clip in (0.0, 1e-9, 1e9):
        config = TrainConfig(**{**TINY, "clip": clip})
        events = read_log(trained(tmp_path / str(clip), config).log)
        share[clip] = next(e["clipped"] for e in reversed(events) if e["event"] == "train")
    assert share == {0.0: 0, 1e-9: 1, 1e9: 0}


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_checkpoint(tmp_path):
    folder = RunFolder.new(tmp_path / "run")
    run = CharRun(TrainConfig(**TINY), TEXT)
    log = folder.start_log(run)
    folder.save(run, log)
    before = folder.checkpoint.read_bytes()
    run.step = 1
    run.model.head.bias.data[0] = np.nan
    with pytest.raises(AnomalyError, match=r"step 2: .*--lr"):
        fit(run, log.write, lambda: folder.save(run, log))
    log.close()
    assert folder.checkpoint.read_bytes() == before


def test_another_text_is_refused(tmp_path):
    saved = trained(tmp_path / "run", TrainConfig(**TINY)).load()
    with pytest.raises(StateError, match="the text has changed"):
        CharRun.from_state_dict(saved, TEXT.replace("shore", "coast"))


def test_a_checkpoint_of_something_else_is_refused(tmp_path):
    folder = RunFolder.new(tmp_path / "run")
    save(folder.checkpoint, {"format": "a recipe", "flour": 3})
    with pytest.raises(StateError, match=r"checkpoint: expected format .*a recipe"):
        CharRun.from_state_dict(load(folder.checkpoint), TEXT)


@pytest.mark.parametrize("text", ["", "abc", "ab" * 13])
def test_a_text_too_short_is_refused(text):
    with pytest.raises(DataError, match="too short"):
        CharRun(TrainConfig(**TINY), text)


def test_a_folder_that_holds_a_run_is_left_alone(tmp_path):
    folder = trained(tmp_path / "run", TrainConfig(**TINY))
    with pytest.raises(DataError, match="holds a run already: go on with --resume"):
        RunFolder.new(folder.path)


def test_the_default_folder_is_the_first_free_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = [RunFolder.new().path.as_posix() for _ in range(3)]
    assert names == ["runs/char-lm", "runs/char-lm-2", "runs/char-lm-3"]


def test_an_empty_folder_may_be_named(tmp_path):
    (tmp_path / "run").mkdir()
    assert RunFolder.new(tmp_path / "run").path.is_dir()
