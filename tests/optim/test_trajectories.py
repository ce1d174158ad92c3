"""Optimisers against PyTorch's and against golden values."""

import itertools

import numpy as np
import pytest

import tinygrad_seq as tg
from tinygrad_seq import nn, optim

STEPS = 50
SHAPES = [(3, 4), (5,), ()]


def grid(**choices):
    """All combinations of options, as dicts."""
    return [
        dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())
    ]


SGD = grid(
    lr=[0.1],
    momentum=[0.0, 0.9],
    dampening=[0.0, 0.3],
    weight_decay=[0.0, 0.01],
    nesterov=[False, True],
    maximize=[False, True],
)
SGD = [o for o in SGD if not o["nesterov"] or (o["momentum"] and not o["dampening"])]
ADAM = grid(
    lr=[0.05],
    betas=[(0.9, 0.999), (0.5, 0.7)],
    eps=[1e-8, 0.1],
    weight_decay=[0.0, 0.1],
    amsgrad=[False, True],
    maximize=[False, True],
)
ADAM = [o for o in ADAM if (o["eps"] == 0.1) == (o["betas"] == (0.5, 0.7))]
CASES = [("SGD", o) for o in SGD] + [(name, o) for name in ("Adam", "AdamW") for o in ADAM]


def gradients(step, rng):
    """Gradients whose size changes a lot from step to step, so that every average matters."""
    return [rng.standard_normal(s) * 10.0 ** rng.integers(-3, 2) for s in SHAPES]


def identity(case):
    name, options = case
    return f"{name}-" + "-".join(f"{k}={v}" for k, v in options.items() if k != "lr" and v)


@pytest.mark.oracle
@pytest.mark.parametrize("case", CASES, ids=identity)
def test_trajectories_equal_pytorchs(torch, case):
    name, options = case
    rng = np.random.default_rng(0)
    start = [rng.standard_normal(s) for s in SHAPES]
    ours = [nn.Parameter(w.copy()) for w in start]
    theirs = [torch.tensor(w, requires_grad=True) for w in start]
    optimiser = getattr(optim, name)(ours, **options)
    reference = getattr(torch.optim, name)(theirs, **options, foreach=False)
    for step in range(STEPS):
        for p, q, g in zip(ours, theirs, gradients(step, rng), strict=True):
            p.grad, q.grad = tg.tensor(g), torch.tensor(g)
        optimiser.step()
        reference.step()
        for p, q in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(p.numpy(), q.detach().numpy(), rtol=1e-12, atol=1e-12)
    assert np.abs(ours[0].numpy() - start[0]).max() > 0.05  # it has moved


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        # By hand, from w = 1 and gradients 2, then 4.
        ("SGD", {"lr": 0.1}, [0.8, 0.4]),
        ("SGD", {"lr": 0.1, "momentum": 0.5}, [0.8, 0.8 - 0.1 * (1 + 4)]),
        ("SGD", {"lr": 0.1, "momentum": 0.5, "nesterov": True}, [0.7, 0.7 - 0.1 * (4 + 2.5)]),
        ("SGD", {"lr": 0.1, "momentum": 0.5, "dampening": 0.5}, [0.8, 0.8 - 0.1 * (1 + 2)]),
        ("SGD", {"lr": 0.1, "weight_decay": 0.5}, [0.75, 0.75 - 0.1 * (4 + 0.375)]),
        ("SGD", {"lr": 0.1, "maximize": True}, [1.2, 1.6]),
        # m̂ = 2, v̂ = 4; then m̂ = 0.58/0.19, v̂ = 0.019996/0.001999.
        ("Adam", {"lr": 0.1, "eps": 0.0},
         [0.9, 0.9 - 0.1 * (0.58 / 0.19) / (0.019996 / 0.001999) ** 0.5]),
        ("Adam", {"lr": 0.1, "eps": 2.0}, [0.95, None]),
        ("AdamW", {"lr": 0.1, "eps": 0.0, "weight_decay": 0.5}, [0.95 - 0.1, None]),
    ],
)  # fmt: skip
def test_golden_steps(name, options, expected, device):
    w = nn.Parameter(tg.ones(2, dtype="float64", device=device))
    optimiser = getattr(optim, name)([w], **options)
    for g, value in zip([2.0, 4.0], expected, strict=True):
        w.grad = tg.full((2,), g, dtype="float64", device=device)
        optimiser.step()
        if value is not None:
            np.testing.assert_allclose(w.numpy(), value, rtol=1e-14)


@pytest.mark.parametrize(("inside", "expected"), [(False, 0.990), (True, 3.16e-4)])
def test_epsilon_inside_and_outside_the_root(inside, expected):
    """The first step over lr for g = 1e-6 and ε = 1e-8: 1/(1 + 0.01), and √10·1e-4."""
    w = nn.Parameter(tg.zeros(1, dtype="float64"))
    w.grad = tg.full((1,), 1e-6, dtype="float64")
    optim.Adam([w], lr=0.5, eps_inside=inside).step()
    assert -w.item() / 0.5 == pytest.approx(expected, rel=1e-3)


def test_epsilon_inside_follows_its_formula():
    rng = np.random.default_rng(0)
    w = nn.Parameter(np.ones(3))
    optimiser = optim.Adam([w], lr=0.1, betas=(0.8, 0.9), eps=0.01, eps_inside=True)
    x, m, v = np.ones(3), 0, 0
    for t in range(1, 20):
        g = rng.standard_normal(3)
        m, v = 0.8 * m + 0.2 * g, 0.9 * v + 0.1 * g * g
        x = x - 0.1 * np.sqrt(1 - 0.9**t) / (1 - 0.8**t) * m / np.sqrt(v + 0.01)
        w.grad = tg.tensor(g)
        optimiser.step()
        np.testing.assert_allclose(w.numpy(), x, rtol=1e-12)


@pytest.mark.parametrize("case", [CASES[0], CASES[5], ("Adam", ADAM[6]), ("AdamW", ADAM[6])],
                         ids=identity)  # fmt: skip
def test_the_same_on_every_device_and_in_single_precision(case, device):
    name, options = case
    rng = np.random.default_rng(0)
    start = rng.standard_normal((4, 3)).astype("float32")
    here = nn.Parameter(tg.tensor(start.copy()))
    there = nn.Parameter(tg.tensor(start.copy(), device=device))
    double = nn.Parameter(start.astype("float64"))
    optimisers = [getattr(optim, name)([p], **options) for p in (here, there, double)]
    for _ in range(10):
        g = rng.standard_normal((4, 3)).astype("float32")
        for p, optimiser in zip((here, there, double), optimisers, strict=True):
            p.grad = tg.tensor(g.astype(p.dtype), device=p.device)
            optimiser.step()
    np.testing.assert_array_equal(here.numpy(), there.numpy())
    np.testing.assert_allclose(here.numpy(), double.numpy(), rtol=2e-4, atol=1e-5)
    for p, optimiser in zip((here, there), optimisers, strict=False):
        assert p.dtype == np.float32
        held = [v for v in optimiser.state[p].values() if isinstance(v, tg.Tensor)]
        assert all(v.dtype == np.float32 and v.device == p.device for v in held)


@pytest.mark.oracle
def test_gradients_and_parameters_need_not_be_contiguous(torch):
    rng = np.random.default_rng(0)
    start, grads = rng.standard_normal((6, 4)), rng.standard_normal((3, 6, 4))
    w = nn.Parameter(start.T.copy().T)
    q = torch.tensor(start, requires_grad=True)
    ours, theirs = optim.Adam([w], weight_decay=0.1), torch.optim.Adam([q], weight_decay=0.1)
    for g in grads:
        w.grad, q.grad = tg.tensor(np.asfortranarray(g)), torch.tensor(g)
        ours.step()
        theirs.step()
    np.testing.assert_allclose(w.numpy(), q.detach().numpy(), rtol=1e-12)
