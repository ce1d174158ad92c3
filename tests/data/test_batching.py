"""A stream of tokens cut into parallel streams and windows."""

from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_seq as tg
from tinygrad_seq.data import Streams, document_starts
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


def fold(state, token):
    """A state that tells every history from every other: its tokens, read as digits."""
    return state * 7 + token + 1


@given(st.integers(1, 4), st.integers(1, 5), st.integers(1, 6), st.integers(0, 9))
def test_a_carried_state_belongs_to_the_same_stream(batch, window, windows, rest):
    """Row b after n windows has seen the b-th piece of the text from its beginning, and no more."""
    length = window * windows
    text = np.random.default_rng(0).integers(0, 7, batch * length + 1 + rest % batch)
    streams = Streams.cut(text, batch, window)
    assert streams.windows == windows
    states = [0] * batch
    for n in range(windows):
        inputs, _ = streams.since(n)
        states = [reduce(fold, inputs[:window, b].tolist(), states[b]) for b in range(batch)]
        for b in range(batch):
            seen = text[b * length : b * length + (n + 1) * window]
            assert states[b] == reduce(fold, seen.tolist(), 0)


@pytest.mark.parametrize("window", [1, 4, 12])
def test_windows_with_a_carried_state_equal_one_run_over_each_row(device, window):
    """A recurrent model cannot tell the windows of a stream from the whole of it."""
    text = np.random.default_rng(0).integers(0, 5, 3 * 12 + 1)
    streams = Streams.cut(text, 3, window)
    w_xh, w_hh = (tg.tensor(np.random.default_rng(i).standard_normal((5, 5)), device=device)
                  for i in (1, 2))  # fmt: skip

    def run(tokens, h):
        outputs = []
        for step in tokens:
            h = tg.tanh(w_xh[tg.tensor(step, device=device)] + h @ w_hh)
            outputs.append(h)
        return tg.stack(outputs).numpy(), h

    def start(batch):
        return tg.tensor(np.zeros((batch, 5)), device=device)

    h, parts = start(3), []
    for n in range(streams.windows):
        out, h = run(streams.since(n)[0][:window], h)
        parts.append(out)
    for b in range(3):
        alone, _ = run(text[12 * b : 12 * b + 12, np.newaxis], start(1))
        np.testing.assert_allclose(np.concatenate(parts)[:, b], alone[:, 0], rtol=0, atol=1e-14)


def test_the_picture_of_document_starts():
    starts = document_starts(["abc", "defgh", "ijklm"], batch=2, window=3)
    assert starts.dtype == bool
    assert starts.T.astype(int).tolist() == [[1, 0, 0, 1, 0, 0], [0, 0, 1, 0, 0, 0]]


@given(st.lists(st.integers(0, 6), min_size=1, max_size=12), st.integers(1, 3), st.integers(1, 4))
def test_states_reset_at_document_starts_know_their_document_alone(sizes, batch, window):
    """What a state has seen since its last reset is its own document, or the end of one."""
    documents = [np.full(n, i) for i, n in enumerate(sizes)]
    text = np.concatenate(documents)
    if (len(text) - 1) // batch < window:
        with pytest.raises(DataError, match="too short"):
            document_starts(documents, batch, window)
        return
    streams = Streams.cut(text, batch, window)
    starts = document_starts(documents, batch, window)
    assert starts.shape == streams.inputs.shape
    for b in range(batch):
        seen: list[int] = []
        for token, start in zip(streams.inputs[:, b].tolist(), starts[:, b], strict=True):
            assert not seen or start == (token != seen[-1])  # no reset is missing or too much
            seen = [token] if start else [*seen, token]
            assert set(seen) == {token}
            assert len(seen) <= sizes[token]
