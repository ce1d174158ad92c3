"""Where the NumPy kernels of RNN, LSTM and GRU part ways: what they compute, what they leave."""

import importlib
import itertools

import numpy as np
import pytest

from tinygrad_seq.kernels.numpy import blocks

GATES = {"rnn": 1, "lstm": 4, "gru": 3}
ARGUMENTS = {"rnn": ("tanh",), "lstm": (), "gru": (True, "keep")}
INPUTS = {"rnn": 8, "lstm": 13, "gru": 8}  # those that a gradient may be asked for
KERNELS = {
    (folder, name): importlib.import_module(f"tinygrad_seq.kernels.{folder}.{name}")
    for folder in ("reference", "numpy")
    for name in GATES
}


def draw(name, T, B, I, H, seed=0):
    rng = np.random.default_rng(seed)
    n, states = GATES[name] * H, 2 if name == "lstm" else 1
    shapes = [(T, B, I), *[(B, H)] * states, (n, I), (n, H), (n,), (n,)]
    return [0.3 * rng.standard_normal(shape) for shape in shapes]


def both_ways(folder, name, arrays, given, **options):
    """Forward and backward → outputs, and the gradients of all inputs.

    given: places of the outputs that have a gradient.
    """
    kernel = KERNELS[folder, name]
    made = kernel.forward(*arrays, *ARGUMENTS[name], **options)
    states = 2 if name == "lstm" else 1
    count = {"rnn": 2, "lstm": 5, "gru": 3}[name]
    rng = np.random.default_rng(1)
    drawn = [rng.standard_normal(o.shape) for o in made[:count]]
    grads = [g if k in given else None for k, g in enumerate(drawn)]
    kept = [made[0], *made[1 + states :]]
    needs = [True] * len(arrays) + [False] * (INPUTS[name] - len(arrays))
    back = kernel.backward(grads, *arrays[:-2], *kept, *ARGUMENTS[name], needs, **options)
    return [*made, *back[: len(arrays)]]


def agree(name, arrays, given=(0,), **options):
    fast = both_ways("numpy", name, arrays, given, **options)
    expected = both_ways("reference", name, arrays, given, **options)
    for a, b in zip(fast, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


@pytest.fixture
def never(monkeypatch):
    """→ a call after which the reference may run no more, in that direction."""

    def forbid(name, direction):
        def refuse(*_, **__):
            pytest.fail(f"the reference's {direction} of {name} was called")

        monkeypatch.setattr(KERNELS["reference", name], direction, refuse)

    return forbid


@pytest.mark.parametrize("name", GATES)
@pytest.mark.parametrize("given", [(0,), (1,), (0, 1)])
def test_gradients_of_any_outputs(name, given):
    agree(name, draw(name, 9, 40, 3, 5), given)  # 40 rows: blocks of 7 steps


def test_gradient_of_the_cells():
    for given in ((3,), (0, 2, 3)):
        agree("lstm", draw("lstm", 9, 40, 3, 5), given)


@pytest.mark.parametrize("name", GATES)
def test_the_kernels_do_it_themselves(name, never):
    """Neither way through the reference, where there are rows enough and no options."""
    arrays = draw(name, 5, 2, 3, 4)
    never(name, "forward")
    never(name, "backward")
    both_ways("numpy", name, arrays, (0, 1))


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_few_steps_with_many_weights(name, monkeypatch, never):
    """These are left to the reference, and taken on the result is the same."""
    arrays = draw(name, 1, 2, 200, 150)
    assert not blocks.pays(arrays[-4].size + arrays[-3].size, 1, 2 * 150)
    agree(name, arrays)
    expected = both_ways("reference", name, arrays, (0,))
    monkeypatch.setattr(blocks, "pays", lambda *_: True)
    never(name, "forward")
    for a, b in zip(both_ways("numpy", name, arrays, (0,)), expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def test_when_arranging_weights_pays():
    """Sooner with more steps and with more states."""
    weights = 4 * 512 * 1024
    assert next(t for t in range(1, 40) if blocks.pays(weights, t, 512)) == 31
    assert next(t for t in range(1, 40) if blocks.pays(weights, t, 32 * 512)) == 11


@pytest.mark.parametrize("name", GATES)
def test_no_two_gradients_share_memory(name):
    """Each may be added to in place."""
    arrays = draw(name, 5, 2, 3, 4)
    grads = both_ways("numpy", name, arrays, (0, 1))[-len(arrays) :]
    for a, b in itertools.combinations(grads, 2):
        assert not np.shares_memory(a, b)


@pytest.mark.parametrize("name", GATES)
@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (3, 1), (2, 300)])
def test_thin_shapes(name, shape):
    """One row, one step, and a step that is more than a block."""
    agree(name, draw(name, *shape, 2, 3), (0, 1))


@pytest.mark.parametrize("name", GATES)
def test_no_inputs(name):
    """A net that only runs on its state."""
    agree(name, draw(name, 3, 2, 0, 4), (0, 1))


@pytest.mark.parametrize("name", GATES)
def test_options_are_left_to_the_reference(name):
    rng = np.random.default_rng(2)
    arrays = draw(name, 4, 2, 3, 5)
    agree(name, arrays, hold=rng.random((4, 2, 5)), drop=rng.random((2, 5)))
    agree(name, arrays, gain_hh=rng.random(GATES[name] * 5))


@pytest.mark.parametrize("name", GATES)
def test_not_a_number_stays_one(name):
    arrays = draw(name, 4, 2, 3, 5)
    arrays[0][1, 0, 0] = np.nan
    output, *_ = KERNELS["numpy", name].forward(*arrays, *ARGUMENTS[name])
    nan = np.isnan(output)
    assert nan[1:, 0].all()
    assert not nan[0].any()
    assert not nan[:, 1].any()
