"""The main job at a quarter of its default budget: it must beat the trigrams of its own text."""

import pytest

from tinygrad_seq.data import data_folder
from tinygrad_seq.train import Run, finish, fit
from tinygrad_seq.train.tasks import CharTask


def ends(**options):
    """Train; → the events of the log."""
    events = []
    run = Run(CharTask(CharTask.Config(look_every=10_000, **options)))
    assert fit(run, events.append, lambda: None)
    finish(run, events.append)
    return events


@pytest.mark.slow
@pytest.mark.parametrize("model", ["lstm", "gru", "rnn"])
def test_python_topics(model):
    events = ends(model=model, steps=500)
    looks = [event["loss"] for event in events if event["event"] == "validation"]
    assert looks[0] == pytest.approx(4.63, abs=0.15)  # ln V: nothing is known yet
    assert events[-1]["loss"] < events[-1]["rivals"]["trigram add-0.1"]["loss"] - 0.1
    # One stream or many: the first characters of a stream are all that differs.
    assert looks[-1] == pytest.approx(events[-1]["loss"], abs=0.02)


@pytest.mark.slow
def test_tiny_shakespeare():
    folder = data_folder()
    if folder is None:
        pytest.skip("TINYGRAD_SEQ_DATA is not set")
    end = ends(text="tiny_shakespeare.txt", steps=500)[-1]
    assert end["rivals"]["trigram add-0.1"]["loss"] == pytest.approx(2.046, abs=5e-4)
    assert end["loss"] < 2.0
