"""The rivals that the benchmarks write out compute what the layers compute."""

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import tinygrad_seq as tg
from tinygrad_seq import nn

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks/recurrent.py"


@pytest.fixture(scope="module")
def recurrent():
    spec = importlib.util.spec_from_file_location("recurrent_benchmark", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("kind", ["rnn", "lstm", "gru"])
def test_a_step_for_jax_is_a_step_of_the_layer(recurrent, kind):
    """NumPy stands in for JAX, whose functions have the same names."""
    stand_in = SimpleNamespace(numpy=np, nn=SimpleNamespace(sigmoid=lambda x: 1 / (1 + np.exp(-x))))
    tg.manual_seed(0)
    layer = getattr(nn, recurrent.LAYERS[kind])(4, 6, dtype=np.float64)
    x = np.random.default_rng(0).standard_normal((5, 3, 4))
    expected, _ = layer(tg.tensor(x))
    w_ih, w_hh, b_ih, b_hh = (p.numpy() for p in layer.parameters())
    h = np.zeros((3, 6))
    state, outputs = ((h, h) if kind == "lstm" else h), []
    for projected in x @ w_ih.T + b_ih:
        state, output = recurrent.STEPS[kind](stand_in, state, projected, w_hh.T, b_hh)
        outputs.append(output)
    np.testing.assert_allclose(np.stack(outputs), expected.numpy(), atol=1e-12)
