"""The Transformer that translates: PyTorch's numbers, padding, causality, what it says."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_seq as tg
from tests.support.agreement import agree
from tinygrad_seq.errors import ArgumentError, OutOfRangeError, ShapeError
from tinygrad_seq.models.decoding import sample
from tinygrad_seq.models.transformer_seq2seq import TransformerSeq2Seq
from tinygrad_seq.optim import Adam

SOURCE, TARGET, S, T, B = 9, 8, 6, 5, 4
SIZES = {"width": 8, "heads": 2, "layers": 2, "feedforward": 12, "dropout": 0.0}
LENGTHS = np.array([6, 2, 4, 1])
PAD, BOS, EOS = 0, 1, 2


def made(dtype="float64", device=None, source=SOURCE, **options):
    """A model whose every parameter matters."""
    tg.manual_seed(0)
    model = TransformerSeq2Seq(source, TARGET, **{**SIZES, **options}, dtype=dtype)
    rng = np.random.default_rng(1)
    for p in model.parameters():
        p.data[:] = p.numpy() + 0.2 * rng.normal(size=p.shape)
    return model.to(device)


def batch(seed=0, source=SOURCE):
    """A source (S, B), and a target (T, B) whose rows end with eos and are padded after it."""
    rng = np.random.default_rng(seed)
    tokens, target = rng.integers(0, source, (S, B)), rng.integers(3, TARGET, (T, B))
    for b, length in enumerate((5, 3, 1, 4)):
        target[length - 1, b], target[length:, b] = EOS, PAD
    return tokens, target


def pair(seed=0, device=None, source=SOURCE):
    return tuple(tg.tensor(tokens, device=device) for tokens in batch(seed, source))


def values(tensor):
    return tensor.detach().numpy()


# ---------------------------------------------------------------------------- beside PyTorch


def waves(steps, width):
    """Sine and cosine positions, element by element."""
    return np.array([[(math.cos if i % 2 else math.sin)(p / 10000 ** (i // 2 * 2 / width))
                      for i in range(width)] for p in range(steps)])  # fmt: skip


@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore:enable_nested_tensor")  # of PyTorch, that it takes no short cut
@pytest.mark.parametrize(
    "options",
    [{}, {"tied": False, "norm_first": True}, {"shared": True, "activation": "gelu"}],
    ids=str,
)
def test_equals_pytorch(torch, options):
    source = TARGET if options.get("shared") else SOURCE
    model, (tokens, target) = made(source=source, **options), batch(source=source)
    theirs = torch.nn.Transformer(
        8, 2, 2, 2, 12, 0.0, options.get("activation", "relu"),
        norm_first=options.get("norm_first", False),
    ).double()  # fmt: skip
    state = {n: torch.tensor(p.numpy()) for n, p in model.state_dict().items()}
    inner = "transformer."
    theirs.load_state_dict({n.removeprefix(inner): w for n, w in state.items() if inner in n})
    mine = {n: w.requires_grad_() for n, w in state.items() if inner not in n}
    tables = [mine.get("source_table.weight"), mine["target_table.weight"]]
    tables[0] = tables[1] if options.get("shared") else tables[0]
    weight = tables[1] if options.get("tied", True) else mine["head.weight"]

    told = torch.tensor(np.concatenate([np.full((1, B), BOS), target[:-1]]))
    x, y = (table[words] * math.sqrt(8) + torch.tensor(waves(len(words), 8))[:, None]
            for table, words in zip(tables, (torch.tensor(tokens), told), strict=True))  # fmt: skip
    padding = torch.tensor(np.arange(S) >= LENGTHS[:, None])
    ahead = torch.ones(T, T, dtype=torch.bool).triu(1)
    seen = theirs(x, y, tgt_mask=ahead, src_key_padding_mask=padding,
                  memory_key_padding_mask=padding)  # fmt: skip
    expected = seen @ weight.T + mine["head.bias"]
    their_loss = torch.nn.functional.cross_entropy(
        expected.flatten(0, 1), torch.tensor(target).flatten(), ignore_index=PAD,
        label_smoothing=0.1,
    )  # fmt: skip
    their_loss.backward()

    given = tg.tensor(tokens), tg.tensor(target), LENGTHS
    np.testing.assert_allclose(values(model(*given)), expected.detach().numpy(), rtol=0, atol=1e-10)
    loss = model.loss(*given, label_smoothing=0.1)
    assert loss.item() == pytest.approx(their_loss.item(), abs=1e-12)
    loss.backward()
    grads = {inner + n: p.grad for n, p in theirs.named_parameters()}
    grads |= {n: w.grad for n, w in mine.items()}
    for name, parameter in model.named_parameters():
        ours = parameter.grad.numpy()
        np.testing.assert_allclose(ours, grads[name].numpy(), rtol=0, atol=1e-10, err_msg=name)
        assert np.abs(ours).max() > 0, name


# ---------------------------------------------------------------------------- what it is


def test_what_is_tied_and_shared():
    sizes = {n: sum(p.size for p in made(source=TARGET, **o).parameters()) for n, o in {
        "tied": {}, "untied": {"tied": False}, "shared": {"shared": True}}.items()}  # fmt: skip
    assert sizes["untied"] - sizes["tied"] == sizes["tied"] - sizes["shared"] == TARGET * 8
    model = made(source=TARGET, shared=True)
    assert model.head.weight is model.target_table.weight is model.source_table.weight


def test_nothing_of_what_is_to_come():
    model, (source, target) = made(), pair()
    seen = []
    model.target_table.register_forward_hook(lambda *found: seen.append(found[-1]))
    logits = model(source, target, LENGTHS)
    for t in range(T):
        (grad,) = tg.grad(logits[t].sum(), [seen[0]], retain_graph=True)
        assert (grad.numpy()[t + 1 :] == 0).all()
        assert (np.abs(grad.numpy()[: t + 1]).max(axis=2) > 0).all()


def test_what_stands_at_padding_means_nothing():
    model, (source, target) = made(), batch()
    whole = values(model(tg.tensor(source), tg.tensor(target), LENGTHS))
    changed = np.where(np.arange(S)[:, None] < LENGTHS, source, (source + 1) % SOURCE)
    again = values(model(tg.tensor(changed), tg.tensor(target), LENGTHS))
    np.testing.assert_array_equal(again, whole)
    for b, n in enumerate(LENGTHS):
        alone = model(tg.tensor(source[:n, b : b + 1]), tg.tensor(target[:, b : b + 1]))
        np.testing.assert_allclose(whole[:, b], values(alone)[:, 0], rtol=0, atol=1e-12)
    loss = model.loss(tg.tensor(source), tg.tensor(target), LENGTHS).item()
    log_p = whole - np.log(np.exp(whole).sum(-1, keepdims=True))
    said = np.take_along_axis(log_p, target[:, :, None], 2)[..., 0][target != PAD]
    assert loss == pytest.approx(-said.mean(), abs=1e-12)


def test_on_every_device(device):
    found, texts = [], []
    for where in (device, "cpu"):
        model, (source, target) = made(device=where, dropout=0.3), pair(device=where)
        tg.manual_seed(0)
        loss = model.loss(source, target, LENGTHS)
        loss.backward()
        found.append([loss, *(p.grad for p in model.parameters())])
        model.eval()
        texts.append([model.generate(source, LENGTHS, 7, beams=n).tokens for n in (1, 3)])
    for got, expected in zip(*found, strict=True):
        agree(got, expected)
    for got, expected in zip(*texts, strict=True):
        np.testing.assert_array_equal(got, expected)


# ---------------------------------------------------------------------------- saying


@pytest.mark.parametrize("norm_first", [False, True])
def test_step_by_step_is_all_at_once(norm_first):
    model, (source, target) = made(norm_first=norm_first), batch()
    whole = values(model(tg.tensor(source), tg.tensor(target), LENGTHS))
    told = np.concatenate([np.full((1, B), BOS), target[:-1]])
    with tg.no_grad():
        state = model.read(tg.tensor(source), LENGTHS)
        for t in range(T):
            logits, state = model.step(tg.tensor(told[t]), state)
            np.testing.assert_allclose(values(logits), whole[t], rtol=0, atol=1e-12)


def likeliest(model, source, lengths, length):
    """Greedy saying that computes all of it again for each symbol."""
    said = np.zeros((0, source.shape[1]), int)
    ended = np.zeros(source.shape[1], bool)
    while len(said) < length and not ended.all():
        asked = np.concatenate([said, np.full((1, source.shape[1]), PAD)])
        logits = values(model(source, tg.tensor(asked), lengths))[-1].copy()
        logits[:, [PAD, BOS]] = -np.inf
        said = np.concatenate([said, np.where(ended, PAD, logits.argmax(1))[None]])
        ended |= said[-1] == EOS
    return said


def test_saying_the_likeliest():
    model, (source, _) = made(), pair()
    answers = model.generate(source, LENGTHS, 12)
    expected = likeliest(model, source, LENGTHS, 12)
    np.testing.assert_array_equal(answers.tokens, expected)
    np.testing.assert_array_equal(answers.lengths, ((expected != PAD) & (expected != EOS)).sum(0))
    assert all(p.grad is None for p in model.parameters())
    cold = sample(model.step, tg.tensor(np.full(B, BOS)), model.read(source, LENGTHS), length=12,
                  temperature=0, eos=EOS, pad=PAD, forbidden=[BOS])  # fmt: skip
    np.testing.assert_array_equal(cold, expected)


def test_a_wide_beam_finds_the_likeliest_answer():
    model, source = made(), batch()[0]
    symbols = [s for s in range(TARGET) if s not in (PAD, BOS, EOS)]
    ended = [[*front, EOS] for n in (0, 1, 2) for front in itertools.product(symbols, repeat=n)]
    open_ = [[*front] for front in itertools.product(symbols, repeat=3)]
    texts = np.array([text + [PAD] * (3 - len(text)) for text in ended + open_]).T  # (3, N)
    found = model.generate(tg.tensor(source), LENGTHS, 3, beams=40, alpha=0.0).tokens
    steps, rows = np.ogrid[:3, : texts.shape[1]]
    for b, n in enumerate(LENGTHS):
        many = tg.tensor(np.repeat(source[:n, b : b + 1], texts.shape[1], 1))
        logits = values(model(many, tg.tensor(texts))).copy()
        logits[..., [PAD, BOS]] = -np.inf
        log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        chance = np.where(texts == PAD, 0, log_p[steps, rows, texts]).sum(0)
        np.testing.assert_array_equal(found[:, b], texts[: len(found), chance.argmax()])


@settings(max_examples=25)
@given(st.data())
def test_padding_and_the_first_symbol_are_never_said(data):
    pad, bos, eos = data.draw(st.permutations(range(5)), "symbols")[:3]
    tg.manual_seed(data.draw(st.integers(0, 99), "seed"))
    model = TransformerSeq2Seq(4, 5, 8, 2, 1, dropout=0.0, pad=pad, bos=bos, eos=eos)
    for forbidden in (pad, bos):
        model.head.bias.data[forbidden] = 50  # what it would say first
    rows = data.draw(st.integers(1, 4), "rows")
    beams = data.draw(st.integers(1, 3), "beams")
    source = tg.tensor(np.arange(3 * rows).reshape(3, rows) % 4)
    tokens, lengths, _ = model.generate(source, length=8, beams=beams)
    assert not (tokens == bos).any()
    for b, length in enumerate(lengths):
        assert not (tokens[:length, b] == pad).any()
        assert not (tokens[:length, b] == eos).any()
        assert (tokens[length : length + 1, b] == eos).all()
        assert (tokens[length + 1 :, b] == pad).all()


def test_it_learns_what_it_is_shown(device):
    tg.manual_seed(0)
    model = TransformerSeq2Seq(6, 6, 16, 2, 1, dropout=0.0, device=device)
    source = tg.tensor(np.array([[3, 4, 5], [4, 3, 5]]), device=device)
    target = tg.tensor(np.array([[5, 3, 4], [4, 4, 5], [EOS, EOS, EOS]]), device=device)
    optimizer = Adam(model.parameters(), lr=0.01)
    for _ in range(60):
        optimizer.zero_grad()
        loss = model.loss(source, target)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05
    np.testing.assert_array_equal(model.generate(source, length=3).tokens, target.numpy())


# ---------------------------------------------------------------------------- mistakes


def test_mistakes():
    with pytest.raises(ArgumentError, match="pad, bos and eos to be three symbols of 8"):
        made(pad=1)
    with pytest.raises(ArgumentError, match="pad, bos and eos to be three symbols of 8"):
        made(eos=TARGET)
    with pytest.raises(ArgumentError, match="one vocabulary to share"):
        made(shared=True)
    model, (source, target) = made(), pair()
    with pytest.raises(ShapeError, match=r"source of shape \(steps, B\)"):
        model(source[0], target)
    with pytest.raises(ShapeError, match=r"target of shape \(steps, 4\)"):
        model(source, target[:, :3])
    with pytest.raises(OutOfRangeError):
        model(source + 3, target)
    with pytest.raises(ArgumentError, match="length ≥ 1, got 0"):
        model.generate(source, length=0)
    with pytest.raises(ArgumentError, match="beams ≥ 1, got 0"):
        model.generate(source, beams=0)
