"""Every option of the recurrent layers and cells, gradient-checked in first and second order."""

import inspect

import pytest

from tinygrad_seq import nn
from tinygrad_seq.cli.layers import RECURRENT
from tinygrad_seq.gradcheck.suite import check_all

NAMES = [name for name, _ in RECURRENT]


def check(name, device, order, fast):
    (row,) = check_all([name], device, RECURRENT, order, fast)
    assert row.verdict == "pass", row.note


@pytest.mark.parametrize("name", NAMES)
def test_gradients(name):
    """Every element of every gradient."""
    check(name, "cpu", 1, fast=False)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_on_the_stand_in_device(name):
    check(name, "strict", 1, fast=True)


@pytest.mark.parametrize("name", NAMES)
def test_second_derivatives(name):
    """In random directions; ``tinygrad-seq gradcheck --order 2`` takes every element."""
    check(name, "cpu", 2, fast=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_second_derivatives_on_the_stand_in_device(name):
    check(name, "strict", 2, fast=True)


def test_the_table_has_every_option_of_every_kind():
    """Each option stands off its default in some row of each kind that has it."""
    assert len(set(NAMES)) == len(NAMES)
    missing = []
    for kind in (nn.RNN, nn.LSTM, nn.GRU, nn.RNNCell, nn.LSTMCell, nn.GRUCell):
        rows = [build("cpu")[0] for name, build in RECURRENT
                if name.split()[0] == f"nn.{kind.__name__}"]  # fmt: skip
        text = "\n".join(map(repr, rows))  # names what is off its default
        for name in inspect.signature(kind).parameters:
            if name not in ("input_size", "hidden_size", "device", "dtype"):
                missing += [] if f"{name}=" in text else [f"{kind.__name__} {name}"]
    assert missing == []
