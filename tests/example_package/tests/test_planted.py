"""A derivative with a mistake in it: what the plugin answers."""

import pytest
from hypothesis import given, settings

import tinygrad_seq as tg
from tinygrad_seq.backend import xp_of
from tinygrad_seq.gradcheck import strategies as some
from tinygrad_seq.ops.primitive import primitive


@primitive()
def wrong_shrink(x, t):
    """As ``shrink``."""
    xp = xp_of(x)
    return xp.sign(x) * xp.maximum(abs(x) - t, 0)


# The sign is forgotten: right for x > 0 only.
wrong_shrink.vjp(x=lambda g, out: g * (out != 0), t=lambda g, out: -g * (out != 0))


@pytest.mark.gradcheck
def test_one_sign_is_wrong():
    return wrong_shrink, (tg.tensor([0.9, 2.0, -1.5]), tg.tensor([0.1, 0.2, 0.3]))


@settings(max_examples=50, deadline=None, derandomize=True, database=None)
@pytest.mark.gradcheck(create_graph=False)
@given(some.inputs((2,), (2,), low=0.5, high=1.5, layouts=("contiguous",)))
def test_positive_numbers_never_show_it(inputs):
    x, t = inputs
    return wrong_shrink, (x + 2, t)
