"""Scaled dot-product attention: PyTorch, the paper's claims, tiles, rows that see nothing."""

import tracemalloc
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_seq as tg
from tinygrad_seq import ops
from tinygrad_seq.errors import ArgumentError, ShapeError
from tinygrad_seq.kernels import reference_kernels
from tinygrad_seq.kernels.numpy import attention as tiled
from tinygrad_seq.kernels.reference import attention as reference

attend = ops.scaled_dot_product_attention


def draw(lead=(2, 3), L=4, S=5, E=6, V=7, seed=0, dtype=np.float64, heads=None):
    """Query, key and value; ``heads``: of key and value, where there are fewer."""
    rng = np.random.default_rng(seed)
    few = lead if heads is None else (*lead[:-1], heads)
    shapes = [(*lead, L, E), (*few, S, E), (*few, S, V)]
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def run(arrays, device="cpu", **options):
    """→ output and the gradients of its weighted sum, on the host."""
    tensors = [tg.tensor(a, device=device, requires_grad=True) for a in arrays]
    if isinstance(options.get("attn_mask"), np.ndarray):
        options["attn_mask"] = tg.tensor(options["attn_mask"], device=device)
    out = attend(*tensors, **options)
    weight = np.random.default_rng(9).standard_normal(out.shape).astype(out.dtype)
    (out * tg.tensor(weight, device=device)).sum().backward()
    return [t.detach().numpy() for t in (out, *(t.grad for t in tensors))]


def same(got, expected, tolerance=1e-12):
    for a, b in zip(got, expected, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


# ---------------------------------------------------------------------- the oracle


@pytest.mark.oracle
@given(L=st.integers(1, 9), S=st.integers(1, 9), V=st.integers(1, 5), groups=st.integers(1, 3),
       kind=st.sampled_from(["none", "causal", "boolean", "floats"]),
       scale=st.sampled_from([None, 0.3]), seed=st.integers(0, 2**32 - 1))  # fmt: skip
def test_equals_pytorch(L, S, V, groups, kind, scale, seed):
    torch = pytest.importorskip("torch")
    arrays = draw((2, 2 * groups), L, S, 4, V, seed, heads=2)
    rng = np.random.default_rng(seed)
    options = {"scale": scale, "enable_gqa": groups > 1, "is_causal": kind == "causal"}
    mask = None
    if kind == "boolean":
        mask = rng.random((2, 1, L, S)) < 0.6
        mask[..., 0] = True  # what PyTorch makes of a query that sees nothing is another matter
    elif kind == "floats":
        mask = rng.standard_normal((2 * groups, L, S))
    theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
    given = None if mask is None else torch.tensor(mask)
    out = torch.nn.functional.scaled_dot_product_attention(*theirs, given, **options)
    weight = np.random.default_rng(9).standard_normal(tuple(out.shape))
    (out * torch.tensor(weight)).sum().backward()
    expected = [t.detach().numpy() for t in (out, *(t.grad for t in theirs))]
    same(run(arrays, attn_mask=mask, **options), expected, 1e-10)


# ---------------------------------------------------------------------- what the paper says


def test_sizes_of_queries_keys_and_values(device):
    """Query and key share a size, values may have another; as many values as keys."""
    q, k, v = draw((), 4, 6, 3, 5)
    assert run([q, k, v], device)[0].shape == (4, 5)
    with pytest.raises(ShapeError, match=r"v of shape \(…, 6, E\), got \(5, 5\)"):
        attend(q, k, v[:5])
    with pytest.raises(ShapeError, match=r"k of shape \(…, S, 3\), got \(6, 2\)"):
        attend(q, k[:, :2], v)


def test_scores_of_unit_variance_have_variance_d():
    """Which is what the scale 1/√d is for."""
    q, k, _ = draw((), 400, 400, 64, 1)
    assert (q @ k.T).var() == pytest.approx(64, rel=0.05)
    assert reference.scores(q, k, None, False, 1 / 8).var() == pytest.approx(1, rel=0.05)


def test_outputs_are_weighted_means_of_the_values(device):
    q, k, v = draw()
    out = run([q, k, np.ones_like(v)], device)[0]
    np.testing.assert_allclose(out, 1, rtol=1e-14)
    out = run([1e5 * q, k, v], device)[0]  # a sharp softmax picks the best key
    best = np.argmax(q @ k.swapaxes(-1, -2), axis=-1)
    np.testing.assert_allclose(out, np.take_along_axis(v, best[..., None], -2), atol=1e-3)


def test_causal_means_no_gradient_from_what_comes_later(device):
    arrays = draw((2,), 5, 5)
    for t in range(5):
        q, k, v = (tg.tensor(a, device=device, requires_grad=True) for a in arrays)
        attend(q, k, v, is_causal=True)[:, t].sum().backward()
        for late in (k.grad[:, t + 1 :], v.grad[:, t + 1 :]):
            np.testing.assert_array_equal(late.numpy(), 0)
        assert (v.grad[:, : t + 1].numpy() != 0).all()


# ---------------------------------------------------------------------- rows that see nothing


@pytest.mark.parametrize("floats", [False, True])
def test_a_query_that_sees_nothing_gets_zeros(device, floats):
    """Where PyTorch's formula gives NaN."""
    arrays = draw((2,))
    mask = np.ones((4, 5), bool)
    mask[1] = False
    given = np.where(mask, 0.0, -np.inf) if floats else mask
    for inside in (reference_kernels, None):
        if inside is None:
            out, dq, dk, dv = run(arrays, device, attn_mask=given)
        else:
            with inside():
                out, dq, dk, dv = run(arrays, device, attn_mask=given)
        assert (out[:, 1] == 0).all()
        assert (dq[:, 1] == 0).all()
        assert all(np.isfinite(a).all() for a in (out, dq, dk, dv))
        rest = [0, 2, 3]
        few = run([arrays[0][:, rest], *arrays[1:]], device)[0]
        np.testing.assert_allclose(out[:, rest], few, rtol=1e-12)


def test_keys_that_nobody_sees_get_no_gradient(device):
    arrays = draw((2,))
    mask = np.ones((1, 5), bool)
    mask[:, 3] = False
    _, _, dk, dv = run(arrays, device, attn_mask=mask)
    assert (dk[:, 3] == 0).all()
    assert (dv[:, 3] == 0).all()
    assert (dv[:, :3] != 0).all()


# ---------------------------------------------------------------------- dropout


def test_dropout_draws_on_the_host_and_keeps_the_mean(device):
    arrays = draw((50, 20), 6, 6)
    tg.manual_seed(3)
    out = run(arrays, device, dropout_p=0.3)[0]
    tg.manual_seed(3)
    np.testing.assert_allclose(run(arrays, "cpu", dropout_p=0.3)[0], out, rtol=1e-10, atol=1e-12)
    plain = run(arrays)[0]
    assert abs((out - plain).mean()) < 0.01
    assert np.abs(out - plain).mean() > 0.1


def test_dropout_is_a_factor_of_each_weight():
    """With the same factors written out."""
    q, k, v = draw((2,))
    s = q @ k.swapaxes(-1, -2) / np.sqrt(6)
    p = np.exp(s - s.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    drop = np.random.default_rng(1).random(p.shape)
    same([ops.attention(q, k, v, None, drop)], [(p * drop) @ v])


# ---------------------------------------------------------------------- tiles


@pytest.mark.parametrize("tile", [1, 16, 40, 10**6])
def test_tiles_of_any_size_equal_the_reference(tile, monkeypatch):
    monkeypatch.setattr(tiled, "_TILE", tile)
    rng = np.random.default_rng(0)
    for L, S, lead, causal, masked, dropped in product(
        (1, 9), (1, 6, 13), ((), (2, 3)), (False, True), ("", "boolean", "floats"), (False, True)
    ):
        q, k, v = draw(lead, L, S, 4, 3, seed=L * S)
        mask = {
            "": None,
            "boolean": rng.random((L, S)) < 0.6,
            "floats": rng.standard_normal((*lead[:1], *[1] * (len(lead) - 1), L, S)),
        }[masked]
        drop = rng.random((*lead, L, S)) if dropped else None
        args = (q, k, v[:1] if lead else v, mask, drop, causal, 0.5)
        made = tiled.forward(*args)
        expected = reference.forward(*args)
        same(made, expected)
        g = rng.standard_normal(made[0].shape)
        needs = (True, True, True, masked == "floats")
        same(
            [d for d in tiled.backward(g, *args, *made, needs) if d is not None],
            [d for d in reference.backward(g, *args, *expected, needs) if d is not None],
            1e-11,
        )


def test_only_what_is_needed():
    args = (*draw(), None, None, False, 0.4)
    made = tiled.forward(*args)
    g = np.ones_like(made[0])
    everything = reference.backward(g, *args, *made, (True,) * 4)
    for wanted in range(4):
        needs = [i == wanted for i in range(4)]
        got = tiled.backward(g, *args, *made, needs)
        assert [d is not None for d in got] == needs
        same([got[wanted]], [everything[wanted]])


def test_memory_grows_with_the_length_not_its_square():
    """Forward and backward hold far less than one matrix of L × L scores."""
    L = 2048
    tensors = [tg.tensor(a, requires_grad=True) for a in draw((2,), L, L, 16, 16, dtype=np.float32)]
    tracemalloc.start()
    attend(*tensors).sum().backward()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 * L * L * 4 / 3


def test_a_thousand_steps_equal_the_plain_composition():
    arrays = draw((2,), 1024, 1024, 64, 64, dtype=np.float32)
    with reference_kernels():
        expected = run(arrays, is_causal=True)
    for got, right in zip(run(arrays, is_causal=True), expected, strict=True):
        assert np.abs(got - right).max() <= 1e-5 * max(1, np.abs(right).max())
    tensors = [tg.tensor(a, requires_grad=True) for a in arrays]
    composed = ops.attention.composition(*tensors, causal=True)
    assert np.abs(composed.detach().numpy() - expected[0]).max() <= 1e-5


@pytest.mark.slow
def test_eight_heads_of_8192_steps_fit_in_two_gibibytes():
    """Their scores alone would take 2 GiB, and as much again for each of their derivatives."""
    tensors = [tg.tensor(a, requires_grad=True)
               for a in draw((8,), 8192, 8192, 64, 64, dtype=np.float32)]  # fmt: skip
    tracemalloc.start()
    attend(*tensors).sum().backward()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**31 / 8
    assert all(np.isfinite(t.grad.numpy()).all() for t in tensors)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_scores_overflow_nowhere(dtype):
    q, k, v = draw(dtype=dtype)
    results = run([1e3 * q, 1e3 * k, v])
    assert all(np.isfinite(a).all() for a in results)
    assert all(a.dtype == dtype for a in results)


# ---------------------------------------------------------------------- wrong input


def test_what_does_not_fit_is_refused():
    q, k, v = draw()
    name = "scaled_dot_product_attention: expected"
    with pytest.raises(ArgumentError, match=f"{name} is_causal or attn_mask, not both"):
        attend(q, k, v, np.ones((4, 5), bool), is_causal=True)
    with pytest.raises(ArgumentError, match=rf"{name} dropout_p in \[0, 1\), got 1"):
        attend(q, k, v, dropout_p=1)
    with pytest.raises(ShapeError, match=rf"{name} query of shape \(…, length, size\)"):
        attend(q[0, 0, 0], k, v)
    with pytest.raises(ShapeError, match=f"{name} heads of query that are a multiple"):
        attend(q, k[:, :2], v[:, :2], enable_gqa=True)
