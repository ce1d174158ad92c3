"""Every rule of every op, corrupted in turn: the gradient check must notice each time."""

from contextlib import contextmanager

import pytest

from tests.support import op_checks
from tinygrad_seq import ops
from tinygrad_seq.gradcheck.suite import check_op
from tinygrad_seq.ops.primitive import registry

CORRUPTIONS = {
    "a factor of 1.01": lambda g: g * 1.01,
    "another sign": lambda g: -g,
    "nothing": lambda g: ops.full_like(g, 0),
}
# Their derivative is zero: there is nothing to scale. Something added must be noticed all the same.
ZERO = {"sign"}


def corrupted(rule, change, which=None):
    """A rule that asks for the same things and answers wrongly (in one place, if joint)."""

    def fn(*args):
        answer = rule.fn(*args)
        if which is None:
            return change(answer)
        return [change(a) if i == which and a is not None else a for i, a in enumerate(answer)]

    return rule._replace(fn=fn)


@contextmanager
def mutant(op, target, change):
    """``op`` with one rule corrupted: the input's name, or its position in a joint rule."""
    rules, joint = dict(op.rules), op.joint
    op.plans.clear()
    if joint is None:
        op.rules[target] = corrupted(rules[target], change)
    else:
        op.joint = corrupted(joint, change, target)
    try:
        yield
    finally:
        op.rules.update(rules)
        op.joint = joint
        op.plans.clear()


def targets(op):
    if op.joint is None:
        return list(op.rules)
    if op.sequence:
        return [0, 1]  # the first two of the list
    return list(range(len(op.differentiable)))


RULES = [
    pytest.param(op, target, id=f"{name}-{target}")
    for name, op in registry.items()
    for target in targets(op)
    if op.differentiable
]


def passes(op):
    return all(check_op(op, fast=True))


@pytest.mark.parametrize("corruption", CORRUPTIONS)
@pytest.mark.parametrize(("op", "target"), RULES)
def test_a_corrupted_rule_is_noticed(op, target, corruption):
    change = CORRUPTIONS[corruption]
    if op.name in ZERO:
        change = lambda g: g + 0.01
    with mutant(op, target, change):
        assert not passes(op)


@pytest.mark.parametrize("op", [pytest.param(op, id=name) for name, op in registry.items()])
def test_the_rules_are_whole_again(op):
    """What the tests above are worth: without a corruption the same check passes."""
    assert passes(op)


def test_the_exceptions_are_needed():
    for name in ZERO:
        op = registry[name]
        with mutant(op, "x", CORRUPTIONS["a factor of 1.01"]):
            assert passes(op)
        op_checks.check_gradient(op)
