"""PyTorch's gradcheck and ours say the same about the same functions."""

import numpy as np
import pytest

import tinygrad_seq as tg
from tests.gradcheck.planted import op

pytestmark = pytest.mark.oracle
X, W = (np.random.default_rng(s).standard_normal((3, 3)) for s in (0, 1))


def ours_with(factor):
    return op(lambda x: x * x, x=lambda g, x: g * (factor * x))


def theirs_with(torch, factor):
    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, g):
            return g * factor * ctx.saved_tensors[0]

    return Square.apply


def pairs(torch):
    """(our function, theirs, inputs)"""
    yield tg.tanh, torch.tanh, (X,)
    yield lambda x, w: tg.tanh(x @ w), lambda x, w: torch.tanh(x @ w), (X, W)
    yield tg.softmax, lambda x: torch.softmax(x, -1), (X,)
    yield lambda x, w: (x * w, x / (1 + w * w)), lambda x, w: (x * w, x / (1 + w * w)), (X, W)
    yield lambda x, w: x * w[:1], lambda x, w: x * w[:1], (X, W)
    yield lambda x: x.max(axis=1), lambda x: x.amax(dim=1), (X,)
    yield tg.relu, torch.relu, (X,)
    for factor in (2.0, 1.0, -2.0, 2.02, 0.0):
        yield ours_with(factor), theirs_with(torch, factor), (X,)


@pytest.mark.parametrize("fast", [False, True])
def test_the_same_functions_pass(torch, fast):
    seen = []
    for ours, theirs, inputs in pairs(torch):
        mine = bool(tg.gradcheck(ours, inputs, fast=fast, raise_exception=False))
        given = tuple(torch.tensor(x, requires_grad=True) for x in inputs)
        torchs = torch.autograd.gradcheck(theirs, given, raise_exception=False, fast_mode=fast)
        assert mine == torchs
        seen.append(mine)
    assert seen.count(True) == 8
    assert seen.count(False) == 4


def test_the_same_second_derivatives_pass(torch):
    for ours, theirs, inputs in list(pairs(torch))[:7]:
        given = tuple(torch.tensor(x, requires_grad=True) for x in inputs)
        assert torch.autograd.gradgradcheck(theirs, given, raise_exception=False)
        assert tg.gradgradcheck(ours, inputs)


def test_what_only_ours_finds(torch):
    """Errors of 0.1 % pass PyTorch's default tolerance of 1e-3, small outputs its absolute one."""
    given = (torch.tensor(X, requires_grad=True),)
    assert torch.autograd.gradcheck(theirs_with(torch, 2.001), given)
    assert not tg.gradcheck(ours_with(2.001), X, raise_exception=False)
    tiny = theirs_with(torch, -2.0)
    assert torch.autograd.gradcheck(lambda x: 1e-6 * tiny(x), given)
    assert not tg.gradcheck(lambda x: 1e-6 * ours_with(-2.0)(x), X, raise_exception=False)
