"""Positions: the formulas as they were published, and what they are for."""

import math

import numpy as np
import pytest

import tinygrad_seq as tg
from tinygrad_seq import nn
from tinygrad_seq.errors import ArgumentError, OutOfRangeError, ShapeError
from tinygrad_seq.nn.positions import alibi_slopes

ADDED = {
    "sinusoidal": lambda **o: nn.SinusoidalPositions(6, **o),
    "learned": lambda **o: nn.LearnedPositions(20, 6, dtype=np.float64, **o),
}


def zeros(*shape):
    return tg.zeros(*shape, dtype=np.float64)


@pytest.mark.parametrize("width", [6, 7, 1])
def test_sinusoidal_is_the_formula(width):
    table = nn.SinusoidalPositions(width)(zeros(50, width)).numpy()
    for p in range(50):
        for j in range(width):
            angle = p / 10000 ** (2 * (j // 2) / width)
            expected = math.cos(angle) if j % 2 else math.sin(angle)
            assert table[p, j] == pytest.approx(expected, abs=1e-12)


def test_sinusoidal_in_single_precision_is_the_formula_rounded():
    single = nn.SinusoidalPositions(8)(tg.zeros(5000, 8))
    double = nn.SinusoidalPositions(8)(zeros(5000, 8)).numpy()
    assert single.dtype == np.float32
    np.testing.assert_array_equal(single.numpy(), double.astype(np.float32))


def test_one_layer_serves_both_precisions_and_any_length():
    layer = nn.SinusoidalPositions(4, base=100.0)
    for dtype in (np.float32, np.float64, np.float32):
        for steps in (3, 9, 2):
            x = tg.zeros(steps, 4, dtype=dtype)
            expected = nn.SinusoidalPositions(4, base=100.0)(x).numpy()
            assert layer(x).dtype == dtype
            np.testing.assert_array_equal(layer(x).numpy(), expected)
    assert layer.state_dict() == {}
    assert repr(layer) == "SinusoidalPositions(4, batch_first=False, base=100.0)"


@pytest.mark.parametrize("name", ADDED)
def test_added_along_the_time_axis(name):
    x = np.random.default_rng(0).standard_normal((5, 2, 6))
    layer = ADDED[name]()
    table = layer(zeros(5, 6)).numpy()
    got = layer(tg.tensor(x)).numpy()
    np.testing.assert_allclose(got, x + table[:, None], atol=1e-15)
    first = ADDED[name](batch_first=True)
    first.load_state_dict(layer.state_dict())
    np.testing.assert_array_equal(first(tg.tensor(x.swapaxes(0, 1))).numpy(), got.swapaxes(0, 1))
    np.testing.assert_array_equal(layer(zeros(2, 6), offset=3).numpy(), table[3:])


def test_learned_positions_are_rows_of_a_table():
    layer = nn.LearnedPositions(7, 3, dtype=np.float64)
    np.testing.assert_array_equal(layer(zeros(7, 3)).numpy(), layer.weight.numpy())
    layer(zeros(2, 3), offset=4).sum().backward()
    expected = np.zeros((7, 3))
    expected[4:6] = 1
    np.testing.assert_array_equal(layer.weight.grad.numpy(), expected)
    assert nn.LearnedPositions(500, 50).weight.numpy().std() == pytest.approx(0.02, rel=0.05)
    assert repr(layer) == "LearnedPositions(7, 3, batch_first=False)"
    with pytest.raises(OutOfRangeError, match="positions below 7, got 7"):
        layer(zeros(4, 3), offset=4)


# ---------------------------------------------------------------------- rotary


@pytest.mark.parametrize("interleaved", [True, False])
def test_rotary_turns_pairs_by_their_angles(interleaved):
    layer = nn.RotaryPositions(6, interleaved=interleaved)
    x = np.random.default_rng(1).standard_normal((2, 4, 6))
    got = layer(tg.tensor(x), offset=3).numpy()
    for p in range(4):
        for i in range(3):
            pair = [2 * i, 2 * i + 1] if interleaved else [i, i + 3]
            turn = np.exp(1j * (p + 3) * 10000 ** (-2 * i / 6))
            expected = (x[:, p, pair[0]] + 1j * x[:, p, pair[1]]) * turn
            np.testing.assert_allclose(got[:, p, pair[0]], expected.real, atol=1e-12)
            np.testing.assert_allclose(got[:, p, pair[1]], expected.imag, atol=1e-12)


@pytest.mark.parametrize("interleaved", [True, False])
def test_rotary_scores_depend_on_the_difference_of_positions_only(interleaved):
    """The same vectors everywhere: score ij is then a function of i − j, whatever the offset."""
    layer = nn.RotaryPositions(8, interleaved=interleaved)
    rng = np.random.default_rng(2)
    q, k = (np.broadcast_to(rng.standard_normal(8), (12, 8)) for _ in range(2))
    scores = (layer(tg.tensor(q)) @ layer(tg.tensor(k)).mT).numpy()
    for apart in range(-11, 12):
        diagonal = np.diagonal(scores, apart)
        np.testing.assert_allclose(diagonal, diagonal[0], atol=1e-12)
    assert np.ptp(scores[0]) > 0.1  # and it is a function indeed
    moved = (layer(tg.tensor(q), offset=100) @ layer(tg.tensor(k), offset=100).mT).numpy()
    np.testing.assert_allclose(moved, scores, atol=1e-12)


def test_rotary_keeps_lengths_and_stays_put_at_the_start():
    x = np.random.default_rng(3).standard_normal((3, 7, 4))
    turned = nn.RotaryPositions(4)(tg.tensor(x)).numpy()
    np.testing.assert_allclose((turned**2).sum(-1), (x**2).sum(-1), atol=1e-12)
    np.testing.assert_array_equal(turned[:, 0], x[:, 0])
    assert np.abs(turned - x)[:, 1:].max() > 0.1


# ---------------------------------------------------------------------- ALiBi


def test_slopes_are_those_published():
    np.testing.assert_array_equal(alibi_slopes(8), [1 / 2**i for i in range(1, 9)])
    np.testing.assert_allclose(alibi_slopes(16), [2 ** (-i / 2) for i in range(1, 17)], rtol=1e-15)
    np.testing.assert_array_equal(alibi_slopes(1), [2**-8])
    # 12 heads: those of 8, then every other one of 16
    more = [2 ** (-i / 2) for i in (1, 3, 5, 7)]
    np.testing.assert_allclose(alibi_slopes(12), [*alibi_slopes(8), *more], rtol=1e-15)


def test_alibi_falls_with_the_distance():
    q, k = zeros(2, 4, 3, 5), zeros(2, 4, 7, 5)  # the last 3 of 7 positions
    bias = nn.AlibiBias(4)(q, k).numpy()
    assert bias.shape == (4, 3, 7)
    for h, slope in enumerate([1 / 4, 1 / 16, 1 / 64, 1 / 256]):
        for i in range(3):
            for j in range(7):
                assert bias[h, i, j] == -slope * abs(4 + i - j)
    assert nn.AlibiBias(4)(tg.zeros(2, 5), tg.zeros(2, 5)).dtype == np.float32


def test_alibi_in_attention_is_an_additive_mask():
    layer = nn.MultiheadAttention(8, 4, dtype=np.float64, positions=nn.AlibiBias(4))
    plain = nn.MultiheadAttention(8, 4, dtype=np.float64)
    plain.load_state_dict(layer.state_dict())
    x = tg.randn(5, 2, 8, dtype=np.float64)
    apart = np.abs(np.arange(5)[:, None] - np.arange(5))
    bias = -alibi_slopes(4)[:, None, None] * apart
    for need_weights in (True, False):
        got, _ = layer(x, x, x, need_weights=need_weights)
        expected, _ = plain(x, x, x, attn_mask=bias[None])
        np.testing.assert_allclose(got.numpy(), expected.numpy(), atol=1e-12)


def test_rotary_in_attention_turns_queries_and_keys_of_each_head():
    rotary = nn.RotaryPositions(4)
    layer = nn.MultiheadAttention(8, 2, dtype=np.float64, positions=rotary, batch_first=True)
    x = tg.randn(3, 5, 8, dtype=np.float64)
    got, _ = layer(x, x, x, need_weights=False)
    q, k, v = ((x @ w.T + b).reshape(3, 5, 2, 4).swapaxes(1, 2) for w, b in zip(
        layer.in_proj_weight.split(3), layer.in_proj_bias.split(3), strict=True))  # fmt: skip
    heads = tg.scaled_dot_product_attention(rotary(q), rotary(k), v)
    expected = layer.out_proj(heads.swapaxes(1, 2).reshape(3, 5, 8))
    np.testing.assert_allclose(got.numpy(), expected.numpy(), atol=1e-12)


# ---------------------------------------------------------------------- what does not fit


def test_bad_options():
    with pytest.raises(ArgumentError, match="an even head_dim, got 5"):
        nn.RotaryPositions(5)
    for kind in (nn.SinusoidalPositions, nn.RotaryPositions):
        with pytest.raises(ArgumentError, match="a finite base > 0"):
            kind(4, base=0.0)
    with pytest.raises(ArgumentError, match="d_model to be an integer"):
        nn.SinusoidalPositions(0)
    with pytest.raises(ArgumentError, match="max_len to be an integer"):
        nn.LearnedPositions(0, 4)
    with pytest.raises(ArgumentError, match="num_heads to be an integer"):
        nn.AlibiBias(0)


@pytest.mark.parametrize("name", [*ADDED, "rotary"])
def test_what_does_not_fit(name):
    layer = nn.RotaryPositions(6) if name == "rotary" else ADDED[name]()
    for shape in ((6,), (3, 2, 5)):
        with pytest.raises(ShapeError, match="x of shape"):
            layer(zeros(*shape))
    with pytest.raises(OutOfRangeError, match="offset ≥ 0, got -1"):
        layer(zeros(2, 6), offset=-1)
    with pytest.raises(ShapeError, match="L ≤ S"):
        nn.AlibiBias(2)(zeros(3, 4), zeros(2, 4))


def test_on_a_device(device):
    for layer in (nn.SinusoidalPositions(4), nn.RotaryPositions(4)):
        x = tg.randn(3, 2, 4, dtype=np.float64)
        there = layer(x.to(device))
        assert str(there.device).startswith(device)
        np.testing.assert_allclose(there.numpy(), layer(x).numpy(), atol=1e-14)
    bias = nn.AlibiBias(2)(x.to(device), x.to(device))
    assert str(bias.device).startswith(device)
