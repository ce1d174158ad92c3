"""Random compositions of right ops are never called wrong."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_seq as tg
from tinygrad_seq.gradcheck import strategies as grad_st

UNARY = {
    "tanh": tg.tanh,
    "sigmoid": tg.sigmoid,
    "exp": lambda a: tg.exp(tg.tanh(a)),
    "log": lambda a: tg.log(1 + a * a),
    "sqrt": lambda a: tg.sqrt(0.1 + a * a),
    "square": tg.square,
    "relu": tg.relu,
    "abs": tg.abs,
    "softmax": tg.softmax,
    "log_softmax": tg.log_softmax,
    "max": lambda a: a - tg.max(a, axis=0, keepdims=True),
    "centred": lambda a: a - a.mean(axis=1, keepdims=True),
    "transpose": lambda a: a.T,
    "rolled": lambda a: a[[2, 0, 1]],
    "halves": lambda a: tg.concatenate([a[:1], a[1:]]),
    "scaled up": lambda a: 100 * a,
    "scaled down": lambda a: 1e-4 * a,
    "shifted": lambda a: a + 100,
    "detached": lambda a: a * a.detach(),
}
BINARY = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / (1 + b * b),
    "matmul": lambda a, b: a @ b,
    "where": lambda a, b: tg.where(a > b, a, b),
    "select": lambda a, b: tg.where(np.eye(3, dtype=bool), a, b),
}
STEPS = st.lists(
    st.tuples(st.sampled_from([*UNARY, *BINARY]), st.integers(0, 9), st.integers(0, 9)),
    min_size=1,
    max_size=6,
)


def composed(steps):
    """A function of two matrices: each step takes earlier values, the last two are returned."""

    def fn(x, y):
        values = [x, y]
        for name, i, j in steps:
            a, b = values[i % len(values)], values[j % len(values)]
            values.append(UNARY[name](a) if name in UNARY else BINARY[name](a, b))
        return values[-1], tg.tanh(values[-2]).sum()

    return fn


MATRIX = grad_st.arrays((3, 3), low=-1.5, high=1.5)


@settings(max_examples=300)
@given(STEPS, MATRIX, MATRIX, st.booleans())
def test_a_right_gradient_is_never_wrong(steps, x, y, fast):
    report = tg.gradcheck(composed(steps), (x, y), fast=fast, raise_exception=False)
    assert report.verdict in ("pass", "kink", "too noisy"), f"{steps}\n{report}"


@settings(max_examples=100)
@given(STEPS, MATRIX, MATRIX)
def test_nor_is_a_right_second_derivative(steps, x, y):
    report = tg.gradgradcheck(composed(steps), (x, y), fast=True, raise_exception=False)
    assert report.verdict in ("pass", "kink", "too noisy"), f"{steps}\n{report}"


@settings(max_examples=100)
@given(STEPS, MATRIX, MATRIX, st.booleans())
def test_nor_in_float32(steps, x, y, fast):
    inputs = (x.astype(np.float32), y.astype(np.float32))
    report = tg.gradcheck(composed(steps), inputs, promote=False, fast=fast, raise_exception=False)
    assert report.verdict in ("pass", "kink", "too noisy"), f"{steps}\n{report}"
