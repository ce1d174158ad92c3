"""The tasks at a part of their default budget: each must beat what needs no net.

What the full runs reach stands in the README, and figures beside published ones are tested with the
layers themselves.
"""

import pytest

from tinygrad_seq.data import locate
from tinygrad_seq.train import TASKS, Run, finish, fit


def ends(task, **options):
    """Train; → the events of the log."""
    events = []
    kind = TASKS[task]
    run = Run(kind(kind.Config(look_every=10_000, **options)))
    assert fit(run, events.append, lambda: None)
    finish(run, events.append)
    return events


def needs(*names):
    if any(locate(name) is None for name in names):
        pytest.skip("the data is not on this machine: set TINYGRAD_SEQ_DATA")


@pytest.mark.slow
@pytest.mark.parametrize("model", ["lstm", "gru", "rnn"])
def test_python_topics(model):
    events = ends("char-lm", model=model, steps=500)
    looks = [event["loss"] for event in events if event["event"] == "validation"]
    assert looks[0] == pytest.approx(4.63, abs=0.15)  # ln V: nothing is known yet
    assert events[-1]["loss"] < events[-1]["rivals"]["trigram add-0.1"]["loss"] - 0.1
    # One stream or many: the first characters of a stream are all that differs.
    assert looks[-1] == pytest.approx(events[-1]["loss"], abs=0.02)


@pytest.mark.slow
def test_tiny_shakespeare():
    needs("tiny shakespeare")
    end = ends("char-lm", text=str(locate("tiny shakespeare")), steps=500)[-1]
    assert end["rivals"]["trigram add-0.1"]["loss"] == pytest.approx(2.046, abs=5e-4)
    assert end["loss"] < 2.0


@pytest.mark.slow
def test_adding():
    end = ends("adding", length=50, steps=1000)[-1]
    assert end["loss"] < 0.01 < end["rivals"]["always 1, their mean"]["loss"]


@pytest.mark.slow
def test_copying_without_the_memory_for_it():
    end = ends("copy", steps=1000)[-1]
    assert end["loss"] == pytest.approx(end["rivals"]["no memory"]["loss"], rel=0.05)


@pytest.mark.slow
def test_digits():
    needs("mnist training images", "mnist training labels", "mnist test images",
          "mnist test labels")  # fmt: skip
    end = ends("digits", steps=550)[-1]  # an epoch
    assert (
        end["accuracy"] > 0.95 > end["rivals"]["linear classifier (LeCun et al. 1998)"]["accuracy"]
    )


@pytest.mark.slow
def test_patches_of_digits():
    needs("mnist training images", "mnist training labels", "mnist test images",
          "mnist test labels")  # fmt: skip
    end = ends("vit", steps=550)[-1]  # an epoch
    assert (
        end["accuracy"] > 0.93 > end["rivals"]["linear classifier (LeCun et al. 1998)"]["accuracy"]
    )


@pytest.mark.slow
def test_dates():
    needs("dates")
    end = ends("translate-dates", steps=345)[-1]  # an epoch
    assert end["exact"] > 0.95
    assert end["rivals"]["looked up among the lines it learnt"]["exact"] < 0.5


@pytest.mark.slow
def test_python_topics_by_a_transformer():
    end = ends("gpt", steps=600)[-1]
    assert end["loss"] < end["rivals"]["bigram add-1"]["loss"]


@pytest.mark.slow
@pytest.mark.parametrize("model", ["lstm", "gru", "rnn"])
def test_music(model):
    needs("jsb chorales")
    pytest.importorskip("scipy", reason="scipy, which reads the chorales, is not installed")
    events = ends("music", model=model, steps=150)
    assert events[1]["loss"] == pytest.approx(11, abs=0.1)  # the frequencies of the keys
    assert events[-1]["loss"] < 9 < events[-1]["rivals"]["frequency, given the last frame"]["loss"]
