"""Padding, masks, and batches of like lengths."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_seq.backend import Generator
from tinygrad_seq.data import bucketed, pad, step_mask
from tinygrad_seq.errors import ArgumentError, ShapeError

LENGTHS = st.lists(st.integers(0, 9), min_size=1, max_size=8)


@given(LENGTHS, st.sampled_from([(), (2,), (2, 3)]), st.sampled_from(["f4", "i8", "?"]))
def test_every_sequence_comes_back_and_the_rest_is_padding(lengths, shape, dtype):
    rng = np.random.default_rng(0)
    sequences = [rng.integers(0, 2, (n, *shape)).astype(dtype) for n in lengths]
    data, found = pad(sequences, value=1)
    assert data.dtype == dtype
    assert data.shape == (max(lengths), len(lengths), *shape)
    assert found.tolist() == lengths
    for b, sequence in enumerate(sequences):
        assert (data[: len(sequence), b] == sequence).all()
        assert (data[len(sequence) :, b] == 1).all()


def test_pytorch_pads_alike(torch):
    sequences = [np.arange(n * 3, dtype=np.float32).reshape(n, 3) for n in (4, 1, 6)]
    theirs = torch.nn.utils.rnn.pad_sequence(list(map(torch.tensor, sequences)), padding_value=-2)
    assert (pad(sequences, value=-2).data == theirs.numpy()).all()


@given(LENGTHS, st.integers(0, 4))
def test_the_mask_counts_to_the_lengths(lengths, more):
    mask = step_mask(lengths, max(lengths) + more)
    assert mask.dtype == bool
    assert mask.sum(axis=0).tolist() == lengths
    assert (mask[1:] <= mask[:-1]).all()  # once over, a sequence stays over
    assert (step_mask(np.array(lengths)) == mask[: max(lengths)]).all()


@pytest.mark.parametrize(
    ("sequences", "value", "error", "message"),
    [
        ([], 0, ArgumentError, "one sequence or more, got none"),
        ([np.zeros(2), np.float64(1)], 0, ShapeError, "of shape .T, …., got \\(\\) at 1"),
        ([np.zeros((2, 3)), np.zeros((1, 4))], 0, ShapeError, r"\(T, 3,\), got \(1, 4\) at 1"),
        ([np.zeros(2), np.zeros((2, 1))], 0, ShapeError, r"\(T, \), got \(2, 1\) at 1"),
        ([[1, 2]], 0.5, ArgumentError, "a value of int64, got 0.5"),
        ([[1, 2]], np.nan, ArgumentError, "a value of int64, got nan"),
        ([np.zeros(2, np.uint8)], -1, ArgumentError, "a value of uint8, got -1"),
        ([np.zeros(2)], "x", ArgumentError, "a value of float64, got 'x'"),
        ([np.zeros(2)], [1, 2], ArgumentError, "a value of float64"),
    ],
)
def test_what_cannot_be_padded_is_refused(sequences, value, error, message):
    with pytest.raises(error, match=f"pad: expected .*{message}"):
        pad(sequences, value)


def test_a_float_batch_can_be_padded_with_nan_or_any_number():
    assert np.isnan(pad([np.zeros(1, "f4"), np.zeros(2, "f4")], np.nan).data[1, 0])
    assert pad([np.zeros(1, "f4"), np.zeros(2, "f4")], 0.1).data[1, 0] == np.float32(0.1)


@pytest.mark.parametrize(("lengths", "steps"), [([3, 1], 2), ([-1, 1], None)])
def test_a_mask_of_impossible_lengths_is_refused(lengths, steps):
    with pytest.raises(ArgumentError, match="step_mask: expected lengths from 0 to"):
        step_mask(lengths, steps)
    with pytest.raises(ShapeError, match=r"lengths of shape \(B,\), got \(1, 2\)"):
        step_mask([lengths], steps)


@given(st.lists(st.integers(0, 50), max_size=60), st.integers(1, 9), st.integers(1, 4))
def test_every_sequence_is_in_one_batch(lengths, batch, pool):
    for generator in (None, Generator(0)):
        found = bucketed(lengths, batch, generator, pool)
        assert sorted(np.concatenate([*found, []])) == list(range(len(lengths)))
        sizes = sorted(len(indices) for indices in found)
        assert all(size == batch for size in sizes[1:])
        assert all(0 < size <= batch for size in sizes)


def padding_of(batches, lengths):
    return sum((lengths[i].max() - lengths[i]).sum() for i in batches)


def test_batches_are_of_like_lengths():
    lengths = np.random.default_rng(0).integers(1, 200, 1000)
    waste = [padding_of(bucketed(lengths, 8, Generator(0), pool), lengths) for pool in (1, 4, 16)]
    assert waste[1] < waste[0] / 2
    assert waste[2] < waste[1] / 2
    assert padding_of(bucketed(lengths, 8), lengths) < waste[2] / 2
    shuffled = [i for batch in bucketed(lengths, 8, Generator(0), 1) for i in batch]
    assert padding_of([shuffled], lengths) == padding_of([np.arange(1000)], lengths)


def test_long_batches_do_not_come_first():
    lengths = np.arange(1000)
    longest = [lengths[i].max() for i in bucketed(lengths, 8, Generator(0), pool=1000)]
    assert len(longest) == 125
    assert abs(np.corrcoef(longest, np.arange(125))[0, 1]) < 0.3


def test_without_a_generator_the_longest_come_first():
    lengths = [3, 1, 2, 5, 4, 5]
    assert [i.tolist() for i in bucketed(lengths, 4)] == [[3, 5, 4, 0], [2, 1]]


def test_a_seed_fixes_the_batches_and_the_next_epoch_has_others():
    lengths, stream = np.arange(100), Generator(1)
    one, two = (bucketed(lengths, 8, stream, pool=4) for _ in range(2))
    again = bucketed(lengths, 8, Generator(1), pool=4)
    assert [i.tolist() for i in one] == [i.tolist() for i in again]
    assert [i.tolist() for i in one] != [i.tolist() for i in two]
    # Neither batches nor what is in them is the same: whoever is alike meets others.
    assert {tuple(sorted(i)) for i in one} != {tuple(sorted(i)) for i in two}


@pytest.mark.parametrize("sizes", [{"batch": 0}, {"batch": 1, "pool": 0}])
def test_batches_of_nothing_are_refused(sizes):
    with pytest.raises(ArgumentError, match="bucketed: expected (batch|pool) ≥ 1, got 0"):
        bucketed([1, 2], **sizes)
