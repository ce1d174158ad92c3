"""GPT: the same numbers as PyTorch's, nothing of what is to come, cached writing, GPT-2's files."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_seq as tg
from tests.support.agreement import agree
from tinygrad_seq import optim
from tinygrad_seq.errors import (
    ArgumentError,
    DataError,
    OutOfRangeError,
    ShapeError,
    StateError,
)
from tinygrad_seq.models.beam_search import beam_search
from tinygrad_seq.models.decoding import greedy
from tinygrad_seq.models.gpt import GPT

V, T, B = 11, 7, 3
SIZES = {"context": 9, "layers": 3, "heads": 2, "width": 8}


def made(dtype="float64", **options):
    """A model whose every parameter matters: biases and scales too are drawn."""
    tg.manual_seed(0)
    model = GPT(V, **{**SIZES, **options}, dtype=dtype)
    rng = np.random.default_rng(1)
    for p in model.parameters():
        p.data[:] = tg.tensor(p.numpy() + 0.2 * rng.normal(size=p.shape), device=p.device).data
    return model


def batch(seed=0, steps=T, device=None):
    tokens = np.random.default_rng(seed).integers(0, V, (B, steps + 1))
    return (tg.tensor(part, device=device) for part in (tokens[:, :-1], tokens[:, 1:]))


def values(tensor):
    return tensor.detach().numpy()


# ---------------------------------------------------------------------------- beside PyTorch


def their_logits(torch, weights, tokens, heads, tied):
    """GPT-2 written with PyTorch's functions. Linear weights are (out, in)."""
    functions = torch.nn.functional

    def norm(x, name):
        return functions.layer_norm(x, x.shape[-1:], weights[f"{name}.weight"],
                                    weights.get(f"{name}.bias"))  # fmt: skip

    def linear(x, name):
        return functions.linear(x, weights[f"{name}.weight"], weights.get(f"{name}.bias"))

    steps = tokens.shape[1]
    x = weights["wte.weight"][tokens] + weights["wpe.weight"][:steps]
    layers = 1 + max(int(name.split(".")[1]) for name in weights if name.startswith("h."))
    ahead = torch.ones(steps, steps, dtype=torch.bool).triu(1)
    for i in range(layers):
        parts = linear(norm(x, f"h.{i}.ln_1"), f"h.{i}.attn.c_attn").chunk(3, -1)
        q, k, v = (p.unflatten(-1, (heads, -1)).transpose(1, 2) for p in parts)
        scores = (q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])).masked_fill(ahead, -math.inf)
        seen = (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)
        x = x + linear(seen, f"h.{i}.attn.c_proj")
        hidden = linear(norm(x, f"h.{i}.ln_2"), f"h.{i}.mlp.c_fc")
        x = x + linear(functions.gelu(hidden, approximate="tanh"), f"h.{i}.mlp.c_proj")
    return norm(x, "ln_f") @ weights["wte.weight" if tied else "lm_head.weight"].T


@pytest.mark.oracle
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("tied", [True, False])
def test_equals_pytorch(torch, bias, tied):
    model, (tokens, targets) = made(bias=bias, tied=tied), batch()
    weights = {name: torch.tensor(p.numpy(), requires_grad=True)
               for name, p in model.state_dict().items()}  # fmt: skip
    theirs = their_logits(torch, weights, torch.tensor(tokens.numpy()), SIZES["heads"], tied)
    np.testing.assert_allclose(values(model(tokens)), theirs.detach().numpy(), rtol=0, atol=1e-10)
    loss = model.loss(tokens, targets)
    cross_entropy = torch.nn.functional.cross_entropy
    their_loss = cross_entropy(theirs.flatten(0, 1), torch.tensor(targets.numpy()).flatten())
    assert loss.item() == pytest.approx(their_loss.item(), abs=1e-12)
    loss.backward()
    their_loss.backward()
    for name, parameter in model.named_parameters():
        grad = weights[name].grad.numpy()
        np.testing.assert_allclose(parameter.grad.numpy(), grad, rtol=0, atol=1e-10, err_msg=name)
        assert np.abs(grad).max() > 0, name


@pytest.mark.oracle
def test_a_few_steps_of_adamw_stay_beside_pytorch(torch):
    model = made()
    weights = {name: torch.tensor(p.numpy(), requires_grad=True)
               for name, p in model.state_dict().items()}  # fmt: skip
    decay = [w for w in weights.values() if w.ndim > 1]
    rest = [w for w in weights.values() if w.ndim == 1]
    options = {"lr": 1e-2, "betas": (0.9, 0.99)}
    ours = optim.AdamW(model.param_groups(0.1), **options)
    theirs = torch.optim.AdamW(
        [{"params": decay, "weight_decay": 0.1}, {"params": rest, "weight_decay": 0.0}], **options
    )
    for step in range(5):
        tokens, targets = batch(step)
        ours.zero_grad()
        theirs.zero_grad()
        model.loss(tokens, targets).backward()
        logits = their_logits(torch, weights, torch.tensor(tokens.numpy()), SIZES["heads"], True)
        labels = torch.tensor(targets.numpy()).flatten()
        torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels).backward()
        ours.step()
        theirs.step()
    for name, parameter in model.named_parameters():
        np.testing.assert_allclose(parameter.numpy(), weights[name].detach().numpy(),
                                   rtol=0, atol=1e-10, err_msg=name)  # fmt: skip


# ---------------------------------------------------------------------------- what it is


def test_nothing_of_what_is_to_come():
    model, (tokens, _) = made(), batch()
    seen = []
    model.wte.register_forward_hook(lambda *found: seen.append(found[-1]))
    logits = model(tokens)
    for t in range(T):
        (grad,) = tg.grad(logits[:, t].sum(), [seen[0]], retain_graph=True)
        assert (grad.numpy()[:, t + 1 :] == 0).all()
        assert (np.abs(grad.numpy()[:, : t + 1]).max(axis=(0, 2)) > 0).all()


def test_how_it_starts():
    layers, width = 8, 64
    model = GPT(500, context=300, layers=layers, heads=4, width=width)
    for name, p in model.named_parameters():
        got = p.numpy()
        if p.ndim > 1:
            std = 0.02 / math.sqrt(2 * layers) if name.endswith("c_proj.weight") else 0.02
            assert got.std() == pytest.approx(std, rel=0.05), name
            assert abs(got.mean()) < 0.05 * std, name
        else:
            assert (got == (0 if name.endswith("bias") else 1)).all(), name
    tokens = tg.tensor(np.random.default_rng(0).integers(0, 500, (4, 301)))
    loss = model.loss(tokens[:, :-1], tokens[:, 1:]).item()
    assert loss == pytest.approx(math.log(500), rel=0.01)


def test_the_number_of_parameters_of_gpt2():
    """124,439,808, counted from the sizes without making them."""
    v, t, c, n = 50257, 1024, 768, 12
    small = GPT(5, context=4, layers=2, heads=2, width=8)
    count = lambda v, t, c, n: v * c + t * c + n * (12 * c * c + 13 * c) + 2 * c
    assert sum(p.size for p in small.parameters()) == count(5, 4, 8, 2)
    assert count(v, t, c, n) == 124_439_808


def test_which_parameters_decay():
    model = made(tied=False)
    decays, rest = model.param_groups(0.1)
    assert (decays["weight_decay"], rest["weight_decay"]) == (0.1, 0)
    names = {id(p): name for name, p in model.named_parameters()}
    assert all(p.ndim == 2 for p in decays["params"])
    assert all(".ln_" in names[id(p)] or names[id(p)].endswith("bias")
               or names[id(p)].startswith("ln_f") for p in rest["params"])  # fmt: skip
    assert len(decays["params"]) + len(rest["params"]) == len(names)


def test_dropout_only_while_training():
    model, (tokens, _) = made(dropout=0.4), batch()
    assert not np.array_equal(values(model(tokens)), values(model(tokens)))
    model.eval()
    np.testing.assert_array_equal(values(model(tokens)), values(model(tokens)))
    plain = made()
    np.testing.assert_array_equal(values(model(tokens)), values(plain(tokens)))


def test_on_every_device(device):
    model = made(dropout=0.3).to(device)
    cpu = made(dropout=0.3)
    found = []
    for one, where in ((model, device), (cpu, "cpu")):
        tokens, targets = batch(device=where)
        tg.manual_seed(0)
        loss = one.loss(tokens, targets)
        loss.backward()
        found.append([loss, *(p.grad for p in one.parameters())])
    for got, expected in zip(*found, strict=True):
        agree(got, expected)
    prompt = np.array([1, 2, 3])
    texts = [list(m.eval().generate(prompt, 12, generator=tg.Generator(0))) for m in (model, cpu)]
    assert texts[0] == texts[1]


# ---------------------------------------------------------------------------- writing


@pytest.mark.parametrize("pieces", [[1] * T, [3, 1, 2, 1], [4, 3], [T]])
def test_reading_in_pieces_is_reading_at_once(pieces):
    model, (tokens, _) = made(), batch()
    whole, context, at = values(model(tokens)), None, 0
    with tg.no_grad():
        for steps in pieces:
            logits, context = model.read(tokens[:, at : at + steps], context)
            at += steps
            np.testing.assert_allclose(values(logits), whole[:, at - 1], rtol=0, atol=1e-12)
    assert context.length == T


def test_what_is_too_long_ago_is_forgotten():
    model = made()
    tokens, _ = batch(steps=20)
    context = None
    with tg.no_grad():
        for t in range(20):
            logits, context = model.step(tokens[:, t], context)
            recent = values(model(tokens[:, max(0, t + 1 - model.context) : t + 1]))[:, -1]
            np.testing.assert_allclose(values(logits), recent, rtol=0, atol=1e-12)
        logits, _ = model.read(tokens)
    np.testing.assert_allclose(values(logits), recent, rtol=0, atol=1e-12)


def recomputed(model, prompt, length, forbidden=()):
    """Greedy writing that reads everything again for each symbol."""
    text = list(prompt)
    for _ in range(length):
        logits = values(model(tg.tensor(np.array(text[-model.context :])[None])))[0, -1].copy()
        logits[list(forbidden)] = -np.inf
        text.append(int(logits.argmax()))
    return text[len(prompt) :]


@pytest.mark.parametrize("prompt", [[4], [1, 2, 3], list(range(11)) * 2])
def test_writing_the_likeliest(prompt):
    model = made()
    written = list(model.generate(np.array(prompt), 15, temperature=0))
    assert written == recomputed(model, prompt, 15)


def test_writing_by_chance():
    model, prompt = made(), np.array([1, 2])
    again = [list(model.generate(prompt, 30, 2.0, generator=tg.Generator(s))) for s in (0, 0, 1)]
    assert again[0] == again[1] != again[2]
    best = recomputed(model, prompt, 10)
    assert list(model.generate(prompt, 10, 1.0, top_k=1)) == best
    assert list(model.generate(prompt, 10, 1.0, top_p=1e-9)) == best
    stop = best[3]
    assert list(model.generate(prompt, 10, 0, eos=stop)) == best[: best.index(stop) + 1]
    assert list(model.generate(prompt, 0)) == []
    assert all(p.grad is None for p in model.parameters())


@settings(max_examples=25)
@given(st.data())
def test_what_is_drawn_is_among_the_likeliest(data):
    model = made()
    prompt = data.draw(st.lists(st.integers(0, V - 1), min_size=1, max_size=12), "prompt")
    k = data.draw(st.integers(1, V), "k")
    seed = data.draw(st.integers(0, 99), "seed")
    text = list(prompt)
    for symbol in model.generate(np.array(prompt), 4, 3.0, k, generator=tg.Generator(seed)):
        logits = values(model(tg.tensor(np.array(text[-model.context :])[None])))[0, -1]
        assert symbol in np.argsort(-logits)[:k]
        text.append(symbol)


def test_a_context_serves_several_rows_and_beams():
    model = made()
    start = tg.tensor(np.array([3, 5, 7]))
    rows = greedy(model.step, start, length=6)
    for b, first in enumerate((3, 5, 7)):
        assert rows[:, b].tolist() == recomputed(model, [first], 6)
    beams = beam_search(model.step, start, length=4, eos=0, beams=V**2, alpha=0.0)
    for b, first in enumerate((3, 5, 7)):
        for k in range(0, V**2, 11):
            said = beams.tokens[:, b, k].tolist()
            said = said[: said.index(0) + 1] if 0 in said else said
            logits = values(model(tg.tensor(np.array([[first, *said[:-1]]]))))[0]
            log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
            expected = log_p[np.arange(len(said)), said].sum()
            assert beams.log_probs[b, k] == pytest.approx(expected, abs=1e-10)


def test_rows_of_a_context_can_be_chosen():
    """Before and after the first symbols are forgotten."""
    model, rows = made(), [2, 0, 0]
    tokens, _ = batch(steps=12)
    with tg.no_grad():
        _, context = model.read(tokens[:, :8])
        context.select(rows)
        text = tokens.numpy()
        text = np.concatenate([text[rows, :8], text[:, 8:]], axis=1)
        for t in range(8, 12):
            logits, context = model.step(tg.tensor(text[:, t]), context)
            whole = model(tg.tensor(text[:, max(0, t + 1 - model.context) : t + 1]))
            np.testing.assert_allclose(values(logits), values(whole)[:, -1], rtol=0, atol=1e-12)


# ---------------------------------------------------------------------------- GPT-2's files


def as_published(model, prefix=""):
    """The weights as GPT-2's files hold them: matrices (in, out), and the masks."""
    turned = ("c_attn.weight", "c_proj.weight", "c_fc.weight")
    state = {prefix + n: p.numpy().T.copy() if n.endswith(turned) else p.numpy()
             for n, p in model.state_dict().items()}  # fmt: skip
    for i in range(SIZES["layers"]):
        state[f"{prefix}h.{i}.attn.bias"] = np.tri(9, dtype=np.float32)[None, None]
        state[f"{prefix}h.{i}.attn.masked_bias"] = np.array(-1e4, np.float32)
    return state


@pytest.mark.parametrize("prefix", ["", "transformer."])
@pytest.mark.parametrize("head", ["absent", "equal", "its own"])
def test_reads_gpt2s_files(tmp_path, prefix, head):
    model, (tokens, _) = made(tied=head != "its own"), batch()
    state = as_published(model, prefix)
    if head != "absent":
        state.pop(f"{prefix}lm_head.weight", None)
        own = model.wte if head == "equal" else model.lm_head
        state["lm_head.weight"] = own.weight.numpy()
    tg.save(tmp_path / "model.safetensors", state)
    config = {"n_head": 2, "layer_norm_epsilon": 1e-5, "activation_function": "gelu_new"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    direct = GPT.from_safetensors(tmp_path / "model.safetensors", heads=2)
    for found in (direct, GPT.from_pretrained(tmp_path)):
        np.testing.assert_array_equal(values(found(tokens)), values(model(tokens)))
        assert not found.training
        assert (found.lm_head is None) == (head != "its own")
        assert len(found.h) == SIZES["layers"]


@pytest.mark.oracle
def test_a_file_that_pytorch_wrote(torch, tmp_path):
    """Logits by hand from weights (in, out), as the file has them."""
    library = pytest.importorskip("safetensors.torch")
    model, (tokens, _) = made("float32"), batch()
    state = {n: torch.tensor(a) for n, a in as_published(model, "transformer.").items()}
    library.save_file(state, str(tmp_path / "model.safetensors"))
    found = GPT.from_safetensors(tmp_path / "model.safetensors", heads=2)
    turned = {n.removeprefix("transformer."): w for n, w in state.items()}
    weights = {n: w.T if n.endswith(("c_attn.weight", "c_proj.weight", "c_fc.weight")) else w
               for n, w in turned.items()}  # fmt: skip
    expected = their_logits(torch, weights, torch.tensor(tokens.numpy()), 2, True)
    np.testing.assert_allclose(values(found(tokens)), expected.numpy(), rtol=0, atol=1e-4)


def test_reads_what_it_saved_itself(tmp_path):
    model, (tokens, _) = made(bias=False), batch()
    tg.save(tmp_path / "own.safetensors", model.state_dict())
    found = GPT.from_safetensors(tmp_path / "own.safetensors", heads=2)
    np.testing.assert_array_equal(values(found(tokens)), values(model(tokens)))


def test_heads_are_64_wide_unless_said(tmp_path):
    tg.save(tmp_path / "gpt.safetensors", GPT(5, 4, 1, 2, 128).state_dict())
    assert GPT.from_safetensors(tmp_path / "gpt.safetensors").h[0].attn.heads == 2


def test_files_that_do_not_fit(tmp_path):
    state = as_published(made())
    file, config = tmp_path / "model.safetensors", tmp_path / "config.json"
    with pytest.raises(StateError, match=r"config\.json"):
        GPT.from_pretrained(tmp_path)
    config.write_text("{")
    with pytest.raises(StateError, match="no JSON"):
        GPT.from_pretrained(tmp_path)
    config.write_text("[]")
    with pytest.raises(StateError, match="a JSON object"):
        GPT.from_pretrained(tmp_path)
    config.write_text("{}")
    with pytest.raises(StateError, match="n_head"):
        GPT.from_pretrained(tmp_path)
    config.write_text('{"n_head": 2, "activation_function": "relu"}')
    with pytest.raises(StateError, match="relu"):
        GPT.from_pretrained(tmp_path)
    for option in ('"scale_attn_weights": false', '"scale_attn_by_inverse_layer_idx": true'):
        config.write_text(f'{{"n_head": 2, {option}}}')
        with pytest.raises(StateError, match="scale_attn"):
            GPT.from_pretrained(tmp_path)
    config.write_text('{"n_head": 2}')
    with pytest.raises(StateError, match=r"model\.safetensors"):
        GPT.from_pretrained(tmp_path)
    for gone in ("wte.weight", "h.0.attn.c_attn.weight", "h.1.mlp.c_fc.bias", "ln_f.weight"):
        tg.save(file, {n: w for n, w in state.items() if n != gone})
        with pytest.raises(StateError, match=gone.replace(".", r"\.")):
            GPT.from_safetensors(file, heads=2)
    tg.save(file, {**state, "h.0.more": np.zeros(2)})
    with pytest.raises(StateError, match="unexpected 'h.0.more'"):
        GPT.from_safetensors(file, heads=2)
    tg.save(file, {**state, "ln_f.weight": np.zeros(2)})
    with pytest.raises(ShapeError, match="ln_f"):
        GPT.from_safetensors(file, heads=2)
    with pytest.raises(ArgumentError, match="3 heads divide"):
        GPT.from_safetensors(file, heads=3)


def test_half_precision_is_read_as_float32(tmp_path):
    model, (tokens, _) = made("float32"), batch()
    half = {n: w.astype(np.float16) for n, w in as_published(model).items()}
    tg.save(tmp_path / "half.safetensors", half)
    found = GPT.from_safetensors(tmp_path / "half.safetensors", heads=2)
    assert found.wte.weight.dtype == np.float32
    np.testing.assert_allclose(values(found(tokens)), values(model(tokens)), atol=0.05)
    np.testing.assert_array_equal(found.wte.weight.numpy(), half["wte.weight"].astype(np.float32))


# ---------------------------------------------------------------------------- mistakes


def test_mistakes():
    with pytest.raises(ArgumentError, match="a width that 3 heads divide, got 8"):
        GPT(V, **{**SIZES, "heads": 3})
    with pytest.raises(ArgumentError, match="layers ≥ 1"):
        GPT(V, **{**SIZES, "layers": 0})
    model, (tokens, _) = made(), batch()
    with pytest.raises(ShapeError, match=r"tokens of shape \(B, T\)"):
        model(tokens[0])
    with pytest.raises(OutOfRangeError, match="at most 9 steps, got 10"):
        model(tg.tensor(np.zeros((1, 10), np.int64)))
    with pytest.raises(OutOfRangeError):
        model(tokens + 5)
    with pytest.raises(DataError, match="a prompt of one token"):
        model.generate(np.array([], np.int64), 3)
    with pytest.raises(ArgumentError, match="temperature"):
        model.generate(np.array([1]), 3, -1.0)
    with pytest.raises(ArgumentError, match="length"):
        model.generate(np.array([1]), -3)
