"""Looking at the gradient flow while a run trains."""

import io

import numpy as np
import pytest
from rich.console import Console

import tinygrad_seq as tg
from tinygrad_seq import bptt
from tinygrad_seq.backend import manual_seed
from tinygrad_seq.errors import ArgumentError, DataError
from tinygrad_seq.train import TASKS, Run, RunFolder, finish, fit
from tinygrad_seq.train.evaluate import evaluating
from tinygrad_seq.train.flow import ROWS, flow
from tinygrad_seq.train.log import read_log
from tinygrad_seq.train.picture import draw_flow
from tinygrad_seq.train.progress import Progress

RECURRENT = ("char-lm", "adding", "copy", "digits", "music")
TIMING = {"seconds", "started", *(f"{task.items[0]}_per_second" for task in TASKS.values())}


def trained(folder, task, stops=()):
    """Train in ``folder``, stopping and resuming after each of the steps in ``stops``."""
    folder = RunFolder.new(folder)
    run = Run(task)
    log, seconds = folder.start_log(run), 0.0
    for stop in (*stops, None):
        fit(run, log.write, lambda run=run, log=log: folder.save(run, log),
            lambda run=run, stop=stop: run.step == stop, seconds)  # fmt: skip
        if stop is not None:
            log.close()
            manual_seed(99)
            saved = folder.load()
            run = Run.from_state_dict(saved)
            log, seconds = folder.resume_log(saved)
    finish(run, log.write)
    log.close()
    return folder


def events_of(folder):
    return [{k: v for k, v in e.items() if k not in TIMING} for e in read_log(folder.log)]


def same(one, other):
    """Whether two nested states hold bitwise equal tensors."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, tg.Tensor):
        return one.numpy().tobytes() == other.numpy().tobytes()
    return one == other


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("char-lm", {"dropout": 0.3, "layers": 2}),
        ("char-lm", {"k2": 13}),
        ("char-lm", {"device": "strict", "model": "gru"}),
        ("digits", {"dropout": 0.2}),
        ("adding", {}),
        ("copy", {"model": "gru"}),
        ("music", {"dropout": 0.5}),
    ],
)
def test_training_is_bitwise_the_same_with_and_without(tmp_path, make, name, options):
    options |= {"steps": 21, "look_every": 8}
    plain = trained(tmp_path / "plain", make(name, **options))
    seen = trained(tmp_path / "seen", make(name, flow=True, **options))
    one, other = plain.load(), seen.load()
    for part in ("model", "optimizer", "state", "random", "position"):
        assert same(one[part], other[part]), part
    rest = [event for event in events_of(seen) if event["event"] != "flow"]
    assert rest[1:] == events_of(plain)[1:]
    looks = [event["step"] for event in rest if event["event"] == "validation"]
    assert [e["step"] for e in events_of(seen) if e["event"] == "flow"] == looks


@pytest.mark.parametrize(("name", "options"), [("char-lm", {"k2": 13}), ("music", {"layers": 2})])
def test_a_resumed_run_ends_as_one_that_was_not_stopped(tmp_path, make, name, options):
    task = make(name, flow=True, steps=23, **options)
    whole = trained(tmp_path / "whole", task)
    pieces = trained(tmp_path / "pieces", task, stops=(1, 18))
    assert pieces.checkpoint.read_bytes() == whole.checkpoint.read_bytes()
    assert events_of(pieces) == events_of(whole)


@pytest.mark.parametrize("name", RECURRENT)
def test_every_recurrent_task_has_a_flow(make, name):
    run = Run(make(name, flow=True, model="lstm"))
    with evaluating(run.model):
        event = flow(run)
    assert list(event["norms"]) == ["h", "c"]
    by_lag = event["norms"]["h"]
    assert len(by_lag) > 3
    assert by_lag[0] > 0


def test_it_is_the_flow_of_the_next_update(make):
    """The gradient by the first state of the window is that of the loss the update sees."""
    run = Run(make("char-lm", model="rnn", k2=13, batch=3))
    fit(run, lambda event: None, lambda: None, lambda: run.step == 9)
    model, state = run.model, run.state.detach().requires_grad_()
    since, here = run.task._place_of(run.step)
    assert here - since == 7
    x, y = run.task.streams.inputs[since : here + 6], run.task.streams.targets[since : here + 6]
    _, middle = model(x[:7], state)
    loss, _ = model.loss(x[7:], y[7:], middle)
    assert run.task.next_loss(run).item() == pytest.approx(loss.item(), rel=1e-6)
    found = bptt.gradient_flow(model.rnn, lambda: run.task.next_loss(run))
    assert len(found["h"]) == 14
    update = next(run.task.updates(run))[0]
    assert update.item() == pytest.approx(loss.item(), rel=1e-6)
    # One sequence by itself has one loss at each step: here by hand for the last of them.
    logits, _ = model(x, state)
    last = tg.cross_entropy(logits[-1], y[-1], reduction="sum") / (6 * 3)
    norms = np.linalg.norm(tg.grad(last, state).numpy()[0], axis=-1)
    assert found["h"][13] == pytest.approx(norms.mean(), rel=1e-4)


def test_only_some_sequences_are_looked_at(make):
    run = Run(make("adding", batch=ROWS + 5))
    with evaluating(run.model):
        event = flow(run)
        exact = bptt.gradient_flow(run.model.rnn, lambda: run.task.next_loss(run), rows=ROWS)
    np.testing.assert_allclose(event["norms"]["h"], exact["h"], rtol=1e-5)


@pytest.mark.parametrize("name", [name for name in TASKS if name not in RECURRENT])
def test_other_tasks_are_refused_at_once(make, name):
    task = make(name, flow=True)
    with pytest.raises(ArgumentError, match=f"flow: expected a task .* char-lm .*, got {name}"):
        Run(task)


def test_what_is_too_large_is_logged_as_null(make, monkeypatch):
    run = Run(make("adding", flow=True))
    found = {"h": np.array([1.0, np.inf, np.nan])}
    monkeypatch.setattr("tinygrad_seq.train.flow.gradient_flow", lambda *args, **options: found)
    assert flow(run)["norms"] == {"h": [1.0, None, None]}


@pytest.mark.parametrize("terminal", [True, False])
def test_it_is_shown_and_fits(make, terminal):
    run = Run(make("copy", flow=True, model="lstm"))
    screen = Console(file=io.StringIO(), force_terminal=terminal, width=80, markup=False,
                     highlight=False)  # fmt: skip
    with evaluating(run.model), Progress(screen, type(run.task), 9) as progress:
        progress(flow(run))
    lines = screen.file.getvalue().split("\n")
    assert any("gradient by lag, 0 to 24 steps back" in line for line in lines)
    assert any(line.startswith("  h █") for line in lines)


def test_the_picture_is_drawn_from_the_log(tmp_path, make):
    pytest.importorskip("matplotlib")
    folder = trained(tmp_path / "run", make("music", flow=True))
    draw_flow(folder.log, folder.flow)
    assert folder.flow.read_bytes().startswith(b"\x89PNG")
    folder = trained(tmp_path / "plain", make("music"))
    with pytest.raises(DataError, match="a look or more"):
        draw_flow(folder.log, folder.flow)
