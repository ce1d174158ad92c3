"""Dropout: what it leaves out, how often, and that every device leaves out the same."""

import numpy as np
import pytest

import tinygrad_seq as tg
from tinygrad_seq import ops
from tinygrad_seq.backend import Generator


def drop(seed=0, device="cpu", dtype=np.float64, shape=(50, 40), p=0.3):
    x = tg.tensor(np.ones(shape, dtype), device=device, requires_grad=True)
    out = ops.dropout(x, p, generator=Generator(seed))
    out.sum().backward()
    return out.detach().numpy(), x.grad.numpy()


def test_elements_are_zero_or_scaled_and_so_is_their_gradient(device):
    out, g = drop(device=device)
    assert set(np.unique(out)) == {0.0, 1 / 0.7}
    np.testing.assert_array_equal(out, g)


def test_the_mean_and_the_share_are_what_they_should_be():
    out, _ = drop(shape=(400, 500))
    n = out.size
    assert abs((out == 0).mean() - 0.3) < 5 * np.sqrt(0.3 * 0.7 / n)
    assert abs(out.mean() - 1) < 5 * np.sqrt(0.3 / 0.7 / n)


def test_the_mask_depends_on_the_seed_alone(device):
    here, _ = drop(1)
    np.testing.assert_array_equal(drop(1, device)[0], here)
    np.testing.assert_array_equal(drop(1, device, np.float32)[0] == 0, here == 0)
    assert (drop(2, device)[0] != here).any()


def test_the_default_stream_is_used_unless_one_is_given():
    x = np.ones(100)
    tg.manual_seed(5)
    a = ops.dropout(x, 0.5)
    tg.manual_seed(5)
    ops.dropout(x, 0.5, generator=Generator(9))
    np.testing.assert_array_equal(ops.dropout(x, 0.5), a)


@pytest.mark.parametrize(("p", "training"), [(0.5, False), (0.0, True)])
def test_without_anything_to_drop_it_is_the_input_itself_and_draws_nothing(p, training):
    x = tg.tensor(np.ones(3))
    tg.manual_seed(0)
    assert ops.dropout(x, p, training) is x
    assert tg.default_generator().get_state() == tg.manual_seed(0).get_state()


def test_p_is_checked_even_when_nothing_is_dropped():
    with pytest.raises(tg.errors.ArgumentError, match="p in"):
        ops.dropout(np.ones(3), 2.0, training=False)
