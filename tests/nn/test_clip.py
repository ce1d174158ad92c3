"""Gradient clipping by global norm and by value."""

import math

import numpy as np
import pytest

import tinygrad_seq as tg
from tinygrad_seq import nn
from tinygrad_seq.backend.strict import count_syncs
from tinygrad_seq.errors import AnomalyError, ArgumentError, GraphError


def parameters(*grads, device="cpu", dtype="float64"):
    made = []
    for g in grads:
        p = nn.Parameter(tg.zeros(np.shape(g), dtype=dtype, device=device))
        p.grad = tg.tensor(np.asarray(g, dtype), device=device)
        made.append(p)
    return made


def flat(params):
    return np.concatenate([p.grad.numpy().ravel() for p in params])


@pytest.mark.parametrize("max_norm", [0.5, 4.0, 12.9, 13.0, 13.1, 1e9, 0, math.inf])
@pytest.mark.parametrize("norm_type", [2.0, 1, math.inf, 3.5])
def test_the_norm_becomes_the_smaller_of_norm_and_threshold(max_norm, norm_type, device):
    params = parameters([[3.0, 4.0]], 12.0, [0.0], device=device)
    before = flat(params)
    norm = np.linalg.norm(before, norm_type)
    got = nn.clip_grad_norm_(params, max_norm, norm_type)
    assert str(got.device).startswith(device)
    assert got.shape == ()
    np.testing.assert_allclose(got.item(), norm, rtol=1e-14)
    after = flat(params)
    np.testing.assert_allclose(np.linalg.norm(after, norm_type), min(norm, max_norm), rtol=1e-14)
    np.testing.assert_allclose(after, before * min(1, max_norm / norm), rtol=1e-14)  # direction
    if max_norm >= norm * (1 + 1e-12):
        np.testing.assert_array_equal(after, before)  # every bit of it


@pytest.mark.oracle
@pytest.mark.parametrize("norm_type", [2.0, 1.0, math.inf, 0.7])
def test_equals_pytorchs_up_to_its_epsilon(torch, norm_type):
    rng = np.random.default_rng(0)
    grads = [rng.standard_normal(s) for s in [(3, 4), (5,), ()]]
    params = parameters(*grads)
    theirs = [torch.zeros(g.shape, dtype=torch.float64, requires_grad=True) for g in grads]
    for p, g in zip(theirs, grads, strict=True):
        p.grad = torch.tensor(g)
    norm = torch.nn.utils.clip_grad_norm_(theirs, 0.1, norm_type)
    np.testing.assert_allclose(nn.clip_grad_norm_(params, 0.1, norm_type).item(), norm.item())
    theirs_after = np.concatenate([p.grad.numpy().ravel() for p in theirs])
    np.testing.assert_allclose(flat(params), theirs_after, rtol=1e-6)


def test_the_host_does_not_wait():
    params = parameters([3.0, 4.0], [12.0], device="strict")
    with count_syncs() as syncs:
        nn.clip_grad_norm_(params, 1)
        nn.clip_grad_value_(params, 0.1)
    assert syncs.count == 0, syncs
    with count_syncs() as syncs:
        nn.clip_grad_norm_(params, 1, error_if_nonfinite=True)
    assert syncs.count == 1, syncs


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_nonfinite_gradients(bad, device):
    params = parameters([1.0, bad], [2.0], device=device)
    before = flat(params)
    with pytest.raises(AnomalyError, match=r"clip_grad_norm_: the 2.0-norm .* is (nan|inf)"):
        nn.clip_grad_norm_(params, 1, error_if_nonfinite=True)
    np.testing.assert_array_equal(flat(params), before)
    assert not math.isfinite(nn.clip_grad_norm_(params, math.inf).item())


def test_zero_gradients_stay_zero(device):
    params = parameters([0.0, 0.0], device=device)
    assert nn.clip_grad_norm_(params, 0).item() == 0
    assert nn.clip_grad_norm_(params, 1).item() == 0
    assert flat(params).tolist() == [0, 0]


def test_float32_stays_float32(device):
    params = parameters([3.0, 4.0], device=device, dtype="float32")
    norm = nn.clip_grad_norm_(params, 1)
    assert norm.dtype == np.float32
    assert params[0].grad.dtype == np.float32
    mixed = params + parameters([12.0], device=device)
    assert nn.clip_grad_norm_(mixed, 1).dtype == np.float64
    assert mixed[0].grad.dtype == np.float32
    assert mixed[1].grad.dtype == np.float64


def test_a_shared_parameter_counts_once_and_one_without_a_gradient_not_at_all():
    (p,) = parameters([3.0, 4.0])
    idle = nn.Parameter(tg.ones(2))
    assert nn.clip_grad_norm_([p, idle, p], 1).item() == 5
    np.testing.assert_allclose(flat([p]), [0.6, 0.8])
    assert nn.clip_grad_norm_([idle], 1).item() == 0
    assert nn.clip_grad_norm_([], 1).item() == 0
    assert nn.clip_grad_norm_(iter([p]), 0.5).item() == pytest.approx(1)  # a generator
    assert nn.clip_grad_norm_(p, 0.5).item() == pytest.approx(0.5)  # a single one


def test_value(device):
    params = parameters([[-3.0, 0.25]], 1.5, device=device)
    assert nn.clip_grad_value_(params, 0.5) is None
    assert flat(params).tolist() == [-0.5, 0.25, 0.5]
    nn.clip_grad_value_(params[0], 0)
    assert params[0].grad.tolist() == [[0, 0]]


@pytest.mark.parametrize(
    "clip", [lambda p: nn.clip_grad_norm_(p, 0.1), lambda p: nn.clip_grad_value_(p, 0.1)]
)
def test_the_tape_notices(clip):
    (p,) = parameters([3.0, 4.0])
    x = tg.ones(2, dtype="float64", requires_grad=True)
    loss = (x * p.grad).sum()
    clip(p)
    with pytest.raises(GraphError, match="changed in place"):
        loss.backward()


@pytest.mark.parametrize(
    ("act", "match"),
    [
        (lambda p: nn.clip_grad_norm_(p, -1), "max_norm ≥ 0, got -1"),
        (lambda p: nn.clip_grad_norm_(p, math.nan), "max_norm ≥ 0, got nan"),
        (lambda p: nn.clip_grad_norm_(p, 1, 0), "norm_type > 0, got 0"),
        (lambda p: nn.clip_grad_norm_(p, 1, math.nan), "norm_type > 0"),
        (lambda p: nn.clip_grad_norm_([p], 1), "expected parameters, got list"),
        (lambda p: nn.clip_grad_value_(p, -0.5), "clip_value ≥ 0, got -0.5"),
        (lambda p: nn.clip_grad_value_(p, math.nan), "clip_value ≥ 0"),
    ],
)
def test_bad_arguments_change_nothing(act, match):
    params = parameters([3.0, 4.0])
    with pytest.raises(ArgumentError, match=match):
        act(params)
    assert flat(params).tolist() == [3, 4]
