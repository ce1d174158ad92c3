"""Right functions are never called wrong, and wrong ones pass no oftener than is stated.

The random functions are those of benchmarks/gradcheck.py: kinks, flat regions, huge and tiny
scales, float32, broadcasting, sums, saturated and recurrent nets. Here a few of them; all 2,000
right and 2,000 wrong ones with ``-m slow``.
"""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_seq as tg
from benchmarks import gradcheck as bench
from tinygrad_seq.bench import read_results
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


RESULTS = Path(__file__).resolve().parents[2] / "benchmarks/results/gradcheck.json"
HARMLESS = {"pass", "kink", "too noisy"}


def alarms(numbers):
    """The right functions of these numbers that were called wrong, in either mode."""
    return [
        (i, fast)
        for i in numbers
        for fast in (False, True)
        if bench.our_verdict(bench.function("right", i), fast) not in HARMLESS
    ]


def misses(numbers):
    """How many of these wrong functions passed: in full mode, in fast mode, and how many fast mode
    may miss, by what is stated of it."""
    full = fast = 0
    stated = 0.0
    for i in numbers:
        wrong = bench.function("wrong", i)
        full += bench.our_verdict(wrong, False) == "pass"
        fast += bench.our_verdict(wrong, True) == "pass"
        stated += bench.stated(wrong)
    return full, fast, stated


def allowed(stated):
    """A number of rare events that is exceeded with a probability below 1e-4 (Poisson's tail, by
    Chernoff's bound)."""
    k = 0
    while k <= stated or (stated and k * np.log(k / stated) - k + stated < np.log(1e4)):
        k += 1
    return k - 1


def test_a_few_random_functions():
    numbers = range(63)
    assert alarms(numbers) == []
    full, fast, stated = misses(numbers)
    assert full == 0
    assert fast <= allowed(stated)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(20))
def test_no_right_function_is_called_wrong(part):
    assert alarms(range(100 * part, 100 * part + 100)) == []


@pytest.mark.slow
@pytest.mark.parametrize("part", range(20))
def test_no_wrong_function_passes_beyond_what_is_stated(part):
    full, fast, stated = misses(range(100 * part, 100 * part + 100))
    assert full == 0
    assert fast <= allowed(stated)


def test_the_published_comparison():
    """2,000 of each kind; no false alarm, and misses only where fast mode says so."""
    rows = read_results(RESULTS)["rows"]
    count = Counter((r["functions"], r["checker"], r["mode"]) for r in rows)
    assert set(count.values()) == {len(bench.FAMILIES)}
    total, bad = Counter(), Counter()
    for r in rows:
        key = (r["functions"], r["checker"], r["mode"])
        total[key] += r["count"]
        bad[key] += bench.bad(r)
    assert set(total.values()) == {2000}
    stated = sum(r.get("stated_misses", 0.0) for r in rows)
    assert bad["right", "tinygrad_seq", "full"] == bad["right", "tinygrad_seq", "fast"] == 0
    assert bad["wrong", "tinygrad_seq", "full"] == 0
    assert bad["wrong", "tinygrad_seq", "fast"] <= allowed(stated)


@pytest.mark.oracle
def test_the_two_corruptions_are_one(torch):
    """What is compared with PyTorch: the same values, and the same wrong gradients."""
    theirs, corrupt = bench.Theirs(), bench.torch_corruption()
    seen = set()
    for i in range(35):
        for kind in ("right", "wrong"):
            f = bench.function(kind, i)
            xs = [tg.tensor(a.astype(np.float64), requires_grad=True) for a in f.inputs]
            ys = [torch.tensor(a.astype(np.float64), requires_grad=True) for a in f.inputs]
            mine, other = f.ours(*xs), f.run(theirs, corrupt, *ys)
            seen.add(f.how)
            for m, o in zip(mine, other, strict=True):
                a, b = m.numpy(), o.detach().numpy()
                np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9 * np.abs(b).max())
            if "max" in {s for s, _, _ in f.steps} or f.family in ("kinks", "float32"):
                continue  # at a tie the two libraries may choose otherwise
            ours = tg.grad(mine[1], xs, allow_unused=True) if mine[1].requires_grad else [None] * 2
            if not other[1].requires_grad:
                continue
            for g, h in zip(
                ours, torch.autograd.grad(other[1], ys, allow_unused=True), strict=True
            ):
                a = 0.0 if g is None else g.numpy()
                b = 0.0 if h is None else h.numpy()
                np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6 * np.abs(b).max() + 1e-12)
    assert len(seen) > 10
