"""The NumPy kernels of RNN and LSTM give what their references give, on their own and mixed."""

import importlib
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

GATES = {"rnn": 1, "lstm": 4}
NONLINEARITIES = ("tanh", "relu", "sigmoid")
size = st.integers(1, 5)


def module(folder, name):
    return importlib.import_module(f"tinygrad_seq.kernels.{folder}.{name}")


def draw(name, rng, T, B, I, H, bias=True, dtype=np.float64, scale=1.0):
    """The arrays that a kernel's forward takes, in order."""
    n = GATES[name] * H
    shapes = [(T, B, I), *[(B, H)] * (2 if name == "lstm" else 1), (n, I), (n, H)]
    arrays = [(scale * rng.standard_normal(s)).astype(dtype) for s in shapes]
    return [*arrays, *(rng.standard_normal(n).astype(dtype) if bias else None for _ in range(2))]


def option(name, nonlinearity):
    return [nonlinearity] if name == "rnn" else []


def forward(folder, name, arrays, nonlinearity="tanh"):
    return module(folder, name).forward(*arrays, *option(name, nonlinearity))


def backward(folder, name, arrays, made, gs, needs=None, nonlinearity="tanh"):
    kept = [made[0], *made[3:]] if name == "lstm" else [made[0], nonlinearity]
    needs = [True] * len(arrays) if needs is None else needs
    return module(folder, name).backward(*gs, *arrays[:-2], *kept, needs)


def gradients(rng, made, count):
    return [rng.standard_normal(out.shape).astype(out.dtype) for out in made[:count]]


def same(got, expected, dtype=np.float64):
    tol = 1e-12 if dtype == np.float64 else 2e-5
    for a, b in zip(got, expected, strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype == dtype
        np.testing.assert_allclose(a, b, rtol=tol, atol=tol)


@pytest.mark.parametrize("name", GATES)
@given(T=st.integers(1, 9), B=size, I=size, H=size, bias=st.booleans(),
       dtype=st.sampled_from([np.float32, np.float64]),
       nonlinearity=st.sampled_from(NONLINEARITIES),
       seed=st.integers(0, 2**32 - 1))  # fmt: skip
def test_rival_equals_reference(name, T, B, I, H, bias, dtype, nonlinearity, seed):
    rng = np.random.default_rng(seed)
    arrays = draw(name, rng, T, B, I, H, bias, dtype, scale=0.5)
    made = {f: forward(f, name, arrays, nonlinearity) for f in ("reference", "numpy")}
    same(made["numpy"], made["reference"], dtype)
    gs = gradients(rng, made["numpy"], 3 if name == "lstm" else 2)
    expected = backward("reference", name, arrays, made["reference"], gs, nonlinearity=nonlinearity)
    for ahead, back in product(made, made):  # either backward follows either forward
        got = backward(back, name, arrays, made[ahead], gs, nonlinearity=nonlinearity)
        same(got, expected, dtype)


@pytest.mark.parametrize("name", GATES)
@pytest.mark.parametrize("folder", ["reference", "numpy"])
def test_only_what_is_needed(name, folder):
    """Nothing else is returned, and what is returned does not change."""
    rng = np.random.default_rng(0)
    arrays = draw(name, rng, 4, 2, 3, 5)
    made = forward(folder, name, arrays)
    gs = gradients(rng, made, 3 if name == "lstm" else 2)
    everything = backward(folder, name, arrays, made, gs)
    states = range(1, len(arrays) - 4)  # the loop makes their gradients anyway
    for wanted in range(len(arrays)):
        needs = [i == wanted for i in range(len(arrays))]
        got = backward(folder, name, arrays, made, gs, needs)
        np.testing.assert_array_equal(got[wanted], everything[wanted])
        others = [g for i, g in enumerate(got) if i != wanted and i not in states]
        assert others == [None] * len(others)


@pytest.mark.parametrize("name", GATES)
def test_weight_gradients_do_not_depend_on_the_blocks(name, monkeypatch):
    """The LSTM's kernel sums them over blocks of steps, the last of which may be short."""
    rng = np.random.default_rng(0)
    arrays = draw(name, rng, 7, 2, 3, 5)
    made = forward("numpy", name, arrays)
    gs = gradients(rng, made, 3 if name == "lstm" else 2)
    expected = backward("reference", name, arrays, made, gs)
    for rows in (1, 4, 5, 6, 14, 99):
        if name == "lstm":
            monkeypatch.setattr(module("numpy", name), "_ROWS", rows)
        same(backward("numpy", name, arrays, made, gs), expected)


@pytest.mark.parametrize("name", GATES)
@pytest.mark.parametrize("folder", ["reference", "numpy"])
def test_strided_arrays(name, folder):
    """Transposed, reversed and sliced inputs give what their contiguous copies give."""
    rng = np.random.default_rng(0)
    plain = draw(name, rng, 4, 2, 3, 5)
    strided = [None if a is None else np.repeat(a, 2, -1)[..., ::2] for a in plain]
    strided[0] = np.asfortranarray(plain[0])[::-1][::-1]
    strided[-4:-2] = [np.asfortranarray(w) for w in plain[-4:-2]]
    made = forward(folder, name, plain)
    same(forward(folder, name, strided), made)
    gs = gradients(rng, made, 3 if name == "lstm" else 2)
    wide = [np.repeat(g, 2, 1)[:, ::2] for g in gs]
    expected = backward(folder, name, plain, made, gs)
    same(backward(folder, name, strided, made, wide), expected)


@pytest.mark.parametrize("name", GATES)
@pytest.mark.parametrize("folder", ["reference", "numpy"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_saturated_gates_warn_of_nothing(name, folder, dtype):
    rng = np.random.default_rng(0)
    arrays = draw(name, rng, 4, 2, 3, 5, dtype=dtype, scale=100)
    made = forward(folder, name, arrays, "sigmoid")
    gs = gradients(rng, made, 3 if name == "lstm" else 2)
    got = backward(folder, name, arrays, made, gs, nonlinearity="sigmoid")
    assert all(np.isfinite(a).all() for a in (*made, *got))


@pytest.mark.parametrize("name", GATES)
@pytest.mark.parametrize("folder", ["reference", "numpy"])
def test_inputs_are_left_alone(name, folder):
    rng = np.random.default_rng(0)
    arrays = draw(name, rng, 4, 2, 3, 5)
    made = forward(folder, name, arrays)
    gs = gradients(rng, made, 3 if name == "lstm" else 2)
    held = [*arrays, *made, *gs]
    copies = [a.copy() for a in held]
    backward(folder, name, arrays, made, gs)
    same(held, copies)
    outs = made[: len(gs)]
    assert not any(np.shares_memory(a, b) for a in outs for b in held if a is not b)
