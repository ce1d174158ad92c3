"""Norms of gradients: right from the smallest numbers to the largest, and for what is no number."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import tinygrad_seq as tg
from tinygrad_seq import nn
from tinygrad_seq.backend.strict import count_syncs
from tinygrad_seq.errors import AnomalyError, ArgumentError
from tinygrad_seq.nn.clip.norms import row_norms

ORDERS = [0.7, 1.0, 2.0, 3.5, 200.0, math.inf]


def norm(values, p):
    """The p-norm in extended precision, which has exponents to spare."""
    size = np.abs(np.concatenate([np.ravel(v) for v in values]).astype(np.longdouble))
    if p == math.inf:
        return float(size.max())
    return float((size / size.max() if size.max() else size).__pow__(p).sum() ** (1 / p)
                 * size.max())  # fmt: skip


def tensors(*values, device="cpu", dtype="float32"):
    return [tg.tensor(np.asarray(v, dtype), device=device) for v in values]


@pytest.mark.parametrize("p", ORDERS)
@pytest.mark.parametrize("scale", [1e-44, 1e-38, 1e-30, 1e-20, 1.0, 1e15, 1e19, 1e30, 3e37])
def test_the_norm_is_right_wherever_float32_can_hold_it(scale, p, device):
    rng = np.random.default_rng(0)
    values = [(rng.standard_normal(s) * scale).astype("float32") for s in [(3, 4), (5,), (), (0,)]]
    expected = norm(values, p)
    got = nn.get_total_norm(tensors(*values, device=device), p)
    assert got.dtype == np.float32
    assert str(got.device).startswith(device)
    if expected > float(np.finfo(np.float32).max):
        assert got.item() == math.inf
    else:
        # Numbers this small have few digits themselves.
        np.testing.assert_allclose(got.item(), expected, rtol=1e-5, atol=3e-45)


def test_large_finite_gradients_are_clipped_and_not_wiped_out(device):
    p = nn.Parameter(tg.zeros(4, device=device))
    p.grad = tg.tensor(np.full(4, 1e30, np.float32), device=device)
    assert nn.clip_grad_norm_(p, 1.0).item() == pytest.approx(2e30, rel=1e-6)
    np.testing.assert_allclose(p.grad.numpy(), 0.5, rtol=1e-6)  # PyTorch gives 0


@pytest.mark.parametrize("p", ORDERS)
@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([[1.0, math.inf], [2.0]], math.inf),
        ([[1.0], [-math.inf, math.inf]], math.inf),
        ([[1e30, math.inf]], math.inf),
        ([[math.nan, 1.0]], math.nan),
        ([[math.nan], [math.inf]], math.nan),
        ([[0.0, 0.0], [0.0]], 0.0),
        ([[-3.0]], 3.0),
        ([[], [[]]], 0.0),
    ],
)
def test_infinities_nans_and_zeros(values, expected, p, device):
    got = nn.get_total_norm(tensors(*values, device=device), p).item()
    np.testing.assert_allclose(got, expected, rtol=1e-6)


@pytest.mark.oracle
@pytest.mark.parametrize("p", [0.7, 1.0, 2.0, 3.5, math.inf])
def test_equals_pytorchs(torch, p):
    rng = np.random.default_rng(1)
    values = [rng.standard_normal(s) for s in [(3, 4), (5,), ()]]
    for special in (1.0, math.inf, -math.inf, math.nan):
        values[1][2] = special
        ours = nn.get_total_norm([tg.tensor(v) for v in values], p)
        theirs = torch.nn.utils.get_total_norm([torch.tensor(v) for v in values], p)
        np.testing.assert_allclose(ours.item(), theirs.item(), rtol=1e-12)


@pytest.mark.oracle
@pytest.mark.parametrize("p", [1.0, 2.0, math.inf])
@pytest.mark.parametrize("special", [math.inf, -math.inf, math.nan])
def test_what_is_not_finite_leaves_what_it_leaves_in_pytorch(torch, special, p, device):
    """An infinity: finite gradients 0 and infinite ones NaN. A NaN: nothing but NaN."""
    values = [np.array([1.0, special]), np.array([-2.0])]
    ours, theirs = [], []
    for v in values:
        ours.append(nn.Parameter(tg.zeros(v.shape, dtype="float64", device=device)))
        ours[-1].grad = tg.tensor(v.copy(), device=device)
        theirs.append(torch.zeros(v.shape, dtype=torch.float64, requires_grad=True))
        theirs[-1].grad = torch.tensor(v)
    norm = nn.clip_grad_norm_(ours, 1.0, p)
    assert np.isnan(norm.item()) == np.isnan(special)
    torch.nn.utils.clip_grad_norm_(theirs, 1.0, p)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a.grad.numpy(), b.grad.numpy())


gradients = st.integers(-30, 30).flatmap(
    lambda e: st.lists(
        arrays(np.float32, st.integers(0, 6),
               elements=st.floats(-1, 1, width=32).map(lambda v: np.float32(v * 10.0**e))),
        min_size=1, max_size=3,
    )
)  # fmt: skip


@pytest.mark.parametrize("place", ["cpu", "strict"])
@given(
    values=gradients, max_norm=st.floats(1e-3, 1e3), p=st.sampled_from([1.0, 1.5, 2.0, math.inf])
)
def test_clipped_norm_and_direction(place, values, max_norm, p):
    before = norm(values, p) if sum(v.size for v in values) else 0.0
    params = []
    for v in values:
        params.append(nn.Parameter(tg.zeros(v.shape, device=place)))
        params[-1].grad = tg.tensor(v.copy(), device=place)
    got = nn.clip_grad_norm_(params, max_norm, p)
    np.testing.assert_allclose(got.item(), before, rtol=1e-5, atol=1e-44)
    after = [p.grad.numpy() for p in params]
    factor = min(1, max_norm / before) if before else 1
    for a, v in zip(after, values, strict=True):
        np.testing.assert_allclose(a, v * np.float64(factor), rtol=2e-5, atol=1e-37)
        if before < max_norm * (1 - 1e-5):
            np.testing.assert_array_equal(a, v)
    np.testing.assert_allclose(nn.get_total_norm([p.grad for p in params], p).item(),
                               min(before, max_norm), rtol=2e-5, atol=1e-37)  # fmt: skip


@pytest.mark.parametrize("p", ORDERS)
def test_rows_each_by_itself(p, device):
    rows = np.array([[3e30, 4e30], [3e-30, 4e-30], [0, 0], [3, 4], [math.inf, 1], [math.nan, 1]])
    rows = rows.astype("float32")
    (x,) = tensors(rows, device=device)
    got = tg.tensor(row_norms(x.data, p)).numpy()
    assert got.shape == (6, 1)
    for r, g in zip(rows, got, strict=True):
        expected = norm([r], p) if np.isfinite(r).all() else r[0]
        np.testing.assert_allclose(g, expected, rtol=1e-6)


def test_the_result_is_as_precise_as_the_most_precise_gradient(device):
    single, double = tensors([3.0], device=device) + tensors([4.0], dtype="float64", device=device)
    assert nn.get_total_norm([single, double]).dtype == np.float64
    assert nn.get_total_norm([single, double]).item() == 5
    tiny, one = tensors([1e-30], device=device) + tensors([1e-60], dtype="float64", device=device)
    np.testing.assert_allclose(nn.get_total_norm([tiny, one]).item(), 1e-30, rtol=1e-6)


def test_half_precision_counts_far_enough(device):
    for value in (3.0, 0.001):
        (x,) = tensors(np.full(100_000, value), device=device, dtype="float16")
        got = nn.get_total_norm(x)
        assert got.dtype == np.float16
        expected = norm([x.numpy()], 2)
        assert got.item() == pytest.approx(expected, rel=1e-3)


def test_gradients_on_two_devices():
    values = [np.array([3e25, 0], np.float32), np.array([4e25], np.float32)]
    params = []
    for v, device in zip(values, ["strict:0", "strict:1"], strict=True):
        params.append(nn.Parameter(tg.zeros(v.shape, device=device)))
        params[-1].grad = tg.tensor(v, device=device)
    norm = nn.clip_grad_norm_(params, 10.0)
    assert str(norm.device) == "strict:0"
    assert norm.item() == pytest.approx(5e25, rel=1e-6)
    assert [str(p.grad.device) for p in params] == ["strict:0", "strict:1"]
    np.testing.assert_allclose(params[0].grad.numpy(), [6, 0], rtol=1e-6)
    np.testing.assert_allclose(params[1].grad.numpy(), [8], rtol=1e-6)


def test_the_two_halves_make_the_whole(device):
    rng = np.random.default_rng(2)
    values = [rng.standard_normal(s) for s in [(3, 4), (5,)]]
    together, apart = [], []
    for params in (together, apart):
        for v in values:
            params.append(nn.Parameter(tg.zeros(v.shape, dtype="float64", device=device)))
            params[-1].grad = tg.tensor(v.copy(), device=device)
    whole = nn.clip_grad_norm_(together, 0.5, 3.0)
    with count_syncs() as syncs:
        half = nn.get_total_norm([p.grad for p in apart], 3.0)
        nn.clip_grads_with_norm_(apart, 0.5, half)
    assert syncs.count == 0, syncs
    assert whole.item() == half.item()
    for a, b, v in zip(together, apart, values, strict=True):
        np.testing.assert_array_equal(a.grad.numpy(), b.grad.numpy())
        assert np.abs(b.grad.numpy()).max() < np.abs(v).max()


def test_no_tensors_have_no_norm():
    assert nn.get_total_norm([]).item() == 0
    nn.clip_grads_with_norm_([], 1.0, nn.get_total_norm([]))


@pytest.mark.parametrize(
    ("act", "error", "match"),
    [
        (lambda g: nn.get_total_norm(g, 0), ArgumentError, "norm_type > 0, got 0"),
        (lambda g: nn.get_total_norm(g, -math.inf), ArgumentError, "norm_type > 0"),
        (lambda g: nn.get_total_norm(g, "fro"), ArgumentError, "norm_type > 0, got fro"),
        (lambda g: nn.get_total_norm([g, 3.0]), ArgumentError, "parameters, got float"),
        (lambda g: nn.get_total_norm(None), ArgumentError, "parameters, got NoneType"),
        (lambda g: nn.get_total_norm([g, g * math.inf], error_if_nonfinite=True), AnomalyError,
         "get_total_norm: the 2.0-norm of the gradients is inf"),
        (lambda g: nn.clip_grads_with_norm_(g, -1, g[0]), ArgumentError, "max_norm ≥ 0, got -1"),
        (lambda g: nn.clip_grads_with_norm_(g, 1, g), ArgumentError, "Tensor of shape ()"),
        (lambda g: nn.clip_grads_with_norm_(g, 1, 3.0), ArgumentError, "got float"),
    ],
)  # fmt: skip
def test_bad_arguments(act, error, match):
    with pytest.raises(error, match=match.replace("()", r"\(\)")):
        act(tg.tensor([3.0, 4.0]))
