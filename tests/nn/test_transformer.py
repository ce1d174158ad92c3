"""The Transformer: what it can see, what a cache changes (nothing), its state, what is refused."""

import numpy as np
import pytest

import tinygrad_seq as tg
from tinygrad_seq import nn
from tinygrad_seq.errors import ArgumentError, DTypeError, ShapeError

WHERE = {"dtype": np.float64}
LATER = np.triu(np.ones((6, 6), bool), 1)


def shaken(module):
    """Biases and norms off their first values, each layer of a stack off its copies."""
    for parameter in module.parameters():
        with tg.no_grad():
            parameter.add_(0.3 * np.random.default_rng(parameter.size).standard_normal(
                parameter.shape))  # fmt: skip
            parameter.add_(0.3 * tg.randn(*parameter.shape, dtype=np.float64))
    return module


def encoder(layers=2, **options):
    layer = nn.TransformerEncoderLayer(8, 2, 12, 0.0, **WHERE, **options)
    return shaken(nn.TransformerEncoder(layer, layers, nn.LayerNorm(8, **WHERE)))


def decoder(layers=2, **options):
    layer = nn.TransformerDecoderLayer(8, 2, 12, 0.0, **WHERE, **options)
    return shaken(nn.TransformerDecoder(layer, layers, nn.LayerNorm(8, **WHERE)))


def drawn(*shape, requires_grad=False):
    return tg.randn(*shape, dtype=np.float64, requires_grad=requires_grad)


NORMS = pytest.mark.parametrize("norm_first", [False, True])


# ---------------------------------------------------------------------- what each step sees


def influence(run, x):
    """∂y_t/∂x_s summed in absolute value over everything else: (T, T) for x (T, B, 8)."""
    out = run(x)
    rows = []
    for t in range(len(out)):
        total = 0
        for g in np.random.default_rng(t).standard_normal((3, *out.shape[1:])):
            (grad,) = tg.grad((out[t] * tg.tensor(g)).sum(), [x], retain_graph=True)
            total = total + np.abs(grad.numpy()).sum((1, 2))
        rows.append(total)
    return np.stack(rows)


CAUSAL = {
    "encoder, is_causal": lambda m: lambda x: m(x, is_causal=True),
    "encoder, boolean mask": lambda m: lambda x: m(x, LATER),
    "encoder, additive mask": lambda m: lambda x: m(
        x, nn.Transformer.generate_square_subsequent_mask(6, dtype=np.float64)),
}  # fmt: skip


@NORMS
@pytest.mark.parametrize("name", CAUSAL)
def test_no_step_sees_a_later_one(name, norm_first):
    """The derivative is exactly 0 above the diagonal, and nowhere else."""
    seen = influence(
        CAUSAL[name](encoder(norm_first=norm_first)), drawn(6, 2, 8, requires_grad=True)
    )
    np.testing.assert_array_equal(seen[LATER], 0)
    assert (seen[~LATER] > 0).all()


@NORMS
def test_no_step_of_the_decoder_sees_a_later_one(norm_first):
    model, memory = decoder(norm_first=norm_first), drawn(3, 2, 8)
    x = drawn(6, 2, 8, requires_grad=True)
    seen = influence(lambda x: model(x, memory, tgt_is_causal=True), x)
    np.testing.assert_array_equal(seen[LATER], 0)
    assert (seen[~LATER] > 0).all()
    assert (influence(lambda x: model(x, memory), x) > 0).all()  # unless told not to


@pytest.mark.parametrize("positions", [None, "sinusoidal", "learned", "rotary", "alibi"])
@NORMS
def test_without_positions_the_order_of_the_steps_is_unknown(positions, norm_first):
    inside = {"rotary": nn.RotaryPositions(4), "alibi": nn.AlibiBias(2)}.get(positions)
    before = {"sinusoidal": nn.SinusoidalPositions(8),
              "learned": nn.LearnedPositions(9, 8, **WHERE)}.get(positions)  # fmt: skip
    model = encoder(norm_first=norm_first, positions=inside)
    run = model if before is None else lambda x: model(before(x))
    x, order = drawn(6, 2, 8), np.array([3, 5, 0, 1, 4, 2])
    apart = np.abs(run(x[order]).numpy() - run(x).numpy()[order]).max()
    if positions is None:
        assert apart < 1e-12
    else:
        assert apart > 1e-3


def test_padding_of_the_source_changes_nothing():
    model = nn.Transformer(8, 2, 2, 2, 12, 0.0, **WHERE)
    src, tgt = drawn(5, 2, 8), drawn(4, 2, 8)
    padding = np.array([[False] * 3 + [True] * 2] * 2)
    masks = {"src_key_padding_mask": padding, "memory_key_padding_mask": padding}
    got = model(src, tgt, tgt_is_causal=True, **masks)
    np.testing.assert_allclose(got.numpy(), model(src[:3], tgt, tgt_is_causal=True).numpy(),
                               atol=1e-12)  # fmt: skip


# ---------------------------------------------------------------------- step by step


@NORMS
@pytest.mark.parametrize("positions", [None, nn.RotaryPositions(4), nn.AlibiBias(2)], ids=str)
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("cuts", [[1, 2, 3, 4, 5], [3, 4]], ids=str)
def test_with_a_cache_each_step_is_what_the_whole_gives(cuts, batch_first, positions, norm_first):
    options = {"batch_first": batch_first, "norm_first": norm_first, "positions": positions}
    axis = int(batch_first)
    x, memory = drawn(6, 6, 8), drawn(6, 6, 8)
    padding = np.array([[False, False, True]] * 6) if batch_first else None
    memory = memory[:, :3] if batch_first else memory[:3]
    lone, looking = encoder(**options), decoder(**options)
    cases = [
        (lone, lambda part, **cache: lone(part, is_causal=True, **cache)),
        (looking, lambda part, **cache: looking(
            part, memory, tgt_is_causal=True, memory_key_padding_mask=padding, **cache)),
    ]  # fmt: skip
    for model, run in cases:
        cache = model.new_cache()
        parts = [run(part, cache=cache).numpy() for part in x.split(cuts, axis)]
        np.testing.assert_allclose(np.concatenate(parts, axis), run(x).numpy(), atol=1e-12)
        assert cache.length == 6
        assert repr(cache) == "TransformerCache(2 layers, 6 steps)"


def test_rows_of_a_cache_can_be_chosen_and_steps_forgotten():
    model = decoder()
    memory, x = drawn(3, 4, 8), drawn(5, 4, 8)
    cache = model.new_cache()
    model(x, memory, tgt_is_causal=True, cache=cache)
    rows = np.array([2, 2, 0])
    cache.select(rows)
    cache.crop(4)
    last = drawn(1, 3, 8)
    got = model(last, memory[:, rows], cache=cache)
    parts = tg.concatenate([x[:4, rows], last])
    expected = model(parts, memory[:, rows], tgt_is_causal=True)
    np.testing.assert_allclose(got.numpy(), expected.numpy()[-1:], atol=1e-12)


def test_the_memory_is_projected_once():
    model, memory = decoder(), drawn(3, 2, 8)
    x = drawn(2, 2, 8)
    cache = model.new_cache()
    model(x[:1], memory, cache=cache)
    got = model(x[1:], memory * np.nan, cache=cache)
    np.testing.assert_allclose(got.numpy(), model(x, memory, tgt_is_causal=True).numpy()[1:],
                               atol=1e-12)  # fmt: skip


def test_a_cache_of_another_number_of_layers():
    model = encoder()
    with pytest.raises(ArgumentError, match="a cache of 2 layers, got 3"):
        model(drawn(1, 2, 8), cache=nn.TransformerCache(3))
    with pytest.raises(ArgumentError, match="num_layers to be an integer"):
        nn.TransformerCache(0)


# ---------------------------------------------------------------------- state


@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore:enable_nested_tensor is True")
@pytest.mark.parametrize("bias", [True, False])
def test_state_dict_goes_both_ways_through_a_file(bias, tmp_path, torch):
    from safetensors.torch import load_file, save_file

    options = {"norm_first": True, "activation": "gelu", "batch_first": True, "bias": bias}
    ours = shaken(nn.Transformer(8, 2, 2, 3, 12, 0.0, **options, **WHERE))
    theirs = torch.nn.Transformer(8, 2, 2, 3, 12, 0.0, **options, dtype=torch.float64)
    src, tgt = drawn(4, 5, 8), drawn(4, 3, 8)

    def outputs(ours, theirs):
        mask = theirs.generate_square_subsequent_mask(3, dtype=torch.float64)
        made = theirs(torch.tensor(src.numpy()), torch.tensor(tgt.numpy()), tgt_mask=mask)
        return ours(src, tgt, tgt_is_causal=True).numpy(), made.detach().numpy()

    assert np.abs(np.subtract(*outputs(ours, theirs))).max() > 0.1
    tg.save(tmp_path / "ours.safetensors", ours.state_dict())
    theirs.load_state_dict(load_file(tmp_path / "ours.safetensors"))
    np.testing.assert_allclose(*outputs(ours, theirs), atol=1e-12)

    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter += 0.1
    save_file(theirs.state_dict(), tmp_path / "theirs.safetensors")
    ours.load_state_dict(tg.load(tmp_path / "theirs.safetensors"))
    np.testing.assert_allclose(*outputs(ours, theirs), atol=1e-12)


def test_layers_of_a_stack_start_equal_and_are_their_own():
    layer = nn.TransformerEncoderLayer(8, 2, 12)
    stack = nn.TransformerEncoder(layer, 3)
    first, last = stack.layers[0].linear1.weight, stack.layers[2].linear1.weight
    np.testing.assert_array_equal(first.numpy(), last.numpy())
    with tg.no_grad():
        first.zero_()
    assert last.numpy().any()
    assert layer.linear1.weight.numpy().any()
    assert stack.norm is None
    assert not any(n.startswith("norm") for n in stack.state_dict())


def test_matrices_of_the_whole_start_xavier_uniform():
    model = nn.Transformer(32, 4, 1, 1, 64)
    for name, parameter in model.named_parameters():
        values = parameter.numpy()
        if values.ndim == 2:
            bound = np.sqrt(6 / sum(values.shape))
            assert 0.9 * bound < np.abs(values).max() <= bound, name
        elif "norm" in name:
            assert set(values) == {1.0 if name.endswith("weight") else 0.0}


def test_custom_stacks_take_the_places_of_the_usual_ones():
    own, looking = encoder(), decoder()
    model = nn.Transformer(8, 2, custom_encoder=own, custom_decoder=looking)
    src, tgt = drawn(4, 2, 8), drawn(3, 2, 8)
    expected = looking(tgt, own(src))
    np.testing.assert_array_equal(model(src, tgt).numpy(), expected.numpy())


# ---------------------------------------------------------------------- options


def test_any_function_can_be_the_activation():
    layer = nn.TransformerEncoderLayer(8, 2, 12, 0.0, tg.relu)
    named = nn.TransformerEncoderLayer(8, 2, 12, 0.0)
    named.load_state_dict(layer.state_dict())
    x = tg.randn(3, 2, 8)
    np.testing.assert_array_equal(layer(x).numpy(), named(x).numpy())
    other = nn.TransformerEncoderLayer(8, 2, 12, 0.0, lambda x: -x)
    other.load_state_dict(layer.state_dict())
    assert np.abs(other(x).numpy() - named(x).numpy()).max() > 0.01


ENCODER = ("dropout", "dropout1", "dropout2", "self_attn")
PLACES = [
    *((nn.TransformerEncoderLayer, place) for place in ENCODER),
    *((nn.TransformerDecoderLayer, place) for place in (*ENCODER, "dropout3", "multihead_attn")),
]


@pytest.mark.parametrize(("kind", "place"), PLACES)
def test_dropout_is_in_every_place(kind, place):
    """With one place alone at work, two runs differ while training, and not in evaluation."""
    layer = kind(8, 2, 12, 0.0)
    if place.endswith("attn"):
        getattr(layer, place).dropout = 0.5
    else:
        getattr(layer, place).p = 0.5
    x = [tg.randn(3, 2, 8)] * (2 if kind is nn.TransformerDecoderLayer else 1)
    assert not np.array_equal(layer(*x).numpy(), layer(*x).numpy())
    layer.eval()
    np.testing.assert_array_equal(layer(*x).numpy(), layer(*x).numpy())


def test_the_mask_of_what_comes_before():
    inf = np.inf
    mask = nn.Transformer.generate_square_subsequent_mask(3)
    assert mask.dtype == np.float32
    np.testing.assert_array_equal(mask.numpy(), [[0, -inf, -inf], [0, 0, -inf], [0, 0, 0]])


def test_bad_options():
    with pytest.raises(ArgumentError, match="activation 'relu', 'gelu' or a function"):
        nn.TransformerEncoderLayer(8, 2, activation="swish")
    with pytest.raises(ArgumentError, match="an embed_dim that 3 heads divide"):
        nn.Transformer(8, 3)
    with pytest.raises(ArgumentError, match="num_layers to be an integer"):
        nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2), 0)
    with pytest.raises(ArgumentError, match="a layer to copy, got type"):
        nn.TransformerEncoder(nn.TransformerEncoderLayer, 2)
    with pytest.raises(ArgumentError, match="dropout in"):
        nn.TransformerEncoderLayer(8, 2, dropout=1.5)
    with pytest.raises(ArgumentError, match="sz to be an integer"):
        nn.Transformer.generate_square_subsequent_mask(-1)


def test_what_does_not_fit():
    model = nn.Transformer(8, 2, 1, 1, 12)
    good = tg.randn(4, 2, 8)
    for bad in (tg.randn(4, 2, 7), tg.randn(8), None):
        with pytest.raises(ShapeError, match=r"src of shape \(…, 8\)"):
            model(bad, good)
        with pytest.raises(ShapeError, match=r"tgt of shape \(…, 8\)"):
            model(good, bad)
    with pytest.raises(ShapeError, match="batches of one size"):
        model(good, tg.randn(4, 3, 8))
    with pytest.raises(ShapeError, match=r"attn_mask of shape \(4, 4\)"):
        model(good, good, tgt_mask=np.zeros((4, 5), bool))


# ---------------------------------------------------------------------- RMSNorm


@pytest.mark.oracle
@pytest.mark.parametrize("options", [{}, {"eps": 0.1}, {"elementwise_affine": False}], ids=str)
@pytest.mark.parametrize("shape", [8, (2, 8)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rms_norm_is_pytorchs(dtype, shape, options, torch):
    layer = nn.RMSNorm(shape, dtype=dtype, **options)
    oracle = torch.nn.RMSNorm(shape, dtype=getattr(torch, dtype), **options)
    if layer.weight is not None:
        nn.init.normal_(layer.weight)
    oracle.load_state_dict({k: torch.tensor(v.numpy()) for k, v in layer.state_dict().items()})
    x, g = np.random.default_rng(0).standard_normal((2, 5, 2, 8)).astype(dtype)
    ours, theirs = tg.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    results = []
    for norm, leaf, make in ((layer, ours, tg.tensor), (oracle, theirs, torch.tensor)):
        out = norm(leaf)
        (out * make(g)).sum().backward()
        results.append([t.detach().numpy() for t in (out, leaf.grad, *(
            p.grad for p in norm.parameters()))])  # fmt: skip
    for a, b in zip(*results, strict=True):
        assert a.dtype == b.dtype == dtype
        np.testing.assert_allclose(a, b, atol={"float32": 2e-5, "float64": 1e-10}[dtype])


def test_rms_norm_of_zeros_and_what_it_refuses():
    layer = nn.RMSNorm(4)
    np.testing.assert_array_equal(layer(tg.zeros(2, 4)).numpy(), np.zeros((2, 4)))
    nn.init.normal_(layer.weight)
    layer.reset_parameters()
    np.testing.assert_array_equal(layer.weight.numpy(), np.ones(4))
    assert repr(layer) == "RMSNorm((4,), eps=None, elementwise_affine=True)"
    with pytest.raises(ShapeError, match=r"x of shape \(…, 4\), got \(2, 3\)"):
        layer(tg.zeros(2, 3))
    with pytest.raises(DTypeError, match="floating"):
        layer(tg.zeros(2, 4, dtype=np.int64))
    with pytest.raises(ArgumentError, match="a finite eps ≥ 0"):
        nn.RMSNorm(4, eps=-1)
    with pytest.raises(ArgumentError, match="each of normalized_shape"):
        nn.RMSNorm((4, 0))
