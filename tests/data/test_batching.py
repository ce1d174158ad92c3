"""A stream of tokens cut into parallel streams and windows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_seq.data import Streams
from tinygrad_seq.errors import ArgumentError, DataError


def test_the_picture_in_the_docstring():
    streams = Streams.cut(np.arange(13), batch=2, window=3)
    assert streams.windows == 2
    assert streams.inputs.T.tolist() == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]
    assert streams.targets.T.tolist() == [[1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 11, 12]]


@given(st.integers(1, 200), st.integers(1, 5), st.integers(1, 9))
def test_targets_follow_inputs_and_nothing_comes_twice(n, batch, window):
    if (n - 1) // batch < window:
        with pytest.raises(DataError, match=f"need {batch * window + 1} characters"):
            Streams.cut(np.arange(n), batch, window)
        return
    streams = Streams.cut(np.arange(n), batch, window)
    assert streams.inputs.shape == (streams.windows * window, batch)
    assert (streams.targets == streams.inputs + 1).all()
    assert len(np.unique(streams.inputs)) == streams.inputs.size
    assert n - 1 - streams.inputs.size < batch * window  # as little as can be is left out


def test_from_a_window_on():
    streams = Streams.cut(np.arange(25), batch=2, window=4)
    inputs, targets = streams.since(2)
    assert inputs.T.tolist() == [[8, 9, 10, 11], [20, 21, 22, 23]]
    assert (targets == inputs + 1).all()


@pytest.mark.parametrize(("batch", "window"), [(0, 3), (2, 0), (-1, 3)])
def test_sizes_below_one_are_refused(batch, window):
    with pytest.raises(ArgumentError, match="≥ 1"):
        Streams.cut(np.arange(9), batch, window)
