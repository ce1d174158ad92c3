"""The NumPy kernel of CTC gives what its reference gives."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_seq.kernels.numpy import ctc as fast
from tinygrad_seq.kernels.reference import ctc as reference


def draw(T, B, C, S, seed, dtype):
    """Log-probabilities, some of them −∞, and labels with blanks around them."""
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(C), (T, B))
    p[rng.random(p.shape) < 0.1] = 0
    sizes = rng.integers(0, S + 1, B)
    labels = np.zeros((B, 2 * S + 1), np.int64)
    labels[:, 1::2] = np.where(np.arange(S) < sizes[:, None], rng.integers(1, C, (B, S)), 0)
    log_p = np.log(p, out=np.full(p.shape, -np.inf), where=p > 0).astype(dtype)
    return log_p, labels, rng.integers(0, T + 1, B), 2 * sizes


@given(T=st.integers(1, 9), B=st.integers(1, 4), C=st.integers(2, 5), S=st.integers(0, 4),
       seed=st.integers(0, 2**32 - 1), dtype=st.sampled_from(["float32", "float64"]))  # fmt: skip
def test_the_kernels_agree(T, B, C, S, seed, dtype):
    tolerance = {"rtol": 1e-5, "atol": 1e-6} if dtype == "float32" else {"rtol": 1e-12, "atol": 0}
    log_probs, labels, steps, ends = draw(T, B, C, S, seed, dtype)
    given_back = []
    for kernel in (fast, reference):
        log_p, emit, alpha = kernel.forward(log_probs, labels, steps, ends)
        posterior = kernel.backward(labels, steps, ends, log_p, emit, alpha, C)
        assert log_p.dtype == posterior.dtype == dtype
        given_back.append((log_p, posterior))
    for got, expected in zip(*given_back, strict=True):
        np.testing.assert_allclose(got, expected, **tolerance)


@pytest.mark.parametrize("kernel", [fast, reference], ids=["numpy", "reference"])
def test_the_posterior_of_every_frame_sums_to_one(kernel):
    log_probs = np.log(np.random.default_rng(0).dirichlet(np.ones(4), (7, 3)))
    labels = np.array([[0, 1, 0, 1, 0], [0, 3, 0, 0, 0], [0, 0, 0, 0, 0]])
    steps, ends = np.array([7, 3, 5]), np.array([4, 2, 0])
    parts = kernel.forward(log_probs, labels, steps, ends)
    posterior = kernel.backward(labels, steps, ends, *parts, 4)
    expected = (np.arange(7)[:, None] < steps).astype(float)
    np.testing.assert_allclose(posterior.sum(axis=2), expected, rtol=1e-12)


@pytest.mark.parametrize("kernel", [fast, reference], ids=["numpy", "reference"])
def test_what_is_no_number_stays_none(kernel):
    log_probs = np.full((3, 2, 2), np.log(0.5))
    log_probs[1, 0, 1] = np.nan
    labels = np.array([[0, 1, 0], [0, 1, 0]])
    log_p, _, _ = kernel.forward(log_probs, labels, np.array([3, 3]), np.array([2, 2]))
    assert np.isnan(log_p).tolist() == [True, False]
