"""Memory that is used again: by the next array, and never by two at once."""

import gc

import numpy as np
import pytest

from tinygrad_seq.backend import owner
from tinygrad_seq.kernels.numpy import lstm, memory

SHAPE = (3, 5, 7)


@pytest.fixture(autouse=True)
def _empty_store(monkeypatch):
    monkeypatch.setattr(memory, "_free", {})
    monkeypatch.setattr(memory, "_kept", [0])


def address(array):
    return array.__array_interface__["data"][0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_it_is_an_array_like_any_other(dtype):
    a = memory.empty(SHAPE, dtype)
    assert a.shape == SHAPE
    assert a.dtype == dtype
    assert a.flags.writeable
    assert a.flags.c_contiguous
    a[...] = 3
    assert (a + 1 == 4).all()
    assert memory.empty((0, 3), dtype).shape == (0, 3)


def test_memory_is_used_again():
    a = memory.empty(SHAPE, np.float32)
    place = address(a)
    del a
    assert memory._kept[0] == 4 * 3 * 5 * 7
    b = memory.empty((5, 21), np.float32)  # as many bytes
    assert address(b) == place
    assert memory._kept[0] == 0


@pytest.mark.parametrize(
    "view", [lambda a: a[1:], lambda a: a[1].T[2], lambda a: a.reshape(-1)[::2], np.ravel,
             lambda a: a.view(np.int32)[0, 0], lambda a: np.broadcast_to(a[0, 0], (9, 7))],
)  # fmt: skip
def test_memory_is_not_used_again_while_a_view_of_it_lives(view):
    a = memory.empty(SHAPE, np.float32)
    a[...] = 1
    held = view(a)
    before = held.copy()
    del a
    gc.collect()
    b = memory.empty(SHAPE, np.float32)
    b[...] = 2
    assert not np.shares_memory(held, b)
    np.testing.assert_array_equal(held, before)


def test_no_more_is_kept_than_the_limit(monkeypatch):
    monkeypatch.setattr(memory, "LIMIT", 1000)
    arrays = [memory.empty((100,), np.float32) for _ in range(5)]
    del arrays
    assert memory._kept[0] == 800


def test_views_have_one_owner():
    a = memory.empty(SHAPE, np.float32)
    assert owner(a) is owner(a[1:]) is owner(a.reshape(-1)[2:].view(np.int32))


def test_the_lstm_does_not_overwrite_what_is_still_used():
    rng = np.random.default_rng(0)
    shapes = [(6, 4, 3), (4, 5), (4, 5), (20, 3), (20, 5), (20,), (20,)]
    first = lstm.forward(*(rng.standard_normal(s) for s in shapes))
    kept = [a.copy() for a in first]
    gates = first[3][2:4]  # a part of one result
    del first
    for _ in range(3):
        lstm.forward(*(rng.standard_normal(s) for s in shapes))
    np.testing.assert_array_equal(gates, kept[3][2:4])
