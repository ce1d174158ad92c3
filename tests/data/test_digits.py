"""MNIST: as published, and small IDX files."""

import gzip
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from tinygrad_seq.data import mnist, read_idx
from tinygrad_seq.errors import DataError


def idx(array):
    """An array in the IDX format."""
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def test_mnist_as_published(real_data):
    images, labels = mnist()
    assert (images.shape, images.dtype) == ((60_000, 28, 28), np.uint8)
    assert (labels.shape, labels.dtype) == ((60_000,), np.int64)
    counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(labels).tolist() == counts
    assert images.mean() / 255 == pytest.approx(0.1307, abs=5e-5)
    assert labels[:5].tolist() == [5, 0, 4, 1, 9]


def test_the_test_part_as_published(real_data):
    images, labels = mnist(train=False)
    assert images.shape == (10_000, 28, 28)
    assert np.bincount(labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


@pytest.mark.parametrize("train", [True, False])
def test_small_files_are_read_alike(planted, train):
    rng = np.random.default_rng(0)
    parts = {}
    for part in ("training", "test"):
        image, label = rng.integers(0, 256, (3, 28, 28)), rng.integers(0, 10, 3)
        parts[part] = image.astype(np.uint8), label.astype(np.uint8)
    for part, pair in parts.items():
        for kind, array in zip(("images", "labels"), pair, strict=True):
            planted(f"mnist {part} {kind}", idx(array), gzip.compress(idx(array)))
    images, labels = mnist(train)
    assert (images == parts["training" if train else "test"][0]).all()
    assert labels.tolist() == parts["training" if train else "test"][1].tolist()
    assert labels.dtype == np.int64
    assert images.flags.writeable


@given(arrays(np.uint8, array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5)))
def test_every_array_survives_the_format(array):
    got = read_idx(idx(array))
    assert got.shape == array.shape
    assert (got == array).all()


@given(st.data())
def test_what_is_cut_short_is_refused(data):
    whole = idx(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(DataError, match="^digits: expected"):
        read_idx(whole[:cut], "digits")


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (b"", "an IDX file of unsigned bytes, got one that begins b''"),
        (b"\x1f\x8b\x08\x00", "got one that begins"),
        (b"\0\0\x0d\x01\0\0\0\x01\0\0\0\0", "unsigned bytes"),  # floats
        (b"\0\0\x08\x02\0\0\0\x01", "12 bytes of head, got 8"),
        (b"\0\0\x08\x01\0\0\0\x01ab", "elements for .1,., got 2"),
    ],
)
def test_what_is_no_idx_file_is_refused(contents, message):
    with pytest.raises(DataError, match=message):
        read_idx(contents)
