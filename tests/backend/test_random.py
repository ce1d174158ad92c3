"""Random streams: a seed decides the numbers, a saved state goes on as if never cut."""

import json

import numpy as np
import pytest

from tinygrad_seq import backend, errors
from tinygrad_seq.backend import Generator

DRAWS = {
    "uniform": lambda g: g.uniform((2, 3)),
    "normal": lambda g: g.normal((2, 3)),
    "integers": lambda g: g.integers(0, 1000, (6,)),
    "permutation": lambda g: g.permutation(20),
}
each_draw = pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)


@each_draw
def test_a_seed_decides(draw):
    np.testing.assert_array_equal(draw(Generator(3)), draw(Generator(3)))
    assert not np.array_equal(draw(Generator(3)), draw(Generator(4)))


@each_draw
def test_a_restored_state_goes_on_bitwise(draw):
    stream = Generator(3)
    draw(stream)
    state = stream.get_state()
    expected = [draw(stream) for _ in range(3)]
    other = Generator()
    other.set_state(json.loads(json.dumps(state)))  # it survives a checkpoint
    np.testing.assert_array_equal([draw(other) for _ in range(3)], expected)


def test_a_saved_state_does_not_move_on():
    stream = Generator(3)
    state = stream.get_state()
    stream.normal((5,))
    stream.set_state(state)
    stream.normal((5,))
    assert state == Generator(3).get_state()


@pytest.mark.parametrize("draw", ["uniform", "normal"])
def test_the_dtype_does_not_change_the_stream(draw):
    wide, narrow = (getattr(Generator(5), draw)((100,), t) for t in (np.float64, np.float32))
    assert narrow.dtype == np.float32
    np.testing.assert_array_equal(wide.astype(np.float32), narrow)


def test_distributions():
    stream = Generator(1)
    uniform, normal = stream.uniform((10_000,)), stream.normal((10_000,))
    assert uniform.min() >= 0
    assert uniform.max() < 1
    assert abs(uniform.mean() - 0.5) < 0.02
    assert abs(normal.mean()) < 0.05
    assert abs(normal.std() - 1) < 0.05
    assert set(stream.integers(2, 5, (1000,)).tolist()) == {2, 3, 4}
    assert sorted(stream.permutation(50)) == list(range(50))


def test_manual_seed_restarts_the_default_stream():
    assert backend.manual_seed(7) is backend.default_generator()
    first = backend.default_generator().normal((4,))
    np.testing.assert_array_equal(first, Generator(7).normal((4,)))
    backend.manual_seed(7)
    np.testing.assert_array_equal(backend.default_generator().normal((4,)), first)


def test_an_own_stream_leaves_the_default_alone():
    expected = Generator(7).normal((4,))
    backend.manual_seed(7)
    Generator(7).normal((100,))
    np.testing.assert_array_equal(backend.default_generator().normal((4,)), expected)


def test_streams_without_a_seed_differ():
    assert not np.array_equal(Generator().normal((4,)), Generator().normal((4,)))


@pytest.mark.parametrize("seed", [-1, 1.5, "7", True])
def test_a_bad_seed_is_refused(seed):
    before = backend.default_generator().get_state()
    with pytest.raises(errors.ArgumentError, match="manual_seed: expected an integer ≥ 0"):
        backend.manual_seed(seed)
    assert backend.default_generator().get_state() == before


@pytest.mark.parametrize("state", [{}, {"bit_generator": "MT19937"}, {"bit_generator": "PCG64"}, 3])
def test_a_bad_state_is_refused(state):
    stream = Generator(3)
    before = stream.get_state()
    with pytest.raises(errors.StateError, match="random stream"):
        stream.set_state(state)
    assert stream.get_state() == before
