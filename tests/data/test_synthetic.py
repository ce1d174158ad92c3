"""The made-up tasks: their form, their baselines, and that a seed fixes them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_seq.backend import Generator
from tinygrad_seq.data import ADDING_BASELINE, adding, copy_baseline, copy_memory
from tinygrad_seq.errors import ArgumentError


@given(st.integers(1, 9), st.integers(2, 31), st.integers(0, 99))
def test_adding_marks_one_step_in_each_half_and_asks_for_their_sum(count, steps, seed):
    x, y = adding(count, steps, Generator(seed))
    assert (x.shape, x.dtype) == ((steps, count, 2), np.float32)
    assert (y.shape, y.dtype) == ((count, 1), np.float32)
    values, marks = x[..., 0], x[..., 1]
    assert ((values >= 0) & (values <= 1)).all()
    assert np.isin(marks, (0, 1)).all()
    assert (marks[: steps // 2].sum(axis=0) == 1).all()
    assert (marks[steps // 2 :].sum(axis=0) == 1).all()
    assert ((values * marks).sum(axis=0) == y[:, 0]).all()


def test_the_baseline_of_adding_is_what_always_saying_one_gets():
    _, y = adding(200_000, 4, Generator(0))
    assert ADDING_BASELINE == 1 / 6
    assert np.mean((y - 1) ** 2) == pytest.approx(ADDING_BASELINE, rel=0.01)


def test_every_step_is_marked_equally_often():
    x, _ = adding(50_000, 9, Generator(0))
    often = x[..., 1].mean(axis=1)
    assert often[:4] == pytest.approx(np.full(4, 1 / 4), abs=0.01)
    assert often[4:] == pytest.approx(np.full(5, 1 / 5), abs=0.01)


@given(st.integers(1, 5), st.integers(1, 20), st.integers(1, 9), st.integers(1, 12))
def test_copy_asks_for_the_symbols_after_the_delimiter(count, steps, symbols, length):
    inputs, targets = copy_memory(count, steps, Generator(1), symbols, length)
    blank, delimiter = symbols, symbols + 1
    assert inputs.shape == targets.shape == (steps + 2 * length, count)
    assert inputs.dtype == targets.dtype == np.int64
    assert (inputs[:length] < symbols).all()
    assert (inputs[:length] >= 0).all()
    assert (targets[-length:] == inputs[:length]).all()
    assert (targets[:-length] == blank).all()
    # The delimiter is the last thing seen before the first answer is due.
    assert (np.argmax(inputs == delimiter, axis=0) == steps + length - 1).all()
    assert ((inputs == delimiter).sum(axis=0) == 1).all()
    rest = np.delete(inputs[length:], steps - 1, axis=0)
    assert (rest == blank).all()


def test_the_form_of_copy_in_full():
    inputs, targets = copy_memory(1, 3, Generator(0), symbols=2, length=2)
    a, b = inputs[:2, 0]
    assert inputs[:, 0].tolist() == [a, b, 2, 2, 3, 2, 2]
    assert targets[:, 0].tolist() == [2, 2, 2, 2, 2, a, b]


def test_the_baseline_of_copy_is_published_and_is_what_guessing_costs():
    assert copy_baseline(100) == pytest.approx(0.1733, abs=5e-5)
    _, targets = copy_memory(50, 7, Generator(0), symbols=4, length=3)
    p = np.zeros((*targets.shape, 6))
    p[:-3, :, 4] = 1  # sure of the blanks
    p[-3:, :, :4] = 1 / 4  # and then guess
    cost = -np.log(np.take_along_axis(p, targets[..., np.newaxis], axis=-1)).mean()
    assert cost == pytest.approx(copy_baseline(7, 4, 3), rel=1e-12)


def test_every_symbol_is_to_be_copied_equally_often():
    inputs, _ = copy_memory(4000, 1, Generator(0))
    often = np.bincount(inputs[:10].ravel(), minlength=8) / 40_000
    assert often == pytest.approx(np.full(8, 1 / 8), rel=0.05)


@pytest.mark.parametrize("task", [adding, copy_memory])
def test_a_seed_fixes_everything(task):
    first, again, other = (task(6, 20, Generator(seed)) for seed in (3, 3, 4))
    for a, b, c in zip(first, again, other, strict=True):
        assert (a == b).all()
        assert (a != c).any()


def test_a_stream_goes_on():
    stream = Generator(3)
    one, two = copy_memory(6, 20, stream)[0], copy_memory(6, 20, stream)[0]
    assert (one != two).any()


@pytest.mark.parametrize(
    ("task", "sizes", "message"),
    [
        (adding, (0, 10), "adding: expected count ≥ 1, got 0"),
        (adding, (1, 1), "adding: expected steps ≥ 2, got 1"),
        (copy_memory, (0, 1), "copy_memory: expected count ≥ 1"),
        (copy_memory, (1, 0), "copy_memory: expected steps ≥ 1"),
    ],
)
def test_sizes_that_make_no_task_are_refused(task, sizes, message):
    with pytest.raises(ArgumentError, match=message):
        task(*sizes, Generator(0))


@pytest.mark.parametrize("size", ["symbols", "length"])
def test_nothing_to_copy_is_refused(size):
    with pytest.raises(ArgumentError, match=f"{size} ≥ 1, got 0"):
        copy_memory(1, 1, Generator(0), **{size: 0})
