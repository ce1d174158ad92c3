"""The NumPy kernels of RNN, LSTM and GRU give what their references give, alone and mixed."""

import importlib
from importlib.util import find_spec
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

GATES = {"rnn": 1, "lstm": 4, "gru": 3}
STATES = {"rnn": 1, "lstm": 2, "gru": 1}
OUTPUTS = {"rnn": 2, "lstm": 5, "gru": 3}
FOLDERS = [
    (folder, name)
    for name in GATES
    for folder in ("reference", "numpy")
    if find_spec(f"tinygrad_seq.kernels.{folder}.{name}") is not None
]
NONLINEARITIES = ("tanh", "relu", "sigmoid")
size = st.integers(1, 5)


def module(folder, name):
    return importlib.import_module(f"tinygrad_seq.kernels.{folder}.{name}")


def draw(name, rng, T, B, I, H, bias=True, dtype=np.float64, scale=1.0):
    """The arrays that a kernel's forward takes, in order."""
    n = GATES[name] * H
    shapes = [(T, B, I), *[(B, H)] * STATES[name], (n, I), (n, H)]
    arrays = [(scale * rng.standard_normal(s)).astype(dtype) for s in shapes]
    return [*arrays, *(rng.standard_normal(n).astype(dtype) if bias else None for _ in range(2))]


#: what is not an array, for each kernel: by default, and otherwise
DEFAULTS = {"rnn": ["tanh"], "lstm": [], "gru": [True, "keep"]}
OTHERWISE = {
    "rnn": [["relu"], ["sigmoid"]],
    "lstm": [],
    "gru": [[True, "take"], [False, "keep"], [False, "take"]],
}


def forward(folder, name, arrays, options=None):
    """→ the outputs, and what the backward is given beside them."""
    options = DEFAULTS[name] if options is None else options
    return module(folder, name).forward(*arrays, *options)


def backward(folder, name, arrays, made, gs, needs=None, options=None):
    """The gradients of the arrays, in order."""
    options = DEFAULTS[name] if options is None else options
    # The output, cells and gates, and residuals; the last states are of no use.
    kept = [made[0], *made[1 + STATES[name] :]]
    needs = [True] * len(arrays) if needs is None else needs
    needs = [*needs, *[False] * (13 if name == "lstm" else 8)][: 13 if name == "lstm" else 8]
    given = module(folder, name).backward(gs, *arrays[:-2], *kept, *options, needs)
    assert given[len(arrays) :] == (None,) * (len(given) - len(arrays))
    return given[: len(arrays)]


def gradients(rng, name, made):
    """For the output and the last states; nobody uses the cells and gates."""
    gs = [rng.standard_normal(out.shape).astype(out.dtype) for out in made[: 1 + STATES[name]]]
    return [*gs, *[None] * (OUTPUTS[name] - len(gs))]


def same(got, expected, dtype=np.float64):
    tol = 1e-12 if dtype == np.float64 else 2e-5
    for a, b in zip(got, expected, strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype == dtype
        np.testing.assert_allclose(a, b, rtol=tol, atol=tol)


@pytest.mark.parametrize("name", GATES)
@given(T=st.integers(1, 9), B=size, I=size, H=size, bias=st.booleans(),
       dtype=st.sampled_from([np.float32, np.float64]), data=st.data(),
       seed=st.integers(0, 2**32 - 1))  # fmt: skip
def test_rival_equals_reference(name, T, B, I, H, bias, dtype, data, seed):
    rng = np.random.default_rng(seed)
    options = data.draw(st.sampled_from([DEFAULTS[name], *OTHERWISE[name]]))
    arrays = draw(name, rng, T, B, I, H, bias, dtype, scale=0.5)
    folders = [folder for folder, kernel in FOLDERS if kernel == name]
    made = {folder: forward(folder, name, arrays, options) for folder in folders}
    gs = gradients(rng, name, made["reference"])
    if data.draw(st.booleans()):  # somebody may use the cells and gates, and not the output
        gs = [None, *(rng.standard_normal(o.shape).astype(dtype) for o in
                      made["reference"][1 : OUTPUTS[name]])]  # fmt: skip
    expected = backward("reference", name, arrays, made["reference"], gs, options=options)
    for ahead, back in product(folders, folders):  # either backward follows either forward
        same(made[ahead], made["reference"], dtype)
        same(backward(back, name, arrays, made[ahead], gs, options=options), expected, dtype)


@pytest.mark.parametrize(("folder", "name"), FOLDERS)
def test_only_what_is_needed(folder, name):
    """Nothing else is returned, and what is returned does not change."""
    rng = np.random.default_rng(0)
    arrays = draw(name, rng, 4, 2, 3, 5)
    made = forward(folder, name, arrays)
    gs = gradients(rng, name, made)
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
    """A kernel may sum them over blocks of steps, the last of which may be short."""
    if ("numpy", name) not in FOLDERS or not hasattr(module("numpy", name), "_ROWS"):
        return
    rng = np.random.default_rng(0)
    arrays = draw(name, rng, 7, 2, 3, 5)
    made = forward("numpy", name, arrays)
    gs = gradients(rng, name, made)
    expected = backward("reference", name, arrays, made, gs)
    for rows in (1, 4, 5, 6, 14, 99):
        monkeypatch.setattr(module("numpy", name), "_ROWS", rows)
        same(backward("numpy", name, arrays, made, gs), expected)


@pytest.mark.parametrize(("folder", "name"), FOLDERS)
def test_strided_arrays(folder, name):
    """Transposed, reversed and sliced inputs give what their contiguous copies give."""
    rng = np.random.default_rng(0)
    plain = draw(name, rng, 4, 2, 3, 5)
    strided = [None if a is None else np.repeat(a, 2, -1)[..., ::2] for a in plain]
    strided[0] = np.asfortranarray(plain[0])[::-1][::-1]
    strided[-4:-2] = [np.asfortranarray(w) for w in plain[-4:-2]]
    made = forward(folder, name, plain)
    same(forward(folder, name, strided), made)
    gs = gradients(rng, name, made)
    wide = [None if g is None else np.repeat(g, 2, 1)[:, ::2] for g in gs]
    expected = backward(folder, name, plain, made, gs)
    same(backward(folder, name, strided, made, wide), expected)


@pytest.mark.parametrize(("folder", "name"), FOLDERS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_saturated_gates_warn_of_nothing(folder, name, dtype):
    rng = np.random.default_rng(0)
    arrays = draw(name, rng, 4, 2, 3, 5, dtype=dtype, scale=100)
    for options in (DEFAULTS[name], *(o for o in OTHERWISE[name] if o != ["relu"])):
        made = forward(folder, name, arrays, options)
        gs = gradients(rng, name, made)
        got = backward(folder, name, arrays, made, gs, options=options)
        assert all(np.isfinite(a).all() for a in (*made, *got))


@pytest.mark.parametrize(("folder", "name"), FOLDERS)
def test_inputs_are_left_alone(folder, name):
    rng = np.random.default_rng(0)
    arrays = draw(name, rng, 4, 2, 3, 5)
    made = forward(folder, name, arrays)
    gs = gradients(rng, name, made)
    held = [a for a in (*arrays, *made, *gs) if a is not None]
    copies = [a.copy() for a in held]
    backward(folder, name, arrays, made, gs)
    same(held, copies)
    for last in made[1 : 1 + STATES[name]]:  # the user may write to these
        assert not any(np.shares_memory(last, a) for a in held if a is not last)
