"""Parameters are checked without being asked for, under their names."""

import functools

import numpy as np
import pytest

import tinygrad_seq as tg
from tests.gradcheck.planted import WRONG
from tinygrad_seq import nn


class Cell(nn.Module):
    """h ← tanh(W h + b), with a counter of calls that changes what it computes."""

    def __init__(self, wrong=False):
        super().__init__()
        rng = np.random.default_rng(0)
        self.weight_hh_l0 = nn.Parameter(tg.tensor(rng.standard_normal((3, 3)).astype(np.float32)))
        self.bias = nn.Parameter(tg.tensor(np.zeros(3, np.float32)))
        self.frozen = nn.Parameter(tg.tensor(np.ones(3, np.float32)), requires_grad=False)
        self.register_buffer("calls", tg.tensor(np.zeros(())))
        self.act = WRONG["one element"][0] if wrong else tg.tanh

    def forward(self, h):
        self.calls.add_(1.0)
        return self.act(h @ self.weight_hh_l0 + self.bias * self.frozen + 0.1 * self.calls)

    def twice(self, h):
        return self.forward(self.forward(h))


H = np.random.default_rng(1).standard_normal((2, 3))
CELL = Cell()
NAMES = ["h", "weight_hh_l0", "bias"]


def names(report):
    return [e.input for e in report.entries]


@pytest.mark.parametrize("fast", [False, True])
def test_a_module_brings_its_parameters(fast):
    assert names(tg.gradcheck(CELL, H, fast=fast)) == NAMES


def test_so_does_whatever_refers_to_one():
    cell = Cell()
    by_closure = tg.gradcheck(lambda h: cell(h), H)
    by_global = tg.gradcheck(lambda h: CELL(h), H)
    by_method = tg.gradcheck(cell.twice, H)
    by_partial = tg.gradcheck(functools.partial(cell), H)
    for report in (by_closure, by_global, by_method, by_partial):
        assert names(report)[1:] == NAMES[1:]


def test_two_modules_are_told_apart():
    first, second = Cell(), Cell()
    report = tg.gradcheck(lambda h: second(first(h)), H)
    expected = ["h", "first.weight_hh_l0", "first.bias", "second.weight_hh_l0", "second.bias"]
    assert sorted(names(report)) == sorted(expected)


def test_a_shared_module_counts_once():
    cell = Cell()
    again = cell
    assert len(names(tg.gradcheck(lambda h: again(cell(h)), H))) == 3


def test_a_wrong_element_is_named():
    report = tg.gradcheck(Cell(wrong=True), H, raise_exception=False)
    assert "d out[1, 2] / d weight_hh_l0[" in str(report)


def test_params_adds_more():
    w = tg.tensor(np.ones(2), requires_grad=True)
    fn = lambda x: x * w
    x = np.array([1.0, 2.0])
    assert names(tg.gradcheck(fn, x)) == ["x"]
    assert names(tg.gradcheck(fn, x, params=[w])) == ["x", "param0"]
    assert names(tg.gradcheck(fn, x, params={"w": w})) == ["x", "w"]
    assert names(tg.gradcheck(fn, x, params=[("w", w)])) == ["x", "w"]
    assert names(tg.gradcheck(lambda: w * w, (), params={"w": w})) == ["w"]
    assert "weight_hh_l0" in names(tg.gradcheck(fn, x, params=CELL))


def test_second_order_covers_parameters():
    report = tg.gradgradcheck(CELL, H, fast=True)
    assert set(names(report)) == {*NAMES, "grad_out"}
    assert len(report.entries) == 12


def test_everything_is_left_as_it_was():
    cell = Cell()
    before = {name: p.data for name, p in cell.named_parameters()}
    cell(tg.tensor(H.astype(np.float32))).sum().backward()
    gradient = cell.weight_hh_l0.grad.numpy().copy()
    tg.gradcheck(cell, H)
    tg.gradgradcheck(cell, H, fast=True)
    for name, p in cell.named_parameters():
        assert p.data is before[name]
        assert p.dtype == np.float32
    np.testing.assert_array_equal(cell.weight_hh_l0.grad.numpy(), gradient)
    assert cell.calls.item() == 1.0
    assert not cell.frozen.requires_grad


def test_everything_is_put_back_when_the_function_raises():
    cell = Cell()
    data = cell.bias.data

    def fail(h):
        cell(h)
        raise KeyError

    with pytest.raises(KeyError):
        tg.gradcheck(fail, H)
    assert cell.bias.data is data
    assert cell.bias.is_leaf


def test_dropout_and_a_recurrent_layer():
    assert tg.gradcheck(nn.Dropout(0.5), H)
    assert tg.gradcheck(nn.LSTM(2, 3), np.random.default_rng(0).standard_normal((4, 2, 2)))
