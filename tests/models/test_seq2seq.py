"""Encoder and decoder: the same numbers as PyTorch's, teacher forcing, attention, what is said."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_seq as tg
from tests.support.agreement import agree
from tinygrad_seq.errors import ArgumentError, OutOfRangeError, ShapeError
from tinygrad_seq.models import Seq2Seq
from tinygrad_seq.models.decoding import sample
from tinygrad_seq.optim import Adam

KINDS = ["rnn", "lstm", "gru"]
SCORES = ["additive", "dot", "general", "concat"]
SOURCE, TARGET, E, H = 9, 8, 4, 6
T, S, B = 6, 5, 4
LENGTHS = np.array([6, 2, 4, 1])
PAD, BOS, EOS = 0, 1, 2


def made(dtype="float64", **options):
    return Seq2Seq(SOURCE, TARGET, E, H, dtype=dtype, **options)


def batch(seed=0):
    """A source (T, B), and a target (S, B) whose rows end with eos and are padded after it."""
    rng = np.random.default_rng(seed)
    source, target = rng.integers(0, SOURCE, (T, B)), rng.integers(3, TARGET, (S, B))
    for b, length in enumerate((5, 3, 1, 4)):
        target[length - 1, b], target[length:, b] = EOS, PAD
    return source, target


def pair(seed=0, device=None):
    return tuple(tg.tensor(tokens, device=device) for tokens in batch(seed))


def values(tensor):
    return tensor.detach().numpy()


# ---------------------------------------------------------------------------- beside PyTorch


def theirs(torch, model, kind, layers, bidirectional):
    """PyTorch's layers under our names, with our weights."""
    layer, two = getattr(torch.nn, kind.upper()), bidirectional
    rnn = layer(E, H // (1 + two), layers, bidirectional=two)
    encoder = {"embedding": torch.nn.Embedding(SOURCE, E), "rnn": rnn}
    decoder = {"embedding": torch.nn.Embedding(TARGET, E),
               "rnn": layer(model.decoder.rnn.input_size, H, layers),
               "head": torch.nn.Linear(H, TARGET)}  # fmt: skip
    if model.decoder.attention is not None:
        decoder["combine"] = torch.nn.Linear(2 * H, H, bias=False)
        parts = dict(model.decoder.attention.named_children())
        decoder["attention"] = torch.nn.ModuleDict({
            name: torch.nn.Linear(part.in_features, part.out_features, bias=False)
            for name, part in parts.items()
        })  # fmt: skip
        if getattr(model.decoder.attention, "kind", None) == "general":
            decoder["attention"] = torch.nn.Linear(H, H, bias=False)
    both = {"encoder": torch.nn.ModuleDict(encoder), "decoder": torch.nn.ModuleDict(decoder)}
    built = torch.nn.ModuleDict(both).double()
    built.load_state_dict({n: torch.tensor(p.numpy()) for n, p in model.state_dict().items()})
    return built


def score(torch, layer, name, h, keys):
    """One query h (H,) and keys (T, H) → (T,), each score by its formula."""
    if name == "dot":
        return keys @ h
    if name == "general":
        return keys @ (layer.weight.T @ h)
    hidden = torch.tanh(layer["query_proj"](h) + layer["key_proj"](keys))
    return layer["score"](hidden)[:, 0]


def their_logits(torch, both, source, told, options):
    """Row by row without padding, step by step: source (length,), told (S,) → (S, V)."""
    tokens = torch.tensor(source[::-1].copy() if options.get("reverse") else source)
    keys, state = both["encoder"]["rnn"](both["encoder"]["embedding"](tokens)[:, None])
    keys = keys[:, 0].flip(0) if options.get("reverse") else keys[:, 0]
    if options.get("bidirectional"):
        join = lambda s: torch.cat([s[0::2], s[1::2]], 2)
        state = tuple(map(join, state)) if isinstance(state, tuple) else join(state)
    fed, logits, name = torch.zeros(H).double(), [], options.get("attention")
    decoder = both["decoder"]
    for word in told:
        x = decoder["embedding"](torch.tensor(word))
        x = torch.cat([x, fed]) if options.get("input_feeding") else x
        h, state = decoder["rnn"](x[None, None], state)
        fed = h[0, 0]
        if name:
            look = torch.softmax(score(torch, decoder["attention"], name, fed, keys), 0)
            fed = torch.tanh(decoder["combine"](torch.cat([look @ keys, fed])))
        logits.append(decoder["head"](fed))
    return torch.stack(logits)


PLAIN = [{"kind": kind, "layers": layers, **both} for kind in KINDS for layers in (1, 2)
         for both in ({}, {"reverse": True}, {"bidirectional": True})]  # fmt: skip
LOOKING = [{"kind": kind, "attention": name, "input_feeding": feeding, **both}
           for kind, name in zip([*KINDS, "lstm"], SCORES, strict=True)
           for feeding in (False, True)
           for both in ({"layers": 2}, {"reverse": True, "bidirectional": True})]  # fmt: skip


@pytest.mark.oracle
@pytest.mark.parametrize("options", PLAIN + LOOKING, ids=str)
def test_teacher_forcing_equals_pytorch(torch, options):
    model, (source, target) = made(**options), batch()
    both = theirs(torch, model, options["kind"], options.get("layers", 1),
                  options.get("bidirectional", False))  # fmt: skip
    logits = model(tg.tensor(source), tg.tensor(target), LENGTHS)
    told = np.concatenate([np.full((1, B), BOS), target[:-1]])
    expected = torch.stack([
        their_logits(torch, both, source[:n, b], told[:, b], options)
        for b, n in enumerate(LENGTHS)
    ], 1)  # fmt: skip
    np.testing.assert_allclose(values(logits), expected.detach().numpy(), rtol=0, atol=1e-10)

    loss = model.loss(tg.tensor(source), tg.tensor(target), LENGTHS)
    expected_loss = torch.nn.functional.cross_entropy(
        expected.reshape(-1, TARGET), torch.tensor(target).reshape(-1), ignore_index=PAD
    )
    assert loss.item() == pytest.approx(expected_loss.item(), abs=1e-12)
    loss.backward()
    expected_loss.backward()
    found = dict(model.named_parameters())
    for name, parameter in both.named_parameters():
        ours = found[name].grad.numpy()
        np.testing.assert_allclose(ours, parameter.grad.numpy(), rtol=0, atol=1e-10, err_msg=name)
        assert np.abs(ours).max() > 0, name


# ---------------------------------------------------------------------------- teacher forcing

FEEDS = [{}, {"attention": "additive"}, {"attention": "general", "input_feeding": True}]


@pytest.mark.parametrize("options", FEEDS, ids=str)
def test_always_told_what_is_right_step_by_step_is_teacher_forcing(options):
    model, (source, target) = made(**options), pair()
    at_once, looks = model(source, target, LENGTHS, return_weights=True)
    # A share just below 1 takes the way of mixed shares, and no coin falls on the other side.
    steps, others = model(source, target, LENGTHS, 1 - 1e-12, return_weights=True)
    agree(steps, at_once, tolerance=1e-13)
    agree(others, looks, tolerance=1e-13)


@pytest.mark.parametrize("options", FEEDS, ids=str)
def test_teacher_forcing_uses_no_predictions(options):
    """Whatever the model says by itself, what it is told of step s is the target before s."""
    model, (source, target) = made(**options), pair()
    before = values(model(source, target, LENGTHS))
    changed = target.numpy().copy()
    changed[2] = 3 + (changed[2] - 2) % (TARGET - 3)
    after = values(model(source, tg.tensor(changed), LENGTHS))
    np.testing.assert_array_equal(after[:3], before[:3])
    assert (after[3:] != before[3:]).any(axis=2).all()
    model.decoder.head.bias.data[...] = np.eye(TARGET)[5] * 100  # it would always say 5
    moved = values(model(source, target, LENGTHS)) - model.decoder.head.bias.numpy()
    model.decoder.head.bias.data[...] = 0
    np.testing.assert_allclose(moved, values(model(source, target, LENGTHS)), atol=1e-12)


@pytest.mark.parametrize("options", FEEDS, ids=str)
def test_free_running_uses_only_predictions(options):
    model, (source, target) = made(**options), pair()
    free = model(source, target, LENGTHS, teacher_forcing=0)
    other = tg.tensor(np.full((S, B), 7))
    np.testing.assert_array_equal(values(free), values(model(source, other, LENGTHS, 0.0)))
    forced = model(source, target, LENGTHS)
    agree(free[:1], forced[:1], tolerance=1e-13)  # the first step is told bos either way
    assert (values(free)[1:] != values(forced)[1:]).any()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7])
@pytest.mark.parametrize("options", FEEDS, ids=str)
def test_mixed_is_teacher_forcing_by_what_was_told(options, share):
    """Values and gradients: none flows through the choice of a word."""
    model, (source, target) = made(**options), pair()
    weight = tg.randn(S, B, TARGET, dtype="float64")
    mixed = model(source, target, LENGTHS, share, tg.Generator(3))
    (mixed * weight).sum().backward()
    found = {name: p.grad.numpy().copy() for name, p in model.named_parameters()}
    model.zero_grad()

    right = tg.Generator(3).uniform((S, B)) < share
    said = np.where(np.isin(np.arange(TARGET), (PAD, BOS)), -np.inf, values(mixed)).argmax(-1)
    told = np.where(right[1:], target.numpy()[:-1], said[:-1])  # from step 1 on
    forced = model(source, tg.tensor(np.concatenate([told, told[-1:]])), LENGTHS)
    agree(mixed, forced, tolerance=1e-13)
    (forced * weight).sum().backward()
    for name, parameter in model.named_parameters():
        agree(found[name], parameter.grad, name, 1e-12)
    assert right[1:].any() == (share > 0)
    assert not right[1:].all()


def test_a_share_of_right_words():
    model = made()
    source = tg.tensor(np.zeros((1, 500), np.int64))
    seen = []
    model.decoder.embedding.register_forward_pre_hook(
        lambda _, inputs: seen.append(values(inputs[0]))
    )
    target = tg.tensor(np.full((9, 500), 7))
    # It would say padding, which it may not, then 5.
    model.decoder.head.bias.data[...] = np.eye(TARGET)[5] * 100 + np.eye(TARGET)[PAD] * 200
    model(source, target, teacher_forcing=0.8)
    told = np.concatenate(seen)
    assert (told[0] == BOS).all()
    assert set(np.unique(told[1:])) == {5, 7}
    assert (told[1:] == 7).mean() == pytest.approx(0.8, abs=0.02)


# ---------------------------------------------------------------------------- reading


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_source_is_reversed(kind):
    forwards, backwards = made(kind=kind), made(kind=kind, reverse=True)
    backwards.load_state_dict(forwards.state_dict())
    source, target = batch()
    turned = source.copy()
    for b, n in enumerate(LENGTHS):
        turned[:n, b] = source[:n, b][::-1]
    one = forwards(tg.tensor(turned), tg.tensor(target), LENGTHS)
    other = backwards(tg.tensor(source), tg.tensor(target), LENGTHS)
    np.testing.assert_array_equal(values(one), values(other))
    assert (values(one) != values(forwards(tg.tensor(source), tg.tensor(target), LENGTHS))).any()


EVERYTHING = {"attention": "additive", "input_feeding": True, "bidirectional": True, "layers": 2}


@pytest.mark.parametrize("options", [{}, {"reverse": True}, {"attention": "dot", "reverse": True},
                                     EVERYTHING], ids=str)  # fmt: skip
def test_padding_is_never_read(options):
    model, (source, target) = made(**options), batch()
    logits = values(model(tg.tensor(source), tg.tensor(target), LENGTHS))
    alone = [values(model(tg.tensor(source[:n, b : b + 1]), tg.tensor(target[:, b : b + 1])))
             for b, n in enumerate(LENGTHS)]  # fmt: skip
    np.testing.assert_allclose(logits, np.concatenate(alone, 1), rtol=0, atol=1e-13)
    source[2:, 1] = 8
    again = values(model(tg.tensor(source), tg.tensor(target), LENGTHS))
    np.testing.assert_array_equal(again[:, 1], logits[:, 1])


@pytest.mark.parametrize("share", [1.0, 0.0])
@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize("options", [{}, {"reverse": True}, {"input_feeding": True}], ids=str)
def test_weights_are_shares_of_what_is_no_padding(name, options, share):
    model, (source, target) = made(attention=name, **options), pair()
    _, weights = model(source, target, LENGTHS, share, return_weights=True)
    weights = values(weights)
    assert weights.shape == (B, S, T)
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=0, atol=1e-14)
    for b, n in enumerate(LENGTHS):
        assert (weights[b, :, n:] == 0).all()
        assert (weights[b, :, :n] > 0).all()


def test_without_attention_there_are_no_weights():
    model, (source, target) = made(), pair()
    assert model(source, target, LENGTHS, return_weights=True)[1] is None
    assert model(source, target, LENGTHS, 0.5, return_weights=True)[1] is None
    assert model.generate(source, LENGTHS, return_weights=True).weights is None


@pytest.mark.parametrize("reverse", [False, True])
def test_weights_stand_in_the_order_of_the_source(reverse):
    """With weight 1 on the symbol that is looked for, wherever it stands, read in either order."""
    model = made(attention="dot", reverse=reverse, kind="rnn")
    for parameter in model.parameters():
        parameter.data[...] = 0
    # k_t = tanh of a marker that only symbol 8 has, h_s the same: score 36·36 against 0.
    model.encoder.embedding.weight.data[8] = 10
    model.encoder.rnn.weight_ih_l0.data[...] = np.eye(H, E)
    model.decoder.embedding.weight.data[...] = 10
    model.decoder.rnn.weight_ih_l0.data[...] = 10 * np.eye(H, E)
    source = np.full((T, B), 3)
    places = np.array([4, 1, 0, 0])
    source[places, np.arange(B)] = 8
    _, weights = model(tg.tensor(source), pair()[1], LENGTHS, return_weights=True)
    assert (values(weights).argmax(-1) == places[:, None]).all()


# ---------------------------------------------------------------------------- what is said


@pytest.mark.parametrize("options", [*FEEDS, EVERYTHING], ids=str)
def test_generating_is_free_running_up_to_the_end(options):
    model, source = made(**options), pair()[0]
    model.decoder.head.bias.data[EOS] = 0.05
    target = tg.tensor(np.full((12, B), 3))
    logits, weights = model(source, target, LENGTHS, 0.0, return_weights=True)
    free = np.where(np.isin(np.arange(TARGET), (PAD, BOS)), -np.inf, values(logits)).argmax(-1)
    answers = model.generate(source, LENGTHS, length=12, return_weights=True)
    steps = len(answers.tokens)
    for b in range(B):
        ends = np.flatnonzero(free[:, b] == EOS)
        length = ends[0] if len(ends) else 12
        assert answers.lengths[b] == length
        np.testing.assert_array_equal(answers.tokens[: length + 1, b], free[: length + 1, b])
        assert (answers.tokens[length + 1 :, b] == PAD).all()
    assert steps == min(12, answers.lengths.max() + 1)
    assert (answers.weights is None) == (weights is None)
    for b, length in enumerate(answers.lengths if weights is not None else ()):
        looked = values(weights)[b, : length + 1][:steps]
        np.testing.assert_allclose(answers.weights[b, : length + 1], looked, atol=1e-13)
    assert all(p.grad is None for p in model.parameters())


def chance(model, source, lengths, said):
    """ln p of what was said (S, B), by teacher forcing over the symbols that may be said."""
    logits = values(model(source, tg.tensor(said), lengths)).copy()
    logits[..., [PAD, BOS]] = -np.inf
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    steps, rows = np.ogrid[: len(said), : said.shape[1]]
    return np.where(said == PAD, 0, log_p[steps, rows, said]).sum(0)


@pytest.mark.parametrize("options", [*FEEDS, {**EVERYTHING, "kind": "gru"}], ids=str)
def test_a_wide_beam_finds_the_likeliest_answer(options):
    model, source = made(**options), pair()[0]
    symbols = [s for s in range(TARGET) if s not in (PAD, BOS, EOS)]
    ended = [[*front, EOS] for n in (0, 1, 2) for front in itertools.product(symbols, repeat=n)]
    open_ = [[*front] for front in itertools.product(symbols, repeat=3)]
    texts = np.array([text + [PAD] * (3 - len(text)) for text in ended + open_]).T  # (3, N)
    best = []
    for b, n in enumerate(LENGTHS):
        many = tg.tensor(np.repeat(source.numpy()[:n, b : b + 1], texts.shape[1], 1))
        best.append(texts[:, chance(model, many, None, texts).argmax()])
    found = model.generate(source, LENGTHS, 3, beams=40, alpha=0.0).tokens
    np.testing.assert_array_equal(found, np.array(best).T[: len(found)])
    np.testing.assert_array_equal(model.generate(source, LENGTHS, 3, beams=1).tokens,
                                  model.generate(source, LENGTHS, 3).tokens)  # fmt: skip


def test_what_is_drawn_by_chance_reads_the_same_state():
    model, source = made(**EVERYTHING), pair()[0]
    start = tg.tensor(np.full(B, BOS))
    said = sample(
        model.step, start, model.read(source, LENGTHS), length=4, generator=tg.Generator(0)
    )
    np.testing.assert_array_equal(
        said, sample(model.step, start, model.read(source, LENGTHS), length=4,
                     generator=tg.Generator(0)))  # fmt: skip
    cold = sample(model.step, start, model.read(source, LENGTHS), length=4, temperature=0,
                  eos=EOS, pad=PAD, forbidden=[BOS])  # fmt: skip
    np.testing.assert_array_equal(cold, model.generate(source, LENGTHS, 4).tokens)


@settings(max_examples=30)
@given(st.data())
def test_padding_and_the_first_symbol_are_never_said(data):
    size = data.draw(st.integers(3, 12), "symbols")
    pad, bos, eos = data.draw(st.permutations(range(size)), "order")[:3]
    tg.manual_seed(data.draw(st.integers(0, 99), "seed"))
    model = Seq2Seq(4, size, 3, 4, "gru", pad=pad, bos=bos, eos=eos)
    for forbidden in (pad, bos):
        model.decoder.head.bias.data[forbidden] = 50  # what it would say first
    rows = data.draw(st.integers(1, 4), "rows")
    source = tg.tensor(np.arange(3 * rows).reshape(3, rows) % 4)
    tokens, lengths, _ = model.generate(source, length=8)
    assert not (tokens == bos).any()
    for b, length in enumerate(lengths):
        assert not (tokens[:length, b] == pad).any()
        assert not (tokens[:length, b] == eos).any()
        assert length == len(tokens) or tokens[length, b] == eos
        assert (tokens[length + 1 :, b] == pad).all()


def test_it_learns_what_it_is_shown(device):
    pairs = [([3, 4, 5], [4, 3, EOS]), ([5, 5, 4], [6, EOS, PAD]), ([4, 3, 3], [3, 3, EOS])]
    source, target = (tg.tensor(np.array(side).T, device=device) for side in zip(*pairs))  # noqa: B905
    model = Seq2Seq(6, 7, 8, 16, "gru", attention="additive", input_feeding=True, device=device)
    optimizer = Adam(model.parameters(), lr=0.02)
    for _ in range(60):
        loss = model.loss(source, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05
    np.testing.assert_array_equal(model.generate(source, length=3).tokens, target.numpy())


@pytest.mark.parametrize("share", [1.0, 0.5])
@pytest.mark.parametrize("options", [{"reverse": True}, EVERYTHING], ids=str)
def test_every_device_gives_the_same(device, options, share):
    model = made(**options)
    source, target = pair()
    expected = model.loss(source, target, LENGTHS, share, tg.Generator(5))
    expected.backward()
    grads = {name: p.grad.numpy().copy() for name, p in model.named_parameters()}
    said = model.generate(source, LENGTHS, 6, return_weights=True)
    model.zero_grad()
    model.to(device)
    source, target = pair(device=device)
    loss = model.loss(source, target, LENGTHS, share, tg.Generator(5))
    loss.backward()
    agree(loss, expected)
    for name, parameter in model.named_parameters():
        agree(parameter.grad, grads[name], name)
    again = model.generate(source, LENGTHS, 6, return_weights=True)
    np.testing.assert_array_equal(again.tokens, said.tokens)
    assert (again.weights is None) == (said.weights is None)


def test_float32_stays_float32():
    model, (source, target) = made("float32", **EVERYTHING), pair()
    for share in (1.0, 0.5):
        logits, weights = model(source, target, LENGTHS, share, return_weights=True)
        assert logits.dtype == weights.dtype == np.float32
    assert model.generate(source, LENGTHS, 3, return_weights=True).weights.dtype == np.float32


def test_dropout_works_only_in_training():
    model, (source, target) = made(dropout=0.5), pair()
    assert (values(model(source, target)) != values(model(source, target))).any()
    model.eval()
    np.testing.assert_array_equal(values(model(source, target)), values(model(source, target)))


# ---------------------------------------------------------------------------- what does not fit


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "gpt"}, "rnn or lstm or gru"),
        ({"attention": "cosine"}, "attention None, 'additive' or one of dot, general, concat"),
        ({"input_feeding": True}, "attention where there is input feeding"),
        ({"bidirectional": True, "hidden": 5}, "an even hidden size for two directions, got 5"),
        ({"eos": 1}, "pad, bos and eos to be three symbols of 8"),
        ({"pad": 8}, "pad, bos and eos to be three symbols of 8"),
    ],
)
def test_options_that_do_not_fit(options, message):
    with pytest.raises(ArgumentError, match=message):
        Seq2Seq(SOURCE, TARGET, E, **{"hidden": H, **options})


def test_inputs_that_do_not_fit():
    model, (source, target) = made(), pair()
    with pytest.raises(ShapeError, match=r"source of shape \(steps, B\), got \(6,\)"):
        model(source[:, 0], target)
    with pytest.raises(ShapeError, match=r"target of shape \(steps, 4\), got \(5, 3\)"):
        model(source, target[:, 1:])
    with pytest.raises(ShapeError, match=r"target of shape \(steps, 4\), got \(0, 4\)"):
        model(source, target[:0])
    with pytest.raises(ShapeError, match="lengths for 4 sequences"):
        model(source, target, LENGTHS[1:])
    with pytest.raises(OutOfRangeError, match="lengths in 1 … 6, got 7"):
        model(source, target, LENGTHS + 1)
    for share in (-0.1, 1.1, np.nan):
        with pytest.raises(ArgumentError, match=r"teacher_forcing in \[0, 1\]"):
            model(source, target, teacher_forcing=share)
    with pytest.raises(ArgumentError, match="length ≥ 1, got 0"):
        model.generate(source, length=0)
    with pytest.raises(ArgumentError, match="beams ≥ 1, got 0"):
        model.generate(source, beams=0)
    with pytest.raises(OutOfRangeError):
        model(source + 3, target)
