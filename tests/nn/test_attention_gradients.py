"""Attention, positions and the Transformer, gradient-checked in first and second order."""

import pytest

from tinygrad_seq.cli.attention_rows import ATTENTION_ROWS
from tinygrad_seq.gradcheck.suite import check_all

NAMES = [name for name, _ in ATTENTION_ROWS]
# What is larger takes long to differentiate twice.
LARGE = ("nn.TransformerEncoder", "nn.TransformerDecoder", "nn.Transformer")
IN_ANY_RUN = [pytest.param(n, marks=[pytest.mark.slow] * (n.split()[0] in LARGE)) for n in NAMES]


def check(name, device, order):
    """In random directions; ``tinygrad-seq gradcheck``, itself tested, takes every element."""
    (row,) = check_all([name], device, ATTENTION_ROWS, order, fast=True)
    assert row.verdict == "pass", row.note


@pytest.mark.parametrize("name", NAMES)
def test_gradients(name):
    check(name, "cpu", 1)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_on_the_stand_in_device(name):
    check(name, "strict", 1)


@pytest.mark.parametrize("name", IN_ANY_RUN)
def test_second_derivatives(name):
    check(name, "cpu", 2)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_second_derivatives_on_the_stand_in_device(name):
    check(name, "strict", 2)


def test_no_name_stands_for_two_rows():
    assert len(set(NAMES)) == len(NAMES) >= 45
