"""What all optimisers share: groups, state, errors, and what they do to the tape."""

import math

import numpy as np
import pytest

import tinygrad_seq as tg
from tinygrad_seq import nn, optim
from tinygrad_seq.backend.strict import count_syncs
from tinygrad_seq.errors import ArgumentError, GraphError, ShapeError, StateError

KINDS = [
    (optim.SGD, {"lr": 0.1, "momentum": 0.9}),
    (optim.Adam, {"amsgrad": True, "lr": 0.1}),
    (optim.AdamW, {"lr": 0.1, "betas": (0.5, 0.6)}),
]
every = pytest.mark.parametrize(
    ("kind", "options"), KINDS, ids=lambda v: getattr(v, "__name__", "")
)


def two(device="cpu", dtype="float64"):
    return [nn.Parameter(tg.full(s, 1.5, dtype=dtype, device=device)) for s in [(2, 3), (4,)]]


def give_gradients(params, seed=0):
    rng = np.random.default_rng(seed)
    for p in params:
        p.grad = tg.tensor(rng.standard_normal(p.shape).astype(p.dtype), device=p.device)


def run(optimiser, params, steps=3, seed=0):
    for i in range(steps):
        give_gradients(params, seed + i)
        optimiser.step()


@every
def test_a_loss_goes_down(kind, options, device):
    w = nn.Parameter(tg.tensor([3.0, -2.0], device=device))
    optimiser = kind([w], **options)
    for _ in range(150):
        optimiser.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.05


@every
def test_nothing_waits_for_the_device(kind, options):
    params = two("strict")
    optimiser = kind(params, **options, weight_decay=0.1)
    run(optimiser, params)
    give_gradients(params)
    with count_syncs() as syncs:
        optimiser.step()
        optimiser.zero_grad()
    assert syncs.count == 0, syncs


@every
def test_the_tape_notices_a_step(kind, options):
    params = two()
    loss = (params[0] * params[0]).sum()
    run(kind(params, **options), params, steps=1)
    with pytest.raises(GraphError, match="changed in place"):
        loss.backward()


def test_groups_have_options_of_their_own():
    a, b, c = (nn.Parameter(tg.zeros(1)) for _ in range(3))
    optimiser = optim.SGD([{"params": [a]}, {"params": b, "lr": 2.0}], lr=1.0)
    optimiser.add_param_group({"params": [c], "lr": np.float32(4)})
    for p in (a, b, c):
        p.grad = tg.ones(1)
    optimiser.step()
    assert [p.item() for p in (a, b, c)] == [-1, -2, -4]
    optimiser.param_groups[0]["lr"] = np.float64(0.5)  # as a schedule would
    optimiser.step()
    assert [p.item() for p in (a, b, c)] == [-1.5, -4, -8]
    assert a.dtype == np.float32
    assert [g["momentum"] for g in optimiser.param_groups] == [0, 0, 0]
    assert "(1): 1 tensors, 1 numbers; lr=2.0" in repr(optimiser)


@every
def test_parameters_without_a_gradient_stay(kind, options):
    a, b = two()
    optimiser = kind([a, b], **options, weight_decay=0.1)
    give_gradients([a])
    optimiser.step()
    assert (b.numpy() == 1.5).all()
    assert b not in optimiser.state
    assert (a.numpy() != 1.5).all()


def test_zero_grad():
    params = two()
    optimiser = optim.SGD(params)
    give_gradients(params[:1])
    held = params[0].grad
    optimiser.zero_grad(set_to_none=False)
    assert params[0].grad is held
    assert not held.numpy().any()
    assert params[1].grad is None
    optimiser.zero_grad()
    assert params[0].grad is None


def test_step_takes_a_closure():
    w = nn.Parameter(tg.ones(1))
    optimiser = optim.SGD([w], lr=0.25)

    def closure():
        optimiser.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        return loss

    with tg.no_grad():
        assert optimiser.step(closure).item() == 1
    assert w.item() == 0.5


@every
def test_state_goes_through_a_file_and_on_bitwise(kind, options, tmp_path, device):
    params = two(device)
    optimiser = kind(params, **options)
    run(optimiser, params)
    tg.save(tmp_path / "s.safetensors", {"o": optimiser.state_dict(), "p": list(params)})
    run(optimiser, params, seed=7)

    saved = tg.load(tmp_path / "s.safetensors", device=device)
    twins = [nn.Parameter(p) for p in saved["p"]]
    other = kind(twins, lr=9.0)
    other.load_state_dict(saved["o"])
    assert other.param_groups[0]["lr"] == options["lr"]
    run(other, twins, seed=7)
    for p, q in zip(params, twins, strict=True):
        np.testing.assert_array_equal(p.numpy(), q.numpy())


@every
def test_the_loaded_state_is_a_copy(kind, options):
    params = two()
    optimiser, other = kind(params, **options), kind(two(), **options)
    run(optimiser, params)
    state = optimiser.state_dict()
    before = {k: v.numpy().copy() for k, v in state["state"]["1"].items() if k != "step"}
    other.load_state_dict(state)
    run(other, other.param_groups[0]["params"])
    for name, value in before.items():
        np.testing.assert_array_equal(state["state"]["1"][name].numpy(), value)


@pytest.mark.oracle
@every
def test_state_goes_to_and_from_pytorch(torch, kind, options):
    params = two()
    optimiser = kind(params, **options)
    run(optimiser, params)
    theirs = [torch.tensor(p.numpy().copy(), requires_grad=True) for p in params]
    reference = getattr(torch.optim, kind.__name__)(theirs, **options)
    for i in range(3):
        give_gradients(params, i)
        for q, p in zip(theirs, params, strict=True):
            q.grad = torch.tensor(p.grad.numpy().copy())
        reference.step()
    ours, state = optimiser.state_dict(), reference.state_dict()
    for number, entry in state["state"].items():
        for name, value in entry.items():
            got = ours["state"][str(number)].get(name)
            if name == "step":
                assert got == value.item() == 3
            elif value is not None:
                np.testing.assert_allclose(got.numpy(), value.numpy(), rtol=1e-13)
    plain = {n: {k: v.numpy() for k, v in entry.items() if v is not None}
             for n, entry in state["state"].items()}  # fmt: skip
    groups = [{**ours["param_groups"][0], "lr": state["param_groups"][0]["lr"]}]
    optimiser.load_state_dict({"state": plain, "param_groups": groups})


def test_moving_the_model_takes_the_state_along(device):
    net = nn.Sequential(nn.Linear(3, 2))
    optimiser = optim.Adam(net.parameters(), lr=0.1)
    give_gradients(net.parameters())
    optimiser.step()
    before = optimiser.state[net[0].weight]["exp_avg"].numpy().copy()
    net.to(device, "float64")
    for p in net.parameters():
        p.grad.zero_()
    optimiser.step()
    held = optimiser.state[net[0].weight]["exp_avg"]
    assert held.dtype == np.float64
    assert held.device == net[0].weight.device
    np.testing.assert_allclose(held.numpy(), 0.9 * before.astype("float64"), rtol=1e-6)


def broken(**changes):
    params = two()
    optimiser = optim.Adam(params)
    run(optimiser, params, steps=1)
    state = optimiser.state_dict()
    state["state"] = {k: dict(v) for k, v in state["state"].items()}
    for name, value in changes.items():
        place = state["state"]["0"] if name != "groups" else state["param_groups"][0]
        place.update(value)
        for key in [k for k, v in value.items() if v is ...]:
            del place[key]
    return state


@pytest.mark.parametrize(
    ("state", "error", "match"),
    [
        ([], StateError, "a state dict with 'state' and 'param_groups'"),
        ({"state": {}}, StateError, "a state dict with 'state' and 'param_groups'"),
        ({"state": {}, "param_groups": []}, StateError, "1 param_groups, got 0"),
        (broken(groups={"params": [0]}), StateError, "2 parameters in group 0, got 1"),
        (broken(groups={"eps": ...}), StateError, r"group 0 with options \['eps'\]"),
        (broken(groups={"lr": -1.0}), ArgumentError, "lr in"),
        (broken(s={"exp_avg": tg.zeros(3)}), ShapeError, r"exp_avg of shape \(2, 3\), got \(3,\)"),
        (broken(s={"exp_avg": 3}), StateError, "exp_avg, a tensor, got int"),
        (broken(s={"other": tg.zeros(3)}), StateError, "parameter 0: step, exp_avg"),
        (broken(s={"step": -1}), StateError, "step, a count"),
        (broken(s={"step": ...}), StateError, "parameter 0: step, exp_avg"),
        ({**broken(), "state": {"2": {}}}, StateError, "parameter numbers below 2, got '2'"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(state, error, match):
    params = two()
    optimiser = optim.Adam(params, lr=0.7)
    run(optimiser, params, steps=2)
    before = optimiser.state[params[0]]["exp_avg"].numpy().copy()
    with pytest.raises(error, match=match):
        optimiser.load_state_dict(state)
    assert optimiser.param_groups[0]["lr"] == 0.7
    assert optimiser.state[params[0]]["step"] == 2
    np.testing.assert_array_equal(optimiser.state[params[0]]["exp_avg"].numpy(), before)


W = nn.Parameter(np.ones(2))


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: optim.SGD([]), "SGD: expected at least one parameter"),
        (lambda: optim.SGD([{"params": []}]), "SGD: expected at least one parameter"),
        (lambda: optim.SGD(W), "an iterable of parameters .* got Parameter"),
        (lambda: optim.SGD({W}), "got set"),
        (lambda: optim.SGD(nn.Linear(1, 1)), "got Linear"),
        (lambda: optim.SGD([3]), "expected parameters, got int"),
        (lambda: optim.SGD([W * 2]), "expected leaf tensors"),
        (lambda: optim.SGD([tg.arange(3)]), "floating parameters, got int64"),
        (lambda: optim.SGD([W, W]), "each parameter once"),
        (lambda: optim.SGD([{"params": [W]}, {"params": [W]}]), "each parameter once"),
        (lambda: optim.SGD([{"params": [W], "lrr": 1}]), r"options among .* got \['lrr'\]"),
        (lambda: optim.SGD([{"lr": 1}]), 'a group with a key "params"'),
        (lambda: optim.SGD([{"params": [W], "lr": -1}]), "lr in"),
        (lambda: optim.SGD([W], lr=-0.1), r"SGD: expected lr in \[0, inf\), got -0.1"),
        (lambda: optim.SGD([W], lr=math.nan), "lr in"),
        (lambda: optim.SGD([W], lr=math.inf), "lr in"),
        (lambda: optim.SGD([W], lr="fast"), "lr in"),
        (lambda: optim.SGD([W], momentum=-1), "momentum in"),
        (lambda: optim.SGD([W], weight_decay=-1), "weight_decay in"),
        (lambda: optim.SGD([W], dampening=math.nan), "dampening in"),
        (lambda: optim.SGD([W], nesterov=True), "momentum > 0 and dampening 0 with nesterov"),
        (lambda: optim.SGD([W], maximize=1), "maximize True or False"),
        (lambda: optim.SGD([W], momentum=0.9, dampening=0.1, nesterov=True), "dampening 0"),
        (lambda: optim.Adam([W], betas=(0.9, 1.0)), r"Adam: expected betas\[1\] in \[0, 1\)"),
        (lambda: optim.Adam([W], betas=(-0.1, 0.9)), r"betas\[0\] in"),
        (lambda: optim.Adam([W], betas=0.9), "a pair of betas"),
        (lambda: optim.AdamW([W], eps=-1e-8), "AdamW: expected eps in"),
        (lambda: optim.AdamW([W], weight_decay=-1), "weight_decay in"),
        (lambda: optim.Adam([W], amsgrad="yes"), "amsgrad True or False"),
    ],
)
def test_bad_arguments(make, match):
    with pytest.raises(ArgumentError, match=match):
        make()
