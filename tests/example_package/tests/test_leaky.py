"""A module of one's own: its parameters are found and checked, on sequences of any lengths."""

import numpy as np
import pytest
from example_ops import Leaky
from hypothesis import given, settings

import tinygrad_seq as tg
from tinygrad_seq.gradcheck import strategies as some


@pytest.mark.gradcheck(order=2)
def test_inputs_and_parameters():
    return Leaky(2, 3), tg.randn(3, 2, 2)


@pytest.mark.gradcheck(fast=True)
@settings(max_examples=10, deadline=None, derandomize=True, database=None)
@given(some.sequences(features=2, max_steps=4, low=-1.0, high=1.0))
def test_sequences_of_several_lengths(drawn):
    layer = Leaky(2, 3)
    return lambda x: layer(x, drawn.lengths), drawn.x


def test_padding_changes_nothing():
    layer, x = Leaky(2, 3, dtype=np.float64), tg.randn(4, 2, 2, dtype=np.float64)
    padded = layer(x, lengths=[2, 4])
    np.testing.assert_allclose(padded[:2, 0].numpy(), layer(x[:2, :1])[:, 0].numpy())
    assert not padded[2:, 0].numpy().any()
