"""Connectionist temporal classification: every path counted out, PyTorch, and the odd cases."""

from itertools import groupby, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_seq as tg
from tinygrad_seq import nn, ops
from tinygrad_seq.errors import ArgumentError, OutOfRangeError


def spelled(path, blank):
    """What a path says, without repeats and then without blanks."""
    return [symbol for symbol, _ in groupby(path) if symbol != blank]


def drawn(T, B, C, seed=0, dtype=np.float64):
    logits = np.random.default_rng(seed).standard_normal((T, B, C))
    return ops.log_softmax(logits.astype(dtype), -1)


def run(logits, *rest, device="cpu", **options):
    """→ the loss, and its gradient by the logits."""
    x = tg.tensor(logits, device=device, requires_grad=True)
    loss = ops.ctc_loss(ops.log_softmax(x, -1), *rest, **options)
    loss.sum().backward()
    return loss.detach().numpy(), x.grad.numpy()


# ---------------------------------------------------------------------- every path counted out


@given(T=st.integers(1, 5), C=st.integers(2, 3), seed=st.integers(0, 99), data=st.data())
def test_the_sum_over_all_paths(T, C, seed, data):
    blank = data.draw(st.integers(0, C - 1))
    labels = data.draw(
        st.lists(st.sampled_from([k for k in range(C) if k != blank]), max_size=T + 1)
    )
    log_probs = drawn(T, 1, C, seed)
    paths = [p for p in product(range(C), repeat=T) if spelled(p, blank) == labels]
    total = sum(np.exp(sum(log_probs[t, 0, k] for t, k in enumerate(p))) for p in paths)
    target = np.array([labels], np.int64).reshape(1, -1)
    loss = ops.ctc_loss(log_probs, target, [T], [len(labels)], blank, "sum")
    assert loss == (pytest.approx(-np.log(total), rel=1e-12) if paths else np.inf)


def test_all_spellings_together_have_probability_one():
    log_probs = drawn(4, 1, 3)
    words = {tuple(spelled(p, 0)) for p in product(range(3), repeat=4)}
    losses = [
        ops.ctc_loss(log_probs[:, 0], np.array(w, np.int64), 4, len(w), reduction="sum")
        for w in words
    ]
    assert np.exp(-np.array(losses)).sum() == pytest.approx(1, rel=1e-12)


def test_the_gradient_is_how_often_a_frame_says_a_symbol():
    """Γ of the paper, counted over all paths that spell the label."""
    log_probs = drawn(5, 1, 3, 3)
    counts, total = np.zeros((5, 3)), 0.0
    for path in product(range(3), repeat=5):
        if spelled(path, 0) == [1, 1]:
            p = np.exp(sum(log_probs[t, 0, k] for t, k in enumerate(path)))
            counts[range(5), path] += p
            total += p
    x = tg.tensor(log_probs, requires_grad=True)
    ops.ctc_loss(x, np.array([[1, 1]]), [5], [2], reduction="sum").backward()
    np.testing.assert_allclose(-x.grad.numpy()[:, 0], counts / total, rtol=1e-11, atol=1e-14)


# ---------------------------------------------------------------------- the oracle


@pytest.mark.oracle
@given(T=st.integers(1, 12), B=st.integers(1, 4), C=st.integers(2, 6), S=st.integers(0, 6),
       reduction=st.sampled_from(["none", "sum", "mean"]), flat=st.booleans(),
       dtype=st.sampled_from(["float64", "float32"]), seed=st.integers(0, 2**32 - 1))  # fmt: skip
def test_equals_pytorch(T, B, C, S, reduction, flat, dtype, seed):
    """Impossible alignments among them, which PyTorch's gradient knows as NaN unless zeroed."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(seed)
    blank = int(rng.integers(C))
    logits = (3 * rng.standard_normal((T, B, C))).astype(dtype)
    targets = rng.integers(0, C - 1, (B, S))
    targets += targets >= blank
    frames, sizes = rng.integers(1, T + 1, B), rng.integers(0, S + 1, B)
    if flat:
        targets = np.concatenate([row[:n] for row, n in zip(targets, sizes, strict=True)])
    options = {"blank": blank, "reduction": reduction}
    x = torch.tensor(logits, requires_grad=True)
    given = [torch.tensor(a) for a in (targets, frames, sizes)]
    theirs = torch.nn.functional.log_softmax(x, -1)
    plain = torch.nn.functional.ctc_loss(theirs, *given, **options)
    zeroed = torch.nn.functional.ctc_loss(theirs, *given, **options, zero_infinity=True)
    zeroed.sum().backward()
    tolerance = (
        {"rtol": 1e-10, "atol": 1e-10} if dtype == "float64" else {"rtol": 3e-5, "atol": 3e-5}
    )
    ours = run(logits, targets, frames, sizes, **options, zero_infinity=True)
    for got, expected in zip(ours, (zeroed, x.grad), strict=True):
        assert got.dtype == dtype
        assert got.shape == tuple(expected.shape)
        np.testing.assert_allclose(got, expected.detach().numpy(), **tolerance)
    loss, gradient = run(logits, targets, frames, sizes, **options)
    np.testing.assert_allclose(loss, plain.detach().numpy(), **tolerance)
    assert np.isfinite(gradient).all()


@pytest.mark.oracle
def test_equals_pytorch_where_sums_of_probabilities_would_underflow(torch):
    """A thousand frames of 50 symbols: p is about e^-4000."""
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((1000, 2, 50))
    targets, frames, sizes = rng.integers(1, 50, (2, 80)), [1000, 700], [80, 33]
    x = torch.tensor(logits, requires_grad=True)
    log_probs = torch.nn.functional.log_softmax(x, -1)
    theirs = torch.nn.functional.ctc_loss(log_probs, torch.tensor(targets), frames, sizes)
    theirs.backward()
    loss, gradient = run(logits, targets, frames, sizes)
    assert loss == pytest.approx(theirs.item(), rel=1e-12)
    np.testing.assert_allclose(gradient, x.grad.numpy(), rtol=1e-8, atol=1e-12)


@pytest.mark.oracle
def test_one_sequence_alone_as_pytorch_takes_it(torch):
    log_probs, targets = drawn(6, 1, 4)[:, 0], np.array([3, 1, 1])
    theirs = torch.nn.functional.ctc_loss(
        torch.tensor(log_probs), torch.tensor(targets), torch.tensor(6), torch.tensor(3)
    )
    assert ops.ctc_loss(log_probs, targets, 6, 3) == pytest.approx(theirs.item(), rel=1e-12)
    loss = nn.CTCLoss(reduction="none")(log_probs, targets, np.array(6), np.array(3))
    assert loss.shape == ()


# ---------------------------------------------------------------------- odd cases, on every device


def test_a_sequence_too_short_for_its_labels(device):
    """Between equal symbols a path must pass a blank: 1 1 wants three frames."""
    logits = drawn(3, 3, 3)
    rest = np.array([[1, 1], [1, 1], [1, 2]]), [3, 2, 2], [2, 2, 2]
    loss, gradient = run(logits, *rest, device=device, reduction="none")
    assert np.isinf(loss).tolist() == [False, True, False]
    np.testing.assert_array_equal(gradient[:, 1], 0)
    zeroed, _ = run(logits, *rest, device=device, reduction="none", zero_infinity=True)
    np.testing.assert_array_equal(zeroed, np.where(np.isinf(loss), 0, loss))
    mean, _ = run(logits, *rest, device=device, zero_infinity=True)
    assert mean == pytest.approx(zeroed.sum() / 6, rel=1e-12)


def test_no_labels_means_all_blank(device):
    log_probs = drawn(4, 2, 3)
    loss, gradient = run(log_probs, np.zeros((2, 0), int), [4, 2], [0, 0], device=device,
                         reduction="none")  # fmt: skip
    expected = -log_probs[:, 0, 0].sum(), -log_probs[:2, 1, 0].sum()
    np.testing.assert_allclose(loss, expected, rtol=1e-12)
    np.testing.assert_array_equal(gradient[2:, 1], 0)


def test_no_frames_spell_nothing(device):
    loss, gradient = run(drawn(2, 2, 3), np.array([[1], [1]]), [0, 0], [0, 1], device=device,
                         reduction="none")  # fmt: skip
    assert loss.tolist() == [0, np.inf]
    np.testing.assert_array_equal(gradient, 0)


def test_symbols_of_probability_zero(device):
    """−∞ among the log-probabilities gives no NaN, neither here nor in the composition."""
    log_probs = np.log(np.array([[0.5, 0.5, 1.0], [1.0, 0.5, 0.5], [0.5, 1.0, 0.5]]))
    log_probs[[0, 1, 2], [2, 0, 1]] = -np.inf
    x = tg.tensor(log_probs[:, None], device=device, requires_grad=True)
    rest = np.array([[1]]), [3], [1]
    with np.errstate(invalid="raise"):
        (gradient,) = tg.grad(ops.ctc_loss(x, *rest), [x])
        (composed,) = tg.grad(ops.ctc_loss.composition(x, *rest), [x])
    paths = [p for p in product(range(3), repeat=3) if spelled(p, 0) == [1]]
    p = sum(np.exp(sum(log_probs[t, k] for t, k in enumerate(path))) for path in paths)
    assert ops.ctc_loss(x, *rest).item() == pytest.approx(-np.log(p), rel=1e-12)
    np.testing.assert_allclose(gradient.numpy(), composed.numpy(), rtol=1e-12, atol=1e-15)


def test_the_frames_and_labels_beyond_the_lengths_are_not_looked_at(device):
    log_probs, targets = drawn(6, 2, 4), np.array([[1, 2, 3], [3, 9, -5]])
    rest = [4, 6], [2, 1]
    expected = run(log_probs, targets, *rest, device=device)
    changed = log_probs.copy()
    changed[4:, 0] = 50 * changed[4:, 0]
    got = run(changed, np.array([[1, 2, 0], [3, 0, 0]]), *rest, device=device)
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(got[1][4:, 0], 0)


def test_targets_and_lengths_may_stand_on_the_device(device):
    log_probs, targets = drawn(6, 2, 4), np.array([[1, 2], [3, 3]])
    there = [tg.tensor(a, device=device) for a in (targets, np.array([6, 5]), np.array([1, 2]))]
    got = run(log_probs, *there, device=device)
    for a, b in zip(got, run(log_probs, targets, [6, 5], [1, 2]), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-15)


def test_it_learns_a_spelling_whose_timing_it_was_not_told():
    targets, sizes = np.array([[1, 2, 2], [3, 1, 0]]), [3, 2]
    logits = tg.tensor(np.zeros((8, 2, 4)), requires_grad=True)
    loss_of = nn.CTCLoss()
    for _ in range(60):
        logits.grad = None
        loss_of(ops.log_softmax(logits, -1), targets, [8, 8], sizes).backward()
        logits = tg.tensor(logits.numpy() - 5 * logits.grad.numpy(), requires_grad=True)
    best = logits.numpy().argmax(-1).T.tolist()
    assert [spelled(path, 0) for path in best] == [[1, 2, 2], [3, 1]]


def test_the_module_refuses_what_the_op_does():
    with pytest.raises(ArgumentError, match="reduction"):
        nn.CTCLoss(reduction="batchmean")
    with pytest.raises(OutOfRangeError, match=r"ctc_loss: expected targets in \[0, 3\), got 4"):
        nn.CTCLoss()(drawn(4, 1, 3), np.array([[4]]), [4], [1])
