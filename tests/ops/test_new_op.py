"""A newcomer's op: declared here and nowhere else, it gets every test that the others get, and
each of those tests notices the mistake it is there for."""

from contextlib import contextmanager

import numpy as np
import pytest

import tinygrad_seq as tg
from tests.support import op_checks
from tinygrad_seq.backend import xp_of
from tinygrad_seq.errors import ArgumentError, ShapeError
from tinygrad_seq.ops.primitive import by_numpy, primitive, registry
from tinygrad_seq.ops.sample import Bad, Sample


@contextmanager
def declared(forward=None, rules=None, **changes):
    """The length of the hypotenuse, as an op; ``changes`` put mistakes into its declaration."""
    declaration = {
        "numpy": np.hypot,
        "samples": [Sample((3, 4), (3, 4)), Sample((3, 4), (4,)), Sample((), (2,))],
        "bad": [Bad(ShapeError, "broadcast", (3, 4), (3,))],
        "bench": Sample((256, 256), (256, 256)),
    } | changes

    def hypot(a, b):
        """Length of (a, b): out = √(a² + b²), ∂out/∂a = a/out, ∂out/∂b = b/out."""
        return xp_of(a, b).hypot(a, b)

    op = primitive(name="hypot", **declaration)(forward or hypot)
    op.vjp(**(rules or {"a": lambda g, a, out: g * a / out, "b": lambda g, b, out: g * b / out}))
    try:
        yield op
    finally:
        del registry["hypot"]
        by_numpy.pop(op.numpy, None)


@pytest.mark.parametrize("check", op_checks.CHECKS, ids=lambda check: check.__name__)
def test_a_new_op_passes_every_check(check, device):
    with declared() as op:
        check(op, device)


def test_a_new_op_is_an_op_like_any_other():
    with declared() as op:
        t = tg.tensor(np.array([3.0, 5.0]), requires_grad=True)
        out = np.hypot(t, np.array([4.0, 12.0]))
        out.sum().backward()
        np.testing.assert_allclose(out.detach().numpy(), [5, 13])
        np.testing.assert_allclose(t.grad.numpy(), [3 / 5, 5 / 13])
        with pytest.raises(ArgumentError, match="already"), declared():
            pass
        assert registry["hypot"] is op


def through_float64(a, b):
    return np.sqrt(a.astype(np.float64) ** 2 + b**2).astype(a.dtype)


def by_memory_order(a, b):
    return np.hypot(a, b).ravel("K").reshape(np.broadcast_shapes(a.shape, b.shape))


def with_inverse(a, b):
    out = xp_of(a, b).hypot(a, b)
    return out, 1 / out


def in_place(g, a, out):
    g *= a / out
    return g


def noisy(a, b):
    a[...] = np.abs(a)
    return np.hypot(a, b)


def rules(a=lambda g, a, out: g * a / out, b=lambda g, b, out: g * b / out):
    return {"a": a, "b": b}


# What is wrong → the check that must notice, and how the declaration is changed.
MISTAKES = {
    "a factor": (
        op_checks.check_gradient,
        {"rules": rules(lambda g, a, out: 1.01 * g * a / out)},
    ),
    "a sign": (
        op_checks.check_gradient,
        {"rules": rules(b=lambda g, b, out: -g * b / out)},
    ),
    "the other input's rule": (
        op_checks.check_gradient,
        {"rules": rules(lambda g, b, out: g * b / out)},
    ),
    "no gradient": (
        op_checks.check_gradient,
        {"rules": rules(lambda g: 0 * g)},
    ),
    "no sample for a gradient": (
        op_checks.check_gradient,
        {"samples": [Sample(1.5, 2.0)]},
    ),
    "a constant where the rule needs a variable": (
        op_checks.check_second_order,
        {
            "forward": with_inverse,
            "residuals": ["inverse"],
            "rules": rules(
                lambda g, a, inverse: g * a * inverse, lambda g, b, inverse: g * b * inverse
            ),
        },
    ),
    "a rule that only arrays can follow": (
        op_checks.check_second_order,
        {"rules": rules(lambda g, a, out: np.multiply(g, a / out, dtype=float))},
    ),
    "a rule that writes into g": (
        op_checks.check_untouched,
        {"rules": rules(in_place)},
    ),
    "a forward that writes into its input": (
        op_checks.check_untouched,
        {"forward": noisy},
    ),
    "float64 on the way": (
        op_checks.check_dtype,
        {"forward": through_float64},
    ),
    "an undeclared dtype": (
        op_checks.check_dtype,
        {"forward": lambda a, b: np.hypot(a, b).astype(np.float64)},
    ),
    "another function's twin": (
        op_checks.check_reference,
        {"numpy": np.logaddexp},
    ),
    "nothing to try it on": (
        op_checks.check_reference,
        {"samples": []},
    ),
    "another error": (
        op_checks.check_errors,
        {"bad": [Bad(ArgumentError, "broadcast", (3, 4), (3,))]},
    ),
    "no error": (
        op_checks.check_errors,
        {"bad": [Bad(ShapeError, "broadcast", (3, 4), (4,))]},
    ),
    "another message": (
        op_checks.check_errors,
        {"bad": [Bad(ShapeError, "rank", (3, 4), (3,))]},
    ),
    "a view that is none": (
        op_checks.check_view,
        {"view": True},
    ),
    "the order of memory": (
        op_checks.check_layouts,
        {"forward": by_memory_order},
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_each_mistake_is_noticed(mistake):
    check, changes = MISTAKES[mistake]
    with declared() as op:
        check(op)
    with declared(**changes) as op, pytest.raises(Exception):  # noqa: B017, PT011 - any alarm will do
        check(op)


def test_a_twin_that_does_not_reach_the_op_is_noticed():
    with declared() as op:
        del by_numpy[np.hypot]
        with pytest.raises(tg.errors.DetachError):
            op_checks.check_numpy_dispatch(op)
