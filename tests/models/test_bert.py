"""BERT: the same numbers as PyTorch's layers, padding, and the folders in which it is published."""

import json

import numpy as np
import pytest

import tinygrad_seq as tg
from tests.support.agreement import agree
from tinygrad_seq.errors import ArgumentError, OutOfRangeError, ShapeError, StateError
from tinygrad_seq.models.bert import BERT

V, T, B = 11, 6, 3
SIZES = {"context": 9, "types": 2, "width": 8, "layers": 2, "heads": 2, "feedforward": 12}
CONFIG = {"vocab_size": V, "max_position_embeddings": 9, "type_vocab_size": 2, "hidden_size": 8,
          "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 12,
          "hidden_act": "gelu", "layer_norm_eps": 1e-12}  # fmt: skip
LENGTHS = (6, 2, 4)


def made(dtype="float64", device=None, **options):
    """A model whose every parameter matters, in evaluation mode."""
    tg.manual_seed(0)
    model = BERT(V, **{**SIZES, **options}, dtype=dtype)
    rng = np.random.default_rng(1)
    for p in model.parameters():
        p.data[:] = p.numpy() + 0.2 * rng.normal(size=p.shape)
    return model.to(device).eval()


def batch(device=None):
    """Symbols, which of them count, and segments, all (B, T)."""
    rng = np.random.default_rng(0)
    mask = (np.arange(T) < np.array(LENGTHS)[:, None]).astype(np.int64)
    arrays = rng.integers(0, V, (B, T)), mask, rng.integers(0, 2, (B, T))
    return [tg.tensor(array, device=device) for array in arrays]


def values(tensor):
    return tensor.detach().numpy()


def published(model, prefix="bert.", old=False):
    """The weights by Hugging Face's names, in float as they are, on the host."""
    state = {n: p.numpy() for n, p in model.state_dict().items()}
    norm = ("gamma", "beta") if old else ("weight", "bias")
    found = {"embeddings.position_ids": np.arange(9)[None]}
    for ours, theirs in {"words": "word", "positions": "position", "types": "token_type"}.items():
        found[f"embeddings.{theirs}_embeddings.weight"] = state[f"{ours}.weight"]
    norms = {"norm": "embeddings.LayerNorm"}
    linears = {"pooler": "pooler.dense"} if model.pooler is not None else {}
    for i in range(SIZES["layers"]):
        layer = f"encoder.layer.{i}"
        linears |= {f"layers.{i}.attention.out_proj": f"{layer}.attention.output.dense",
                    f"layers.{i}.linear1": f"{layer}.intermediate.dense",
                    f"layers.{i}.linear2": f"{layer}.output.dense"}  # fmt: skip
        norms |= {f"layers.{i}.norm1": f"{layer}.attention.output.LayerNorm",
                  f"layers.{i}.norm2": f"{layer}.output.LayerNorm"}  # fmt: skip
        for kind in ("weight", "bias"):
            parts = np.split(state[f"layers.{i}.attention.in_proj_{kind}"], 3)
            for name, part in zip(("query", "key", "value"), parts, strict=True):
                found[f"{layer}.attention.self.{name}.{kind}"] = part
    for ours, theirs in linears.items():
        found |= {f"{theirs}.{kind}": state[f"{ours}.{kind}"] for kind in ("weight", "bias")}
    for ours, theirs in norms.items():
        for kind, name in zip(("weight", "bias"), norm, strict=True):
            found[f"{theirs}.{name}"] = state[f"{ours}.{kind}"]
    return {prefix + name: value for name, value in found.items()}


def folder(path, state, **config):
    tg.save(path / "model.safetensors", state)
    (path / "config.json").write_text(json.dumps({**CONFIG, **config}))
    return path


def their_hidden(torch, weights, ids, mask, types):
    """BERT by Hugging Face's names, written with PyTorch's functions."""
    functions = torch.nn.functional

    def linear(x, name):
        return functions.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def norm(x, name):
        return functions.layer_norm(x, (8,), weights[f"{name}.weight"], weights[f"{name}.bias"],
                                    1e-12)  # fmt: skip

    tables = [weights[f"embeddings.{n}_embeddings.weight"] for n in
              ("word", "position", "token_type")]  # fmt: skip
    x = norm(tables[0][ids] + tables[1][:T] + tables[2][types], "embeddings.LayerNorm")
    for i in range(SIZES["layers"]):
        layer = f"encoder.layer.{i}"
        q, k, v = (linear(x, f"{layer}.attention.self.{n}").unflatten(-1, (2, 4)).transpose(1, 2)
                   for n in ("query", "key", "value"))  # fmt: skip
        scores = q @ k.transpose(-1, -2) / 2
        scores = scores.masked_fill(mask[:, None, None] == 0, float("-inf"))
        seen = (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)
        seen = linear(seen, f"{layer}.attention.output.dense")
        x = norm(x + seen, f"{layer}.attention.output.LayerNorm")
        hidden = functions.gelu(linear(x, f"{layer}.intermediate.dense"))
        x = norm(x + linear(hidden, f"{layer}.output.dense"), f"{layer}.output.LayerNorm")
    return x


@pytest.mark.oracle
@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("typed", [True, False])
def test_equals_pytorch(torch, masked, typed):
    model, (ids, mask, types) = made(), batch()
    weights = {n: torch.tensor(w) for n, w in published(model, "").items()}
    learned = {n: w.requires_grad_() for n, w in weights.items() if w.is_floating_point()}
    both = [torch.tensor(x.numpy()) for x in (ids, mask, types)]
    both[1] = both[1] if masked else torch.ones(B, T)
    both[2] = both[2] if typed else torch.zeros(B, T, dtype=torch.long)
    expected = their_hidden(torch, weights, *both)
    hidden = model(ids, attention_mask=mask if masked else None,
                   token_type_ids=types if typed else None)  # fmt: skip
    np.testing.assert_allclose(values(hidden), expected.detach().numpy(), rtol=0, atol=1e-10)
    dense = learned["pooler.dense.weight"], learned["pooler.dense.bias"]
    expected_pool = torch.tanh(torch.nn.functional.linear(expected[:, 0], *dense))
    pooled = model.pooled(hidden)
    np.testing.assert_allclose(values(pooled), expected_pool.detach().numpy(), rtol=0, atol=1e-10)

    g = np.random.default_rng(3).normal(size=hidden.shape)
    ((hidden * tg.tensor(g)).sum() + pooled.sum()).backward()
    ((expected * torch.tensor(g)).sum() + expected_pool.sum()).backward()
    for p in model.parameters():
        p.data[:] = p.grad.numpy()  # so that gradients go by published names too
    for name, grad in published(model, "").items():
        if name in learned:
            np.testing.assert_allclose(grad, learned[name].grad.numpy(), rtol=0, atol=1e-10,
                                       err_msg=name)  # fmt: skip


# ---------------------------------------------------------------------------- what it is


def test_what_stands_at_padding_means_nothing():
    model, (ids, mask, types) = made(), batch()
    whole = values(model(ids, mask, types))
    other = tg.tensor((ids.numpy() + (1 - mask.numpy())) % V)
    again = values(model(other, mask, types))
    for b, n in enumerate(LENGTHS):
        np.testing.assert_array_equal(again[b, :n], whole[b, :n])
        alone = values(model(ids[b : b + 1, :n], token_type_ids=types[b : b + 1, :n]))
        np.testing.assert_allclose(whole[b, :n], alone[0], rtol=0, atol=1e-12)
    truth = tg.tensor(mask.numpy() == 1)
    np.testing.assert_array_equal(values(model(ids, truth, types)), whole)


def test_every_symbol_sees_every_other():
    model, (ids, _, _) = made(), batch()
    seen = []
    model.words.register_forward_hook(lambda *found: seen.append(found[-1]))
    hidden = model(ids)
    for t in range(T):
        (grad,) = tg.grad(hidden[:, t, 0].sum(), [seen[0]], retain_graph=True)
        assert (np.abs(grad.numpy()).max(axis=2) > 0).all()


def test_dropout_only_while_training():
    model, (ids, mask, types) = made(dropout=0.4), batch()
    np.testing.assert_array_equal(values(model(ids, mask, types)), values(made()(ids, mask, types)))
    model.train()
    assert not np.array_equal(values(model(ids)), values(model(ids)))


def test_on_every_device(device):
    found = []
    for where in (device, "cpu"):
        model, (ids, mask, types) = made(device=where).train(), batch(where)
        tg.manual_seed(0)
        hidden = model(ids, mask, types)
        (hidden[:, 0].square().sum() + model.pooled(hidden).sum()).backward()
        found.append([hidden, *(p.grad for p in model.parameters())])
    for got, expected in zip(*found, strict=True):
        agree(got, expected)


def test_the_number_of_parameters_of_bert_base():
    """109,482,240, counted from the sizes without making them."""
    count = lambda v, t, s, c, f, n: (
        (v + t + s + 2) * c + n * (4 * c * c + 2 * c * f + 9 * c + f) + c * c + c
    )
    assert sum(p.size for p in made().parameters()) == count(V, 9, 2, 8, 12, 2)
    assert count(30522, 512, 2, 768, 3072, 12) == 109_482_240


# ---------------------------------------------------------------------------- published folders


@pytest.mark.parametrize("prefix", ["", "bert."])
@pytest.mark.parametrize("old", [False, True])
def test_reads_published_folders(tmp_path, prefix, old):
    model, (ids, mask, types) = made(), batch()
    state = {**published(model, prefix, old), "cls.predictions.bias": np.zeros(V)}
    found = BERT.from_pretrained(folder(tmp_path, state))
    expected = model(ids, mask, types)
    hidden = found(ids, attention_mask=mask, token_type_ids=types)
    np.testing.assert_array_equal(values(hidden), values(expected))
    np.testing.assert_array_equal(values(found.pooled(hidden)), values(model.pooled(expected)))
    assert not found.training


def test_a_folder_without_a_pooler(tmp_path):
    state = published(made(pooler=False))
    found = BERT.from_pretrained(folder(tmp_path, state))
    with pytest.raises(StateError, match="a model with a pooler"):
        found.pooled(found(batch()[0]))


def test_options_of_a_folder(tmp_path):
    state = published(made())
    given = {"hidden_dropout_prob": 0.3, "attention_probs_dropout_prob": 0.2,
             "layer_norm_eps": 0.5}  # fmt: skip
    found = BERT.from_pretrained(folder(tmp_path, state, **given), dtype="float32")
    assert found.words.weight.dtype == np.float32
    assert {layer.dropout.p for layer in found.layers} == {found.dropout.p} == {0.3}
    assert {layer.attention.dropout for layer in found.layers} == {0.2}
    ids = batch()[0]
    expected = made("float32", eps=0.5)(ids)
    np.testing.assert_allclose(values(found(ids)), values(expected), rtol=0, atol=1e-5)


def test_folders_that_do_not_fit(tmp_path):
    state = published(made())
    for gone in ("encoder.layer.1.attention.self.key.bias", "embeddings.LayerNorm.weight"):
        less = {n: w for n, w in state.items() if n != f"bert.{gone}"}
        with pytest.raises(StateError, match="missing"):
            BERT.from_pretrained(folder(tmp_path, less))
    with pytest.raises(StateError, match=r"unexpected 'more\.weight'"):
        BERT.from_pretrained(folder(tmp_path, {**state, "more.weight": np.zeros(2)}))
    with pytest.raises(StateError, match="BERT's weights"):
        BERT.from_pretrained(folder(tmp_path, {"wte.weight": np.zeros((2, 2))}))
    with pytest.raises(ShapeError, match=r"words\.weight"):
        BERT.from_pretrained(folder(tmp_path, state, vocab_size=V + 1))
    with pytest.raises(StateError, match="hidden_act 'gelu', got 'relu'"):
        BERT.from_pretrained(folder(tmp_path, state, hidden_act="relu"))
    with pytest.raises(StateError, match="position_embedding_type"):
        BERT.from_pretrained(folder(tmp_path, state, position_embedding_type="relative_key"))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(StateError, match="vocab_size"):
        BERT.from_pretrained(tmp_path)


def test_mistakes():
    model, (ids, mask, _) = made(), batch()
    with pytest.raises(ShapeError, match=r"input_ids of shape \(B, T\)"):
        model(ids[0])
    with pytest.raises(ShapeError, match=r"attention_mask of shape \(3, 6\)"):
        model(ids, mask[:, :5])
    with pytest.raises(ShapeError, match=r"token_type_ids of shape \(3, 6\)"):
        model(ids, mask, [0])
    with pytest.raises(OutOfRangeError, match="at most 9 steps, got 10"):
        model(tg.tensor(np.zeros((1, 10), np.int64)))
    with pytest.raises(OutOfRangeError):
        model(ids + 5)
    with pytest.raises(ArgumentError, match="3 heads divide"):
        made(heads=3)
