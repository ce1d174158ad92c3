"""Which examples a step sees: fixed by the seed and the step alone."""

import numpy as np

from tinygrad_seq.data import bucketed
from tinygrad_seq.train.batches import Epochs, stream


def epochs(seed=0):
    return Epochs(lambda generator: bucketed(np.zeros(10), 4, generator, pool=1), seed)


def test_every_example_comes_once_an_epoch_in_another_order_each_time():
    made = epochs()
    assert made.count == 3
    orders = [np.concatenate([made.at(3 * epoch + i) for i in range(3)]) for epoch in range(4)]
    assert all(sorted(order) == list(range(10)) for order in orders)
    assert len({tuple(order) for order in orders}) == 4


def test_the_order_in_which_steps_are_asked_for_does_not_matter():
    forwards, backwards = epochs(), epochs()
    seen = [forwards.at(step).tolist() for step in range(12)]
    assert seen == [backwards.at(step).tolist() for step in reversed(range(12))][::-1]


def test_another_seed_is_another_order():
    one, other = epochs(0), epochs(1)
    assert any(one.at(i).tolist() != other.at(i).tolist() for i in range(3))


def test_streams_of_different_places_differ_and_those_of_the_same_do_not():
    first = [stream(*place).uniform((4,)).tolist() for place in ((0, 1), (1, 0), (0, 1, 0), (0, 2))]
    again = [stream(*place).uniform((4,)).tolist() for place in ((0, 1), (1, 0), (0, 1, 0), (0, 2))]
    assert first == again
    assert len({tuple(numbers) for numbers in first}) == 4
