"""nn.MultiheadAttention: shapes, masks, what is fully masked, options, the cache."""

import numpy as np
import pytest

import tinygrad_seq as tg
from tinygrad_seq import nn
from tinygrad_seq.errors import ArgumentError, DTypeError, OutOfRangeError, ShapeError


def attention(width=12, heads=3, **options):
    """A layer in float64 whose biases are not 0."""
    layer = nn.MultiheadAttention(width, heads, dtype=np.float64, **options)
    for name, parameter in layer.named_parameters():
        if "bias" in name:
            nn.init.normal_(parameter)
    return layer


def drawn(*shape, requires_grad=False):
    return tg.randn(*shape, dtype=np.float64, requires_grad=requires_grad)


def by_hand(layer, x, heads):
    """Multi-head self-attention in five steps, x (B, L, E), each shape as it comes."""
    batch, length, width = x.shape
    size = width // heads
    weights = layer.in_proj_weight.split(3)
    biases = layer.in_proj_bias.split(3)
    parts = []
    for w, b in zip(weights, biases, strict=True):
        projected = x @ w.T + b  # Linear: (10, 20, 512)
        split = projected.reshape(batch, length, heads, size)  # (10, 20, 8, 64)
        assert split.shape == (10, 20, 8, 64)
        parts.append(split.swapaxes(1, 2))  # (10, 8, 20, 64)
        assert parts[-1].shape == (10, 8, 20, 64)
    q, k, v = parts
    scores = q @ k.swapaxes(-1, -2) / np.sqrt(size)  # (10, 8, 20, 20)
    shares = tg.softmax(scores)
    assert shares.shape == (10, 8, 20, 20)
    together = (shares @ v).swapaxes(1, 2).reshape(batch, length, width)  # (10, 20, 512)
    return layer.out_proj(together), shares


@pytest.mark.parametrize("need_weights", [True, False])
def test_eight_heads_as_they_are_written_by_hand(need_weights):
    layer = attention(512, 8, batch_first=True)
    x = drawn(10, 20, 512)
    out, shares = layer(x, x, x, need_weights=need_weights, average_attn_weights=False)
    expected, expected_shares = by_hand(layer, x, 8)
    assert out.shape == (10, 20, 512)
    np.testing.assert_allclose(out.numpy(), expected.numpy(), atol=1e-12)
    if need_weights:
        assert shares.shape == (10, 8, 20, 20)
        np.testing.assert_allclose(shares.numpy(), expected_shares.numpy(), atol=1e-12)
        np.testing.assert_allclose(shares.numpy().sum(-1), 1, atol=1e-12)


def test_a_width_that_the_heads_do_not_divide():
    with pytest.raises(ArgumentError, match="an embed_dim that 5 heads divide, got 512"):
        nn.MultiheadAttention(512, 5)


@pytest.mark.parametrize("options", [
    {}, {"kdim": 5, "vdim": 7}, {"bias": False}, {"add_bias_kv": True},
], ids=str)  # fmt: skip
@pytest.mark.oracle
def test_initial_weights_are_pytorchs(options, torch):
    """The same names and shapes; what is 0 is 0, what is drawn has the same spread and bounds."""
    ours = nn.MultiheadAttention(128, 4, **options).state_dict()
    theirs = torch.nn.MultiheadAttention(128, 4, **options).state_dict()
    assert list(ours) == list(theirs)
    for name, t in theirs.items():
        a, b = ours[name].numpy(), t.numpy()
        assert a.shape == b.shape
        assert a.std() == pytest.approx(b.std(), rel=0.2), name
        if not name.startswith("bias_"):  # those are normal
            assert np.abs(a).max() == pytest.approx(np.abs(b).max(), rel=0.02), name


# ---------------------------------------------------------------------- nothing to look at


def masks_of_nothing():
    """Masks that leave query 1 of sequence 0, or all of sequence 0, nothing: name → arguments."""
    rows = np.zeros((4, 5), bool)
    rows[1] = True
    padding = np.zeros((2, 5), bool)
    padding[0] = True
    return {
        "boolean": ({"attn_mask": rows}, np.s_[1:2]),
        "added": ({"attn_mask": np.where(rows, -np.inf, 0.0)}, np.s_[1:2]),
        "padding": ({"key_padding_mask": padding}, np.s_[:, :1]),
        "padding added": ({"key_padding_mask": np.where(padding, -np.inf, 0.0)}, np.s_[:, :1]),
    }


@pytest.mark.oracle
@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("name", list(masks_of_nothing()))
def test_a_query_that_sees_nothing_gets_zeros_where_pytorch_has_nan(name, need_weights, torch):
    masks, rows = masks_of_nothing()[name]
    layer = attention()
    x = drawn(4, 2, 12, requires_grad=True)
    memory = drawn(5, 2, 12, requires_grad=True)
    out, weights = layer(x, memory, memory, need_weights=need_weights, **masks)
    nothing = np.broadcast_to(layer.out_proj.bias.numpy(), out.numpy()[rows].shape)
    np.testing.assert_array_equal(out.numpy()[rows], nothing)  # W_o·0 + b_o
    assert np.isfinite(out.numpy()).all()
    if need_weights:
        rows_of_weights = weights.numpy().transpose(1, 0, 2)[rows]
        np.testing.assert_array_equal(rows_of_weights, np.zeros_like(rows_of_weights))
    (out * drawn(*out.shape)).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy()[rows], np.zeros_like(x.grad.numpy()[rows]))
    assert all(np.isfinite(t.grad.numpy()).all() for t in (x, memory, *layer.parameters()))

    oracle = torch.nn.MultiheadAttention(12, 3, dtype=torch.float64)
    oracle.load_state_dict({k: torch.tensor(v.numpy()) for k, v in layer.state_dict().items()})
    theirs, _ = oracle(*(torch.tensor(t.detach().numpy()) for t in (x, memory, memory)),
                       need_weights=True,
                       **{k: torch.tensor(m) for k, m in masks.items()})  # fmt: skip
    assert torch.isnan(theirs[rows]).all()
    seen = ~torch.isnan(theirs).numpy()
    np.testing.assert_allclose(out.numpy()[seen], theirs.detach().numpy()[seen], atol=1e-12)


# ---------------------------------------------------------------------- masks


def test_with_and_without_weights_are_the_same():
    layer = attention(add_bias_kv=True, dropout=0.3)
    x, mask = drawn(4, 2, 12), drawn(6, 4, 4)
    results = []
    for need_weights in (True, False):
        tg.manual_seed(3)  # the same weights are dropped
        padding = np.array([[False] * 4, [False, True, False, True]])
        results.append(layer(x, x, x, padding, need_weights, mask, is_causal=True)[0].numpy())
    np.testing.assert_allclose(*results, atol=1e-12)


@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("options", [{}, {"add_bias_kv": True, "add_zero_attn": True}], ids=str)
def test_causal_is_the_mask_above_the_diagonal(options, need_weights):
    layer = attention(**options)
    x = drawn(4, 2, 12)
    later = np.triu(np.ones((4, 4), bool), 1)
    got, _ = layer(x, x, x, need_weights=need_weights, is_causal=True)
    expected, _ = layer(x, x, x, need_weights=True, attn_mask=later)
    np.testing.assert_allclose(got.numpy(), expected.numpy(), atol=1e-12)
    more = np.array([[False] * 4, [True, False, False, False]] * 2)  # beside the causal one
    got, _ = layer(x, x, x, need_weights=need_weights, is_causal=True, attn_mask=more)
    expected, _ = layer(x, x, x, attn_mask=more | later)
    np.testing.assert_allclose(got.numpy(), expected.numpy(), atol=1e-12)


def test_a_mask_of_four_axes_is_one_of_three_unfolded():
    layer = attention()
    x, mask = drawn(4, 2, 12), drawn(2, 3, 4, 4)
    four, _ = layer(x, x, x, attn_mask=mask)
    three, _ = layer(x, x, x, attn_mask=mask.reshape(6, 4, 4))
    np.testing.assert_array_equal(four.numpy(), three.numpy())
    each, _ = layer(x, x, x, attn_mask=mask[:1])
    expected, _ = layer(x[:, :1], x[:, :1], x[:, :1], attn_mask=mask[:1])
    np.testing.assert_allclose(each.numpy()[:, :1], expected.numpy(), atol=1e-12)


def test_a_mask_of_another_floating_dtype_is_converted():
    layer = nn.MultiheadAttention(4, 2)
    x = tg.randn(3, 2, 4)
    mask = np.random.default_rng(0).standard_normal((3, 3))
    out, _ = layer(x, x, x, attn_mask=mask)
    same, _ = layer(x, x, x, attn_mask=mask.astype(np.float32))
    assert out.dtype == np.float32
    np.testing.assert_array_equal(out.numpy(), same.numpy())


def test_dropout_drops_weights_while_training_only():
    layer = attention(dropout=0.5)
    x = drawn(20, 2, 12)
    _, weights = layer(x, x, x, average_attn_weights=False)
    assert 0.35 < (weights.numpy() == 0).mean() < 0.65
    layer.eval()
    _, weights = layer(x, x, x, average_attn_weights=False)
    assert weights.numpy().min() > 0
    np.testing.assert_allclose(weights.numpy().sum(-1), 1, atol=1e-12)


# ---------------------------------------------------------------------- step by step


OPTIONS = [{}, {"batch_first": True}, {"add_bias_kv": True, "add_zero_attn": True},
           {"positions": nn.RotaryPositions(4)}, {"positions": nn.AlibiBias(3)}]  # fmt: skip


@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("cuts", [[1, 2, 3, 4, 5], [2, 3], [4]], ids=str)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_with_a_cache_each_step_is_what_the_whole_gives(options, cuts, need_weights):
    layer = attention(**options)
    axis = 1 if layer.batch_first else 0
    x = drawn(2, 6, 12) if axis else drawn(6, 2, 12)
    padding = np.array([[False] * 6, [True, False, False, False, True, False]])
    whole, _ = layer(x, x, x, padding, need_weights, is_causal=True)
    cache = nn.KVCache()
    parts = []
    for part in x.split(cuts, axis):
        seen = padding[:, : cache.length + part.shape[axis]]
        out, _ = layer(part, part, part, seen, need_weights, is_causal=True, cache=cache)
        parts.append(out.numpy())
    np.testing.assert_allclose(np.concatenate(parts, axis), whole.numpy(), atol=1e-12)
    assert cache.length == 6
    assert repr(cache) == "KVCache(6 steps)"


def test_a_cache_without_a_batch():
    layer = attention()
    x = drawn(5, 12)
    whole, _ = layer(x, x, x, is_causal=True)
    cache = nn.KVCache()
    parts = [layer(s, s, s, cache=cache, need_weights=False)[0].numpy() for s in x.split(5)]
    np.testing.assert_allclose(np.concatenate(parts), whole.numpy(), atol=1e-12)


def test_gradients_flow_through_a_cache():
    layer = attention()
    x = drawn(4, 2, 12, requires_grad=True)
    g = drawn(4, 2, 12)
    (layer(x, x, x, is_causal=True)[0] * g).sum().backward()
    expected, x.grad = x.grad.numpy(), None
    cache = nn.KVCache()
    parts = [layer(s, s, s, is_causal=True, cache=cache)[0] for s in x.split(2)]
    (tg.concatenate(parts) * g).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), expected, atol=1e-12)


def test_a_fixed_cache_keeps_the_first_memory():
    layer = attention(kdim=5, vdim=7)
    x, k, v = drawn(4, 2, 12), drawn(3, 2, 5), drawn(3, 2, 7)
    expected, _ = layer(x, k, v)
    cache = nn.KVCache(fixed=True)
    got = [layer(s, k if i == 0 else k * np.nan, v, cache=cache)[0].numpy()
           for i, s in enumerate(x.split(4))]  # fmt: skip
    np.testing.assert_allclose(np.concatenate(got), expected.numpy(), atol=1e-12)
    assert cache.length == 3
    assert repr(cache) == "KVCache(3 steps, fixed)"


def test_rows_of_a_cache_can_be_chosen_and_steps_forgotten():
    layer = attention()
    x = drawn(4, 3, 12)
    cache = nn.KVCache()
    layer(x, x, x, is_causal=True, cache=cache)
    rows = [2, 0, 0]
    cache.select(rows)
    cache.crop(2)
    last = drawn(1, 3, 12)
    got, _ = layer(last, last, last, cache=cache)
    parts = tg.concatenate([x[:2, np.array(rows)], last])
    expected, _ = layer(parts, parts, parts, is_causal=True)
    np.testing.assert_allclose(got.numpy(), expected.numpy()[-1:], atol=1e-12)
    cache.select(tg.tensor(np.array([1])))
    assert cache.keys.shape == (1, 3, 3, 4)
    with pytest.raises(OutOfRangeError, match="rows below 1, got 1"):
        cache.select([0, 1])
    with pytest.raises(OutOfRangeError, match="at most 3, got 4"):
        cache.crop(4)
    with pytest.raises(ShapeError, match="keys of shape"):
        layer(x, x, x, cache=cache)
    nn.KVCache().select([0])  # nothing yet, nothing to do


# ---------------------------------------------------------------------- what does not fit


BAD = [
    (ArgumentError, "dropout in", {"dropout": 1.0}),
    (ArgumentError, "embed_dim to be an integer", {"embed_dim": 0}),
    (ArgumentError, "num_heads to be an integer", {"num_heads": 2.0}),
    (ArgumentError, "kdim to be", {"kdim": -1}),
    (ArgumentError, "positions to be", {"positions": nn.SinusoidalPositions(4)}),
    (ArgumentError, r"RotaryPositions\(4\)", {"positions": nn.RotaryPositions(6)}),
    (ArgumentError, r"AlibiBias\(3\)", {"positions": nn.AlibiBias(2)}),
]


@pytest.mark.parametrize(("error", "message", "options"), BAD)
def test_bad_options(error, message, options):
    with pytest.raises(error, match=message):
        nn.MultiheadAttention(**({"embed_dim": 12, "num_heads": 3} | options))


WRONG = [
    ("query of shape", [(4, 2, 11), (5, 2, 12), (5, 2, 12)], {}),
    ("key of shape", [(4, 2, 12), (5, 2, 11), (5, 2, 12)], {}),
    ("value of shape", [(4, 2, 12), (5, 2, 12), (12,)], {}),
    ("all with a batch or none", [(4, 2, 12), (5, 12), (5, 12)], {}),
    ("as many values as keys", [(4, 2, 12), (5, 2, 12), (4, 2, 12)], {}),
    ("batches of one size", [(4, 3, 12), (5, 2, 12), (5, 2, 12)], {}),
    (r"key_padding_mask of shape \(2, 5\)", None, {"key_padding_mask": np.zeros((2, 4), bool)}),
    (r"attn_mask of shape \(6, 4, 5\)", None, {"attn_mask": np.zeros((2, 4, 5))}),
    (r"attn_mask of shape \(4, 5\)", None, {"attn_mask": np.zeros((5, 4))}),
    ("attn_mask of shape", None, {"attn_mask": np.zeros((2, 2, 4, 5))}),
]


@pytest.mark.parametrize(("message", "shapes", "masks"), WRONG)
def test_what_does_not_fit(message, shapes, masks):
    inputs = [drawn(*s) for s in shapes or [(4, 2, 12), (5, 2, 12), (5, 2, 12)]]
    with pytest.raises(ShapeError, match=message):
        attention()(*inputs, **masks)


def test_masks_are_boolean_or_floating():
    x = drawn(4, 2, 12)
    for name in ("attn_mask", "key_padding_mask"):
        with pytest.raises(DTypeError, match=f"a boolean or floating {name}, got int64"):
            attention()(x, x, x, **{name: np.zeros((4, 4), int)})
    with pytest.raises(DTypeError, match="got list"):
        attention()(x, x, x, attn_mask=[[True]])


def test_positions_are_for_looking_at_oneself():
    x = drawn(4, 2, 12)
    for positions in (nn.RotaryPositions(4), nn.AlibiBias(3)):
        with pytest.raises(ShapeError, match="as many keys as queries"):
            attention(positions=positions)(x[:2], x, x)


def test_repr_names_what_is_off_its_default():
    assert repr(nn.MultiheadAttention(4, 2)).startswith("MultiheadAttention(\n  4, 2\n")
    layer = nn.MultiheadAttention(4, 2, 0.1, False, True, True, 3, 2, True)
    assert "4, 2, dropout=0.1, add_zero_attn=True, batch_first=True, kdim=3, vdim=2, " in repr(
        layer
    )
    assert "bias=False, add_bias_kv=True" in repr(layer)
