"""Schedules of learning rates: PyTorch's trajectories, formulas, saving and going on."""

import math

import numpy as np
import pytest

import tinygrad_seq as tg
from tinygrad_seq import nn, optim
from tinygrad_seq.errors import ArgumentError, StateError

STEPS = 60


def optimiser(kind="SGD", groups=2, **options):
    """An optimiser with rates 0.5, 0.25, … in its groups."""
    params = [
        {"params": [nn.Parameter(np.ones(2))], "lr": 0.5 / 2**i, **options} for i in range(groups)
    ]
    return getattr(optim, kind)(params)


def pytorchs(torch, kind="SGD", groups=2, **options):
    params = [
        {"params": [torch.ones(2, requires_grad=True)], "lr": 0.5 / 2**i, **options}
        for i in range(groups)
    ]
    return getattr(torch.optim, kind)(params, lr=0.1)


def momenta(optimizer):
    return [group.get("momentum", group.get("betas", [0])) for group in optimizer.param_groups]


def trajectory(optimizer, schedule, steps=STEPS, given=()):
    """The rates and momenta of all groups, at each step."""
    rates, inner = [], []
    for t in range(steps):
        rates.append([group["lr"] for group in optimizer.param_groups])
        inner.append(np.ravel(momenta(optimizer)).tolist())
        optimizer.step()
        schedule.step(*(given[t : t + 1]))
    return np.array(rates), np.array(inner)


CASES = {
    "LambdaLR": {"lr_lambda": lambda t: 1 / (1 + t)},
    "LambdaLR each": {"lr_lambda": [lambda t: 0.9**t, lambda t: 1 + t]},
    "ConstantLR": {},
    "ConstantLR 0.25": {"factor": 0.25, "total_iters": 9},
    "LinearLR": {},
    "LinearLR down": {"start_factor": 1.0, "end_factor": 0.0, "total_iters": 20},
    "StepLR": {"step_size": 7},
    "StepLR 0.5": {"step_size": 4, "gamma": 0.5},
    "MultiStepLR": {"milestones": [5, 9, 9, 30], "gamma": 0.5},
    "ExponentialLR": {"gamma": 0.93},
    "CosineAnnealingLR": {"T_max": 25},
    "CosineAnnealingLR min": {"T_max": 13, "eta_min": 0.01},
    "OneCycleLR": {"max_lr": 2.0, "total_steps": 60, "cycle_momentum": False},
    "OneCycleLR linear": {"max_lr": [2.0, 1.0], "epochs": 6, "steps_per_epoch": 10,
                          "anneal_strategy": "linear", "pct_start": 0.45, "cycle_momentum": False},
    "OneCycleLR momentum": {"max_lr": 1.5, "total_steps": 60, "div_factor": 5.0},
    "OneCycleLR three": {"max_lr": 1.5, "total_steps": 60, "three_phase": True, "pct_start": 0.2,
                         "final_div_factor": 10.0, "base_momentum": 0.6, "max_momentum": 0.9},
}  # fmt: skip


@pytest.mark.oracle
@pytest.mark.parametrize("kind", ["SGD", "AdamW"])
@pytest.mark.parametrize("case", CASES)
def test_trajectories_equal_pytorchs(torch, case, kind):
    name, options = case.split()[0], CASES[case]
    more = {"momentum": 0.7} if kind == "SGD" else {}
    ours, theirs = optimiser(kind, **more), pytorchs(torch, kind, **more)
    got = trajectory(ours, getattr(optim, name)(ours, **options))
    expected = trajectory(theirs, getattr(torch.optim.lr_scheduler, name)(theirs, **options))
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-14)
    assert np.ptp(got[0]) > 0.1  # it has moved


@pytest.mark.oracle
def test_one_after_the_other_equals_pytorchs(torch):
    found = []
    for library, optimizer in ((optim, optimiser()), (torch.optim.lr_scheduler, pytorchs(torch))):
        parts = [
            library.LinearLR(optimizer, 0.1, total_iters=10),
            library.CosineAnnealingLR(optimizer, 30, 0.01),
            library.StepLR(optimizer, 5, 0.5),
        ]
        schedule = library.SequentialLR(optimizer, parts, [10, 40])
        found.append(trajectory(optimizer, schedule)[0])
    np.testing.assert_allclose(*found, rtol=1e-11)
    rates = found[0][:, 0]
    assert rates[0] == pytest.approx(0.05)
    assert rates[10] == 0.5
    assert rates[39] < 0.02
    assert rates[40] == 0.5
    assert rates[45] == 0.25


PLATEAU = {
    "": {},
    "patience": {"patience": 2, "factor": 0.5},
    "rel": {"threshold": 0.2, "patience": 1},
    "rel max": {"mode": "max", "threshold": 0.1, "patience": 1},
    "abs": {"threshold_mode": "abs", "threshold": 0.3, "patience": 1},
    "abs max": {"mode": "max", "threshold_mode": "abs", "threshold": 0.3, "patience": 1},
    "cooldown": {"patience": 1, "cooldown": 4, "factor": 0.7},
    "min": {"patience": 0, "factor": 0.5, "min_lr": [0.1, 0.05]},
    "eps": {"patience": 0, "factor": 0.9, "eps": 0.03},
}


@pytest.mark.oracle
@pytest.mark.parametrize("case", PLATEAU)
def test_plateaus_equal_pytorchs(torch, case):
    rng = np.random.default_rng(0)
    measures = (2 + 1 / (1 + np.arange(60)) + 0.3 * rng.standard_normal(60)).tolist()
    measures[20] = math.nan
    ours, theirs = optimiser(), pytorchs(torch)
    schedules = (
        optim.ReduceLROnPlateau(ours, **PLATEAU[case]),
        torch.optim.lr_scheduler.ReduceLROnPlateau(theirs, **PLATEAU[case]),
    )
    got, expected = (
        trajectory(o, s, given=measures)[0] for o, s in zip((ours, theirs), schedules, strict=True)
    )
    np.testing.assert_allclose(got, expected, rtol=1e-12)
    assert got[-1, 0] < got[0, 0]


def test_a_plateau_is_told_a_tensor_too(device):
    one = optimiser()
    schedule = optim.ReduceLROnPlateau(one, patience=0)
    for value in (1.0, 2.0):
        schedule.step(tg.tensor(value, device=device))
    assert schedule.get_last_lr() == pytest.approx([0.05, 0.025])
    with pytest.raises(ArgumentError, match="a measure, got none"):
        schedule.step()


def nanogpt(t, base, warmup, steps, low):
    """The schedule in words of its own."""
    if t < warmup:
        return base * (t + 1) / (warmup + 1)
    if t > steps:
        return low
    return low + 0.5 * (1 + math.cos(math.pi * (t - warmup) / (steps - warmup))) * (base - low)


@pytest.mark.parametrize(("warmup", "steps"), [(10, 50), (0, 30), (5, 6)])
def test_warm_up_and_cosine_as_nanogpt_has_it(warmup, steps):
    one = optimiser()
    schedule = optim.WarmupCosineLR(one, warmup, steps, min_lr=0.01)
    rates, _ = trajectory(one, schedule)
    expected = [[nanogpt(t, b, warmup, steps, 0.01) for b in (0.5, 0.25)] for t in range(STEPS)]
    np.testing.assert_allclose(rates, expected, rtol=1e-13)
    assert rates[warmup].tolist() == [0.5, 0.25]
    assert rates[-1].tolist() == [0.01, 0.01]
    assert rates[:, 0].argmax() == warmup


# ---------------------------------------------------------------------- saving and going on


def sequence(optimizer):
    parts = [optim.LinearLR(optimizer, 0.1, total_iters=10), optim.ExponentialLR(optimizer, 0.9)]
    return optim.SequentialLR(optimizer, parts, [10])


RESUMED = {
    **{
        case: lambda o, case=case: getattr(optim, case.split()[0])(o, **CASES[case])
        for case in CASES
    },
    "WarmupCosineLR": lambda o: optim.WarmupCosineLR(o, 10, 50),
    "SequentialLR": sequence,
    "ReduceLROnPlateau": lambda o: optim.ReduceLROnPlateau(o, patience=2, cooldown=1),
}


@pytest.mark.parametrize("stop", [0, 17, 40])
@pytest.mark.parametrize("case", RESUMED)
def test_a_resumed_schedule_goes_on_as_if_never_stopped(case, stop, tmp_path):
    measures = np.random.default_rng(0).standard_normal(STEPS).tolist()
    plateau = case == "ReduceLROnPlateau"
    whole = optimiser(momentum=0.5)
    expected = trajectory(whole, RESUMED[case](whole), given=measures if plateau else ())
    first = optimiser(momentum=0.5)
    schedule = RESUMED[case](first)
    trajectory(first, schedule, stop, measures if plateau else ())
    saved = {"schedule": schedule.state_dict(), "optimizer": first.state_dict()}
    tg.save(tmp_path / "run.safetensors", saved)
    second = optimiser(momentum=0.5)
    again = RESUMED[case](second)
    loaded = tg.load(tmp_path / "run.safetensors")
    second.load_state_dict(loaded["optimizer"])
    again.load_state_dict(loaded["schedule"])
    got = trajectory(second, again, STEPS - stop, measures[stop:] if plateau else ())
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_array_equal(a, b[stop:])


def test_the_options_are_part_of_the_state():
    one = optimiser()
    schedule = optim.StepLR(one, 3, 0.5)
    schedule.load_state_dict(optim.StepLR(optimiser(), 2, 0.1).state_dict())
    assert (schedule.step_size, schedule.gamma) == (2, 0.1)
    state = schedule.state_dict()
    state["base_lrs"][0] = 9  # a copy
    assert schedule.base_lrs == [0.5, 0.25]


def test_last_epoch_goes_on_under_an_optimiser_that_was_scheduled_before():
    one = optimiser()
    schedule = optim.ExponentialLR(one, 0.5)
    for _ in range(3):
        schedule.step()
    assert optim.ExponentialLR(one, 0.5, last_epoch=4).get_last_lr() == [0.5 / 32, 0.25 / 32]
    with pytest.raises(ArgumentError, match="an initial_lr"):
        optim.ExponentialLR(optimiser(), 0.5, last_epoch=4)


@pytest.mark.parametrize("wrong", [
    {}, None, {"last_epoch": 3}, optim.StepLR(optimiser(), 3).state_dict(),
    optim.ExponentialLR(optimiser(groups=1), 0.9).state_dict(),
    {"base_lrs": [0.5, 0.25], "gamma": 0.9, "last_epoch": "3"},
], ids=str)  # fmt: skip
def test_a_state_that_does_not_fit_changes_nothing(wrong):
    for make in (lambda o: optim.ExponentialLR(o, 0.9), sequence):
        one = optimiser()
        schedule = make(one)
        for _ in range(12):
            schedule.step()
        before, rates = schedule.state_dict(), schedule.get_last_lr()
        given = wrong
        if isinstance(schedule, optim.SequentialLR):  # the last of the list does not fit
            given = {**before, "last_epoch": 2, "schedulers": [before["schedulers"][0], wrong]}
        with pytest.raises(StateError):
            schedule.load_state_dict(given)
        assert schedule.state_dict() == before
        assert schedule.get_last_lr() == rates


def test_a_group_added_later_keeps_its_rate():
    one = optimiser()
    schedule = optim.ExponentialLR(one, 0.5)
    one.add_param_group({"params": [nn.Parameter(np.ones(2))], "lr": 3.0})
    schedule.step()
    assert schedule.get_last_lr() == [0.25, 0.125, 3.0]


def test_training_uses_the_rate():
    p = nn.Parameter(np.zeros(1))
    one = optim.SGD([p], lr=1.0)
    schedule = optim.StepLR(one, 2, 0.1)
    for _ in range(4):
        p.grad = tg.tensor([1.0], dtype=p.dtype)
        one.step()
        schedule.step()
    assert p.item() == pytest.approx(-(1 + 1 + 0.1 + 0.1))


MISTAKES = [
    (lambda o: optim.StepLR("sgd", 3), "an optimizer, got str"),
    (lambda o: optim.StepLR(o, 0), "step_size ≥ 1, got 0"),
    (lambda o: optim.ExponentialLR(o, math.nan), "gamma ≥ 0, got nan"),
    (lambda o: optim.LambdaLR(o, [abs]), "2 functions, got 1"),
    (lambda o: optim.ConstantLR(o, 1.5), "factor ≤ 1"),
    (lambda o: optim.LinearLR(o, 0.0), "start_factor > 0"),
    (lambda o: optim.LinearLR(o, end_factor=2), "end_factor ≤ 1"),
    (lambda o: optim.CosineAnnealingLR(o, 0), "T_max ≥ 1"),
    (lambda o: optim.WarmupCosineLR(o, 10, 10), "steps > 10, got 10"),
    (lambda o: optim.OneCycleLR(o, 1.0), "total_steps, or epochs and steps_per_epoch"),
    (lambda o: optim.OneCycleLR(o, [1.0], 9), "2 of max_lr, got 1"),
    (lambda o: optim.OneCycleLR(o, 1.0, 9, pct_start=1.5), r"pct_start in \[0, 1\]"),
    (lambda o: optim.OneCycleLR(o, 1.0, 9, anneal_strategy="sin"), "cos | linear"),
    (lambda o: optim.OneCycleLR(o, 1.0, 9, div_factor=0), "div_factor > 0"),
    (lambda o: optim.ReduceLROnPlateau(o, "least"), "min | max"),
    (lambda o: optim.ReduceLROnPlateau(o, factor=1.0), "factor < 1"),
    (lambda o: optim.ReduceLROnPlateau(o, threshold_mode="x"), "rel | abs"),
    (lambda o: optim.SequentialLR(o, [], []), "a list of schedules"),
    (lambda o: optim.SequentialLR(o, [optim.StepLR(o, 3)], [3]), "0 milestones, got 1"),
    (lambda o: optim.SequentialLR(o, [optim.StepLR(o, 3)] * 2, [0]), "rising milestones above 0"),
    (lambda o: optim.SequentialLR(o, [optim.StepLR(optimiser(), 3)], []), "of one optimizer"),
]


@pytest.mark.parametrize(("call", "message"), MISTAKES, ids=[m for _, m in MISTAKES])
def test_mistakes(call, message):
    with pytest.raises(ArgumentError, match=message):
        call(optimiser())


def test_a_cycle_has_an_end():
    one = optimiser(momentum=0.5)
    schedule = optim.OneCycleLR(one, 1.0, 5)
    for _ in range(5):
        schedule.step()
    assert schedule.get_last_lr() == pytest.approx([1 / 25e4] * 2)
    assert momenta(one) == pytest.approx([0.95] * 2)
    with pytest.raises(ArgumentError, match="at most 5 steps, got 6"):
        schedule.step()
