"""What the recurrent layers do to padded batches: masks, last steps, rows reversed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_seq as tg
from tinygrad_seq.backend.strict import count_syncs
from tinygrad_seq.errors import DTypeError, OutOfRangeError, ShapeError
from tinygrad_seq.nn.lengths import blank, check_lengths, last, mask_of, reverse_padded

LENGTHS = np.array([2, 4, 1])


def batch(device="cpu", padding=np.nan):
    """(4, 3, 2) numbers from 1 up, ``padding`` where there is padding; and the host's copy."""
    host = np.arange(1.0, 25).reshape(4, 3, 2)
    host[np.arange(4)[:, None] >= LENGTHS] = padding
    return tg.tensor(host, device=device, requires_grad=True), host


@pytest.mark.parametrize(
    "lengths",
    [
        [2, 4, 1],
        (2, 4, 1),
        LENGTHS,
        LENGTHS.astype(np.uint8),
        tg.tensor([2, 4, 1]),
        tg.tensor([2, 4, 1], dtype="int32", device="strict"),
        [np.int32(2), tg.tensor(4), 1],
    ],
)
def test_lengths_come_in_many_kinds(lengths):
    found = check_lengths("lstm", lengths, 4, 3)
    assert type(found) is np.ndarray
    assert found.dtype == np.int64
    assert found.tolist() == [2, 4, 1]
    assert found is not lengths


@pytest.mark.parametrize(
    ("lengths", "error", "match"),
    [
        ([2, 4], ShapeError, "lengths for 3 sequences, got 2"),
        ([], ShapeError, "lengths for 3 sequences, got 0"),
        (np.ones((3, 1), int), ShapeError, "lengths along one axis, got shape (3, 1)"),
        (np.array(2), ShapeError, "lengths along one axis"),
        ([2, 0, 1], OutOfRangeError, "lengths in 1 … 4, got 0"),
        ([2, -1, 1], OutOfRangeError, "lengths in 1 … 4, got -1"),
        ([2, 5, 1], OutOfRangeError, "lengths in 1 … 4, got 5"),
        ([2, 4, 1.0], DTypeError, "whole numbers, got [2, 4, 1.0]"),
        (np.array([2.0, 4.0, 1.0]), DTypeError, "whole numbers, got float64"),
        (np.array([True, True, True]), DTypeError, "whole numbers, got bool"),
        (3, DTypeError, "whole numbers, got 3"),
        (None, DTypeError, "whole numbers, got None"),
        ("241", DTypeError, "whole numbers, got '241'"),
    ],
)
def test_lengths_that_do_not_fit(lengths, error, match):
    with pytest.raises(error) as caught:
        check_lengths("lstm", lengths, 4, 3)
    assert str(caught.value).startswith("lstm: expected lengths")
    assert match in str(caught.value)


def test_mask(device):
    mask = mask_of(LENGTHS, 4, device)
    assert str(mask.device).startswith(device)
    assert mask.shape == (4, 3, 1)
    assert mask.dtype == bool
    rows = ["".join("x."[int(m)] for m in row[:, 0]) for row in mask.numpy().swapaxes(0, 1)]
    assert rows == ["xx..", "xxxx", "x..."]


@pytest.mark.parametrize("padding", [np.nan, np.inf, 7.0])
def test_blank(device, padding):
    x, host = batch(device, padding)
    out = blank(x, mask_of(LENGTHS, 4, device))
    real = np.arange(4)[:, None] < LENGTHS
    np.testing.assert_array_equal(out.numpy()[real], host[real])
    assert (out.numpy()[~real] == 0).all()
    g = np.where(real[..., None], 3.0, np.nan) * np.ones(2)
    out.backward(tg.tensor(g, device=device))
    np.testing.assert_array_equal(x.grad.numpy()[real], 3)
    assert (x.grad.numpy()[~real] == 0).all()


def test_last(device):
    x, host = batch(device)
    out = last(x, LENGTHS)
    np.testing.assert_array_equal(out.numpy(), [host[1, 0], host[3, 1], host[0, 2]])
    out.backward(tg.tensor(np.array([[1.0, 2], [3, 4], [5, 6]]), device=device))
    expected = np.zeros((4, 3, 2))
    expected[1, 0], expected[3, 1], expected[0, 2] = [1, 2], [3, 4], [5, 6]
    np.testing.assert_array_equal(x.grad.numpy(), expected)


def test_reverse_padded(device):
    x, host = batch(device)
    out = reverse_padded(x, LENGTHS)
    for b, n in enumerate(LENGTHS):
        np.testing.assert_array_equal(out.numpy()[:n, b], host[:n, b][::-1])
        np.testing.assert_array_equal(out.numpy()[n:, b], host[n:, b])
    np.testing.assert_array_equal(reverse_padded(out, LENGTHS).numpy(), host)
    g = np.random.default_rng(0).standard_normal(host.shape)
    out.backward(tg.tensor(g, device=device))
    for b, n in enumerate(LENGTHS):
        np.testing.assert_array_equal(x.grad.numpy()[:n, b], g[:n, b][::-1])
        np.testing.assert_array_equal(x.grad.numpy()[n:, b], g[n:, b])


@given(st.lists(st.integers(1, 6), min_size=1, max_size=5), st.sampled_from([(), (2,), (2, 3)]))
def test_reversing_twice_is_nothing(lengths, block):
    """Of any lengths and any block; and a batch without padding is flipped."""
    x = np.random.default_rng(0).standard_normal((6, len(lengths), *block))
    lengths = np.array(lengths)
    once = reverse_padded(tg.tensor(x), lengths)
    np.testing.assert_array_equal(reverse_padded(once, lengths).numpy(), x)
    np.testing.assert_array_equal(last(once, lengths).numpy(), x[0])
    full = np.full(len(lengths), 6)
    np.testing.assert_array_equal(reverse_padded(tg.tensor(x), full).numpy(), x[::-1])


def test_the_host_does_not_wait():
    x, _ = batch("strict")
    with count_syncs() as syncs:
        y = blank(reverse_padded(x, LENGTHS), mask_of(LENGTHS, 4, x.device))
        (y.sum() + last(x, LENGTHS).sum()).backward()
    assert syncs.count == 0, syncs


def test_derivatives_of_both_orders():
    x = np.random.default_rng(0).standard_normal((4, 3, 2))
    mask = mask_of(LENGTHS, 4)
    for fn in (
        lambda t: blank(t * t, mask),
        lambda t: last(t * t, LENGTHS),
        lambda t: reverse_padded(t * t, LENGTHS) * t,
    ):
        assert tg.gradcheck(fn, [tg.tensor(x, requires_grad=True)])
        assert tg.gradgradcheck(fn, [tg.tensor(x, requires_grad=True)])
