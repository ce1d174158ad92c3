"""The options, the rates and the optimisers of Transformers."""

import pytest

from tinygrad_seq import nn, optim
from tinygrad_seq.errors import ArgumentError
from tinygrad_seq.train import TASKS, Run, fit
from tinygrad_seq.train.tasks.gpt import GPTConfig


def test_the_rate_is_that_of_the_schedule():
    config = GPTConfig(steps=40, warmup=6, lr=0.02)
    optimizer = optim.SGD([nn.Linear(1, 1).weight], lr=0.02)
    schedule = optim.WarmupCosineLR(optimizer, warmup=6, steps=40, min_lr=0.002)
    for step in range(40):
        rate = optimizer.param_groups[0]["lr"]
        assert config.learning_rate(step) == pytest.approx(rate, rel=1e-12)
        optimizer.step()
        schedule.step()


@pytest.mark.parametrize("warmup", [3, 4, 100])
def test_a_warm_up_as_long_as_the_run_still_has_rates(warmup):
    config = GPTConfig(steps=4, warmup=warmup, lr=0.1)
    assert all(0 < config.learning_rate(step) <= 0.1 for step in range(4))


@pytest.mark.parametrize("name", ["gpt", "vit"])
def test_only_matrices_decay_and_every_group_has_the_rate(make, name):
    run = Run(make(name, steps=3, weight_decay=0.3))
    fit(run, lambda event: None, lambda: None)
    assert type(run.optimizer) is optim.AdamW
    matrices, others = run.optimizer.param_groups
    assert (matrices["weight_decay"], others["weight_decay"]) == (0.3, 0)
    assert {p.ndim for p in matrices["params"]} == {2}
    assert 2 not in {p.ndim for p in others["params"]}
    assert len(matrices["params"]) + len(others["params"]) == len(list(run.model.parameters()))
    assert matrices["lr"] == others["lr"] == run.config.learning_rate(2)


@pytest.mark.parametrize("name", ["gpt", "vit"])
def test_the_model_is_as_large_as_the_options_ask_for(make, name):
    model = Run(make(name, layers=3, heads=4, width=12, dropout=0.25)).model
    layers = model.h if name == "gpt" else model.encoder.layers
    heads = layers[0].attn.heads if name == "gpt" else layers[0].self_attn.num_heads
    assert (len(layers), heads, model.dropout.p) == (3, 4, 0.25)
    assert all(p.shape[-1] in (12, 36, 48, 9) for p in model.parameters() if p.ndim > 1)


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        ("gpt", {"heads": 0}, "heads"),
        ("gpt", {"layers": 0}, "layers"),
        ("gpt", {"width": 10, "heads": 4}, "width: expected a multiple of 4 heads, got 10"),
        ("gpt", {"dropout": 1.0}, "dropout"),
        ("gpt", {"warmup": -1}, "warmup"),
        ("gpt", {"weight_decay": float("nan")}, "weight-decay"),
        ("gpt", {"context": 0}, "context"),
        ("vit", {"patch": 0}, "patch"),
    ],
)
def test_options_out_of_range_are_refused(name, wrong, message):
    with pytest.raises(ArgumentError, match=message):
        TASKS[name].Config(**wrong)
