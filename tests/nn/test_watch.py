"""Watching attention: what is seen, and that seeing changes nothing."""

import numpy as np
import pytest

import tinygrad_seq as tg
from tinygrad_seq import nn
from tinygrad_seq.models import GPT, TransformerSeq2Seq, ViT


def drawn(*shape):
    return tg.tensor(np.random.default_rng(1).normal(size=shape))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("need_weights", [False, True])
def test_what_is_seen_is_what_the_layer_gives_per_head(causal, need_weights):
    layer, x = nn.MultiheadAttention(8, 2, dtype="float64"), drawn(5, 3, 8)
    padding = tg.tensor(np.arange(5) >= np.array([[5], [2], [4]]))
    how = {"key_padding_mask": padding, "is_causal": causal}
    expected, weights = layer(x, x, x, average_attn_weights=False, **how)
    with nn.watch_attention(layer) as seen:
        out, given = layer(x, x, x, need_weights=need_weights, **how)
    assert list(seen) == [""]
    (found,) = seen[""]
    np.testing.assert_array_equal(found.numpy(), weights.numpy())
    assert found.shape == (3, 2, 5, 5)
    np.testing.assert_allclose(out.numpy(), expected.numpy(), rtol=0, atol=1e-12)
    assert (given is not None) == need_weights


def test_every_layer_and_every_call_by_name_in_order(device):
    layer = nn.TransformerEncoderLayer(8, 2, 4, 0.0, batch_first=True, dtype="float64")
    model, x = nn.TransformerEncoder(layer, 3).to(device), drawn(2, 4, 8).to(device)
    with nn.watch_attention(model) as seen:
        expected = [model(x), model(x[:, :2])]
    assert list(seen) == [f"layers.{n}.self_attn" for n in range(3)]
    for first, second in seen.values():
        assert (first.shape, second.shape) == ((2, 2, 4, 4), (2, 2, 2, 2))
        np.testing.assert_allclose(first.numpy().sum(-1), 1, atol=1e-12)
    with nn.watch_attention(model) as seen:
        pass
    assert not any(seen.values())
    for got, y in zip(expected, (x, x[:, :2]), strict=True):
        np.testing.assert_allclose(got.numpy(), model(y).numpy(), rtol=0, atol=1e-12)
    assert all(len(found) == 0 for found in seen.values())  # nobody watches any more


def test_watching_ends_where_an_error_is_raised_and_may_be_nested():
    layer, x = nn.MultiheadAttention(4, 2), tg.randn(3, 1, 4)
    with pytest.raises(KeyError), nn.watch_attention(layer):
        raise KeyError
    assert layer.seen is None
    with nn.watch_attention(layer) as outer:
        with nn.watch_attention(layer) as inner:
            layer(x, x, x)
        layer(x, x, x)
    assert (len(outer[""]), len(inner[""])) == (1, 1)
    assert layer.seen is None
    assert "seen" not in layer.state_dict()


def test_weights_are_differentiable():
    layer, x = nn.MultiheadAttention(4, 2, dtype="float64"), drawn(3, 1, 4)

    def sharpness(x):
        with nn.watch_attention(layer) as seen:
            layer(x, x, x)
        return (seen[""][0] ** 2).sum()

    assert tg.gradcheck(sharpness, x)


@pytest.mark.parametrize("kind", ["gpt", "vit", "pair"])
def test_maps_of_models(kind, device):
    """The maps of two layers with two heads: rows sum to 1, and the model says what it said."""
    tg.manual_seed(0)
    if kind == "gpt":
        model = GPT(7, 5, 2, 2, 8, dropout=0.5)
        inputs = [tg.tensor(np.arange(15).reshape(3, 5) % 7)]
        shape = (2, 3, 2, 5, 5)
    elif kind == "vit":
        model, inputs = ViT(4, 2, 3, width=8, layers=2, heads=2), [drawn(3, 1, 4, 4)]
        inputs, shape = [inputs[0].to(dtype="float32")], (2, 3, 2, 5, 5)
    else:
        model = TransformerSeq2Seq(7, 7, 8, 2, 2)
        inputs = [tg.tensor(np.arange(12).reshape(4, 3) % 7),
                  tg.tensor(np.full((2, 3), 4)), [4, 2, 1]]  # fmt: skip
        shape = (2, 3, 2, 2, 4)
    model = model.to(device).eval()
    placed = [x.to(device) if isinstance(x, tg.Tensor) else x for x in inputs]
    before = model(*placed).numpy()
    maps = model.attention_maps(*placed)
    assert maps.shape == shape
    np.testing.assert_allclose(maps.sum(-1), 1, rtol=1e-5)
    np.testing.assert_array_equal(model(*placed).numpy(), before)
    assert all(p.grad is None for p in model.parameters())
    if kind == "gpt":
        assert (np.triu(maps, 1) == 0).all()
        assert (maps[..., 4, :] > 0).all()
    if kind == "pair":
        for row, length in enumerate([4, 2, 1]):
            assert (maps[:, row, :, :, length:] == 0).all()
            assert (maps[:, row, :, :, :length] > 0).all()


def test_a_gpt_watched_with_a_cache_sees_the_past():
    tg.manual_seed(0)
    model, tokens = GPT(7, 6, 1, 2, 8), tg.tensor(np.arange(12).reshape(2, 6) % 7)
    whole = model.attention_maps(tokens)[0]
    with tg.no_grad():
        _, context = model.read(tokens[:, :3])
        with nn.watch_attention(model) as seen:
            model(tokens[:, 3:5], context)
            model(tokens[:, 5:], context)
    first, second = seen["h.0.attn"]
    np.testing.assert_allclose(first.numpy(), whole[:, :, 3:5, :5], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(second.numpy(), whole[:, :, 5:, :6], rtol=1e-4, atol=1e-6)


def test_answers_carry_the_mean_map():
    tg.manual_seed(0)
    model = TransformerSeq2Seq(7, 7, 8, 2, 2).eval()
    source = tg.tensor(np.arange(12).reshape(4, 3) % 7)
    answers = model.generate(source, [4, 2, 1], 5, return_weights=True)
    maps = model.attention_maps(source, tg.tensor(answers.tokens), [4, 2, 1])
    np.testing.assert_array_equal(answers.weights, maps.mean(axis=(0, 2)))
    assert model.generate(source, [4, 2, 1], 5).weights is None
