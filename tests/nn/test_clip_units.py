"""Clipping each gradient by itself, and each unit's beside its weights."""

import math

import numpy as np
import pytest

import tinygrad_seq as tg
from tinygrad_seq import nn
from tinygrad_seq.backend.strict import count_syncs
from tinygrad_seq.errors import AnomalyError, ArgumentError


def parameter(grad, weight=None, device="cpu", dtype="float64"):
    weight = np.zeros(np.shape(grad)) if weight is None else np.asarray(weight)
    p = nn.Parameter(tg.tensor(weight.astype(dtype), device=device))
    p.grad = tg.tensor(np.array(grad, dtype), device=device)
    return p


# ---------------------------------------------------------------------- each gradient


@pytest.mark.parametrize("norm_type", [1.0, 2.0, math.inf])
def test_each_gradient_gets_a_factor_of_its_own(norm_type, device):
    rng = np.random.default_rng(0)
    grads = [rng.standard_normal((3, 4)) * 10, rng.standard_normal(5) * 0.01, np.array(-7.0)]
    params = [parameter(g, device=device) for g in grads]
    idle = nn.Parameter(tg.ones(2, device=device))
    norms = nn.clip_each_grad_norm_([params[0], idle, *params], 1.0, norm_type)
    assert norms.shape == (3,)
    assert str(norms.device).startswith(device)
    for p, g, norm in zip(params, grads, norms.tolist(), strict=True):
        expected = np.linalg.norm(g.ravel(), norm_type)
        assert norm == pytest.approx(expected, rel=1e-14)
        clipped = g * min(1, 1 / expected)
        np.testing.assert_allclose(p.grad.numpy(), clipped, rtol=1e-13)
    np.testing.assert_array_equal(params[1].grad.numpy(), grads[1])  # every bit of it


@pytest.mark.oracle
def test_each_is_pytorchs_clipping_of_one_parameter_at_a_time(torch):
    rng = np.random.default_rng(1)
    grads = [rng.standard_normal(s) for s in [(3, 4), (5,), ()]]
    params = [parameter(g) for g in grads]
    norms = nn.clip_each_grad_norm_(params, 0.5, 3.0)
    for p, g, norm in zip(params, grads, norms.tolist(), strict=True):
        theirs = torch.zeros(g.shape, dtype=torch.float64, requires_grad=True)
        theirs.grad = torch.tensor(g)
        assert torch.nn.utils.clip_grad_norm_(theirs, 0.5, 3.0).item() == pytest.approx(norm)
        np.testing.assert_allclose(p.grad.numpy(), theirs.grad.numpy(), rtol=1e-5)


def test_a_gradient_that_is_not_finite_harms_no_other(device):
    params = [parameter(g, device=device) for g in ([3.0, 4.0], [math.inf, 1.0], [math.nan, 1.0])]
    with pytest.raises(AnomalyError, match=r"the 2.0-norm of gradient 1, of shape \(2,\), is inf"):
        nn.clip_each_grad_norm_(params, 1.0, error_if_nonfinite=True)
    assert params[0].grad.tolist() == [3, 4]
    np.testing.assert_equal(nn.clip_each_grad_norm_(params, 1.0).tolist(), [5, math.inf, math.nan])
    np.testing.assert_allclose(params[0].grad.numpy(), [0.6, 0.8])
    np.testing.assert_equal(params[1].grad.tolist(), [math.nan, 0])
    np.testing.assert_equal(params[2].grad.tolist(), [math.nan, math.nan])


def test_nothing_to_clip():
    assert nn.clip_each_grad_norm_([], 1.0).shape == (0,)
    p = parameter([3.0, math.inf])
    nn.clip_each_grad_norm_(p, math.inf)
    assert p.grad.tolist() == [3, math.inf]


# ---------------------------------------------------------------------- each unit


def by_hand(weight, grad, clip_factor, eps):
    """Row by row, as the definition says."""
    weight, grad = (np.array(a, dtype=np.float64) for a in (weight, grad))
    units = range(len(grad)) if grad.ndim > 1 else [...]
    for i in units:
        bound = clip_factor * max(np.sqrt((weight[i] ** 2).sum()), eps)
        norm = np.sqrt((grad[i] ** 2).sum())
        if norm > bound:
            grad[i] *= bound / norm
    return grad


@pytest.mark.parametrize("shape", [(5, 4), (3, 2, 4), (2, 3, 2, 2), (7,), (), (1, 1), (0,), (3, 0)])
@pytest.mark.parametrize(("clip_factor", "eps"), [(0.01, 1e-3), (0.5, 2.0), (0.0, 1e-3), (1e3, 1)])
def test_adaptive_clipping_follows_its_definition(shape, clip_factor, eps, device):
    rng = np.random.default_rng(3)
    weight = np.asarray(rng.standard_normal(shape))
    grad = np.asarray(rng.standard_normal(shape) * np.exp(rng.standard_normal(shape)))
    if grad.ndim > 1 and grad.size:
        weight[0] = 0
        grad[-1] = 0
    p = parameter(grad, weight, device=device)
    assert nn.adaptive_clip_grad_(p, clip_factor, eps) is None
    expected = by_hand(weight, grad, clip_factor, eps)
    np.testing.assert_allclose(p.grad.numpy(), expected, rtol=1e-13)
    np.testing.assert_array_equal(p.numpy(), weight)


def test_gradients_within_bounds_keep_every_bit(device):
    rng = np.random.default_rng(4)
    weight, grad = rng.standard_normal((2, 40, 7)).astype("float32")
    p = parameter(grad, weight, device=device, dtype="float32")
    nn.adaptive_clip_grad_(p, 100.0)
    np.testing.assert_array_equal(p.grad.numpy(), grad)
    assert p.grad.dtype == np.float32


@pytest.mark.parametrize("scale", [1e-25, 1e25])
def test_squares_that_leave_float32_do_no_harm(scale, device):
    """In both cases the ratio of the norms is 5/1, twice what is allowed."""
    weight = np.array([[scale, 0], [0, 1]])
    grad = np.array([[3 * scale, 4 * scale], [3, 4]])
    p = parameter(grad, weight, device=device, dtype="float32")
    nn.adaptive_clip_grad_(p, 2.5, eps=1e-30)
    np.testing.assert_allclose(p.grad.numpy(), grad / 2, rtol=1e-6)


def test_a_unit_that_is_not_finite_harms_no_other(device):
    grad = [[3.0, 4.0], [math.inf, 1.0], [math.nan, 1.0]]
    p = parameter(grad, np.eye(3, 2) + 1, device=device)
    nn.adaptive_clip_grad_(p, 1.0)
    got = p.grad.numpy()
    np.testing.assert_allclose(got[0], np.array([3, 4]) * math.sqrt(5) / 5)
    np.testing.assert_equal(got[1:].tolist(), [[math.nan, 0], [math.nan, math.nan]])


def test_infinite_thresholds_change_nothing(device):
    grad = [[3.0, math.inf], [1e30, 1e30]]
    p = parameter(grad, device=device, dtype="float32")
    nn.adaptive_clip_grad_(p, math.inf)
    nn.clip_grad_value_(p, math.inf)
    nn.clip_grad_norm_(p, math.inf)
    np.testing.assert_array_equal(p.grad.numpy(), np.float32(grad))


def test_thresholds_beyond_the_dtype_change_no_finite_gradient(device):
    grad = np.array([[3.0, -4.0], [1e30, 0]], np.float32)
    for clip in (nn.clip_grad_norm_, nn.clip_each_grad_norm_, nn.clip_grad_value_,
                 nn.adaptive_clip_grad_):  # fmt: skip
        p = parameter(grad, grad + 1, device=device, dtype="float32")
        clip(p, 1e39)
        np.testing.assert_array_equal(p.grad.numpy(), grad)


def test_thresholds_below_the_dtype_make_zero(device):
    grad = np.array([[3.0, -4.0], [0, 0]], np.float32)
    for clip in (nn.clip_grad_norm_, nn.clip_each_grad_norm_, nn.clip_grad_value_,
                 nn.adaptive_clip_grad_):  # fmt: skip
        for threshold in (1e-60, 0):
            p = parameter(grad, grad, device=device, dtype="float32")
            clip(p, threshold)
            np.testing.assert_array_equal(p.grad.numpy(), 0 * grad)


def test_the_host_does_not_wait():
    params = [parameter(np.ones((3, 4)), device="strict"), parameter([2.0], device="strict")]
    with count_syncs() as syncs:
        nn.clip_each_grad_norm_(params, 0.1)
        nn.adaptive_clip_grad_(params)
    assert syncs.count == 0, syncs
    with count_syncs() as syncs:
        nn.clip_each_grad_norm_(params, 0.1, error_if_nonfinite=True)
    assert syncs.count == 1, syncs


def test_infinite_elements_are_cut_off_by_value(device):
    p = parameter([math.inf, -math.inf, math.nan, 0.5], device=device)
    nn.clip_grad_value_(p, 2)
    np.testing.assert_equal(p.grad.tolist(), [2, -2, math.nan, 0.5])


@pytest.mark.parametrize(
    ("act", "match"),
    [
        (lambda p: nn.clip_each_grad_norm_(p, -1), "max_norm ≥ 0, got -1"),
        (lambda p: nn.clip_each_grad_norm_(p, math.nan), "max_norm ≥ 0, got nan"),
        (lambda p: nn.clip_each_grad_norm_(p, 1, 0), "norm_type > 0, got 0"),
        (lambda p: nn.clip_each_grad_norm_([p, 3], 1), "parameters, got int"),
        (lambda p: nn.adaptive_clip_grad_(p, -0.01), "clip_factor ≥ 0, got -0.01"),
        (lambda p: nn.adaptive_clip_grad_(p, math.nan), "clip_factor ≥ 0"),
        (lambda p: nn.adaptive_clip_grad_(p, eps=0), "a finite eps > 0, got 0"),
        (lambda p: nn.adaptive_clip_grad_(p, eps=math.nan), "a finite eps > 0"),
        (lambda p: nn.adaptive_clip_grad_(nn.Linear(2, 2)), "parameters, got Linear"),
        (lambda p: nn.clip_grad_norm_(p, "1"), "max_norm ≥ 0, got 1"),
        (lambda p: nn.clip_grad_norm_(p, None), "max_norm ≥ 0, got None"),
    ],
)
def test_bad_arguments_change_nothing(act, match):
    p = parameter([3.0, 4.0])
    with pytest.raises(ArgumentError, match=match):
        act(p)
    assert p.grad.tolist() == [3, 4]
