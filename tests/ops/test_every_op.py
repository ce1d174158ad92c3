"""Every op in the registry against its own declaration; see tests/support/op_checks.py."""

import inspect

import numpy as np
import pytest

from tests.support import op_checks
from tinygrad_seq import ops
from tinygrad_seq.ops.primitive import registry

EVERY = [pytest.param(op, id=name) for name, op in registry.items()]
# They look into the host's memory, or ask NumPy: no second device is needed.
ON_THE_HOST = [op_checks.check_untouched, op_checks.check_numpy_dispatch]
EVERYWHERE = [check for check in op_checks.CHECKS if check not in ON_THE_HOST]


def name_of(check):
    return check.__name__


# Not exported: parts that composed functions are made of.
PARTS = {"add_rows", "array_getitem", "basic_getitem", "drop"}
COMPOSED = {"dropout", "einsum", "getitem", "primitive", "scaled_dot_product_attention", "split"}


@pytest.mark.parametrize("op", EVERY)
@pytest.mark.parametrize("check", EVERYWHERE, ids=name_of)
def test_it_keeps_its_word(op, check, device):
    check(op, device)


@pytest.mark.parametrize("op", EVERY)
@pytest.mark.parametrize("check", ON_THE_HOST, ids=name_of)
def test_it_keeps_its_word_on_the_host(op, check):
    check(op)


@pytest.mark.parametrize("op", EVERY)
def test_it_says_what_it_does(op):
    assert op.__doc__
    assert op.__doc__.strip().split("\n")[0].strip().endswith((".", ":", ","))
    assert len(op.samples) >= 1


@pytest.mark.parametrize("op", EVERY)
def test_a_derivative_is_worth_timing(op):
    """Every op that computes something new has a benchmark sample, and it runs."""
    free = {"astype", "identity", "to_device", "reshape", "broadcast_to", "transpose", "swapaxes",
            "squeeze", "expand_dims", "stack"}  # fmt: skip
    if op.differentiable and op.name not in free:
        assert op.bench is not None
        args, params = op.bench.draw(0, np.float32)
        op(*args, **params)


def test_the_public_names_are_the_ops_and_nothing_else():
    public = set(ops.__all__)
    assert len(public) == len(ops.__all__)
    assert public == (set(registry) - PARTS) | COMPOSED
    for name in public - COMPOSED:
        assert getattr(ops, name) is registry[name]
    for name in public:
        assert not inspect.ismodule(getattr(ops, name))
