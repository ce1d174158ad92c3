"""Writing symbol by symbol: greedy, by chance, by beam search, against enumeration of all texts."""

from itertools import product
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_seq as tg
from tinygrad_seq import nn, ops
from tinygrad_seq.backend import Generator
from tinygrad_seq.errors import ArgumentError, DTypeError, OutOfRangeError, ShapeError
from tinygrad_seq.models import CharLM
from tinygrad_seq.models.beam_search import beam_search, reordered
from tinygrad_seq.models.decoding import best, greedy, probabilities, sample, sampler, stream

PAD, BOS, EOS = 0, 1, 2


class Oracle:
    """A model of V symbols whose logits depend on all that was read, by way of a number (B,)."""

    def __init__(self, symbols, seed=0, sharp=2.0, levels=None):
        rng = np.random.default_rng(seed)
        self.table = sharp * rng.standard_normal((997, symbols))
        if levels:  # few values: many symbols equally likely
            self.table = np.round(self.table * levels) / levels
        self.symbols = symbols

    def __call__(self, tokens, state):
        state = (0 if state is None else state) * 31 + tokens + 1
        state = tg.tensor(state.numpy() % 997, device=tokens.device)
        return tg.tensor(self.table, device=tokens.device)[state], state

    def log_p(self, text, never=()):
        """ln p of each symbol of a text after BOS, over the symbols not in ``never``."""
        total, state = [], 0
        for before, symbol in zip([BOS, *text], text, strict=False):
            state = (state * 31 + before + 1) % 997
            logits = self.table[state].copy()
            logits[list(never)] = -np.inf
            total.append(
                logits[symbol] - logits.max() - np.log(np.exp(logits - logits.max()).sum())
            )
        return total


def texts(symbols, length, never):
    """All texts that end with EOS or have ``length`` symbols."""
    free = [i for i in range(symbols) if i not in (*never, EOS)]
    found = [(*body, EOS) for n in range(length) for body in product(free, repeat=n)]
    return found + list(product(free, repeat=length))


def trimmed(column):
    """A column of tokens without what comes after its end."""
    listed = list(column)
    return tuple(listed[: listed.index(EOS) + 1] if EOS in listed else listed)


OPTIONS = {"eos": EOS, "pad": PAD, "forbidden": (BOS,)}

# ---------------------------------------------------------------------- beam search


@pytest.mark.parametrize("alpha", [0.0, 0.6, 2.0])
@pytest.mark.parametrize("seed", range(3))
def test_a_wide_beam_finds_all_texts_in_order(alpha, seed, device):
    V, T = 5, 3
    model = Oracle(V, seed)
    start = tg.tensor([BOS, BOS], device=device)
    found = beam_search(model, start, length=T, beams=V**T, alpha=alpha, **OPTIONS)
    every = texts(V, T, (PAD, BOS))
    scored = sorted(
        ((sum(model.log_p(t, (PAD, BOS))) / ((5 + len(t)) / 6) ** alpha, t) for t in every),
        reverse=True,
    )
    for b in range(2):
        said = [trimmed(found.tokens[:, b, k]) for k in range(len(every))]
        assert said == [text for _, text in scored]
        np.testing.assert_allclose(
            found.scores[b, : len(every)], [s for s, _ in scored], rtol=1e-12
        )
        assert (found.scores[b, len(every) :] == -np.inf).all()
        assert (found.tokens[:, b, len(every) :] == PAD).all()
        total = np.exp(found.log_probs[b]).sum()
        assert total == pytest.approx(1, rel=1e-12)  # the texts are all there are


@given(V=st.integers(3, 6), T=st.integers(0, 6), seed=st.integers(0, 99), ties=st.booleans())
def test_one_beam_is_greedy(V, T, seed, ties):
    model = Oracle(V, seed, levels=1 if ties else None)
    start = np.array([BOS, EOS, BOS + seed % 2])
    found = beam_search(model, start, length=T, beams=1, **OPTIONS)
    np.testing.assert_array_equal(found.tokens[:, :, 0], greedy(model, start, length=T, **OPTIONS))


def test_more_beams_find_better_texts():
    better = 0
    for seed in range(20):
        model = Oracle(8, seed, sharp=1.0)
        best_scores = [
            beam_search(model, [BOS], length=6, beams=k, alpha=0.6, **OPTIONS).scores[0, 0]
            for k in (1, 4, 100)
        ]
        better += best_scores[0] < best_scores[2]
        assert best_scores[2] >= best_scores[0] - 1e-12
    assert better > 10


def test_scores_are_those_of_the_texts():
    model = Oracle(7, 3)
    found = beam_search(model, [BOS, 3], length=5, beams=3, alpha=0.8, **OPTIONS)
    for k in range(3):
        text = trimmed(found.tokens[:, 0, k])
        log_p = sum(model.log_p(text, (PAD, BOS)))
        assert found.log_probs[0, k] == pytest.approx(log_p, rel=1e-12)
        expected = log_p / ((5 + len(text)) / 6) ** 0.8
        assert found.scores[0, k] == pytest.approx(expected, rel=1e-12)
    assert (np.diff(found.scores, axis=1) <= 0).all()


def test_the_length_penalty_by_hand():
    """A text of 1 with p = 0.4 against one of 3 with p = 0.6·0.6·1: the penalty turns them."""
    table = np.log(
        np.array([[1e-9, 1e-9, 0.4, 0.6], [1e-9, 1e-9, 0.4, 0.6], [1e-9, 1e-9, 1, 1e-9]])
    )

    def step(tokens, state):
        state = 0 if state is None else state[0, 0].item() + 1
        logits = table[np.full(len(tokens.numpy()), state)]
        return tg.tensor(logits), tg.tensor(np.full((len(logits), 1), state))

    for alpha, expected in [(0.0, [2]), (0.6, [3, 3, 2])]:
        found = beam_search(step, [BOS], length=3, beams=4, alpha=alpha, **OPTIONS)
        assert list(trimmed(found.tokens[:, 0, 0])) == expected
    ended = np.log(0.36) / (8 / 6) ** 0.6
    assert found.scores[0, 0] == pytest.approx(ended, rel=1e-6)


def test_rows_are_searched_by_themselves(device):
    model = Oracle(6, 5)
    starts = [BOS, 3, 4, 5]
    start = tg.tensor(starts, device=device)
    together = beam_search(model, start, length=5, beams=3, **OPTIONS)
    for b, alone in enumerate(starts):
        found = beam_search(model, [alone], length=5, beams=3, **OPTIONS)
        for k in range(3):
            assert trimmed(together.tokens[:, b, k]) == trimmed(found.tokens[:, 0, k])
        np.testing.assert_allclose(together.scores[b], found.scores[0], rtol=1e-12)


def test_the_search_stops_when_all_have_ended():
    calls = []

    def step(tokens, state):
        calls.append(len(tokens))
        logits = np.full((len(tokens), 4), -1.0)
        logits[:, EOS] = 9.0
        return tg.tensor(logits), None

    found = beam_search(step, [BOS, BOS], length=50, beams=2, **OPTIONS)
    assert len(calls) == 2  # one for EOS, one for what is best but EOS, and then EOS
    assert calls[0] == 4
    assert found.tokens.shape == (2, 2, 2)
    calls.clear()
    assert greedy(step, [BOS, BOS], length=50, **OPTIONS).tolist() == [[EOS, EOS]]
    assert len(calls) == 1


# ---------------------------------------------------------------------- real models with a state


def recomputed(model):
    """The step of a model that reads all from the start each time; its state is what it read."""

    def step(tokens, state):
        state = tokens[None] if state is None else ops.concatenate([state, tokens[None]])
        return model(state)[0][-1], state

    return step


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_recurrent_states_follow_their_beams(kind, device):
    """States (layers, B, H): the rows are on axis 1."""
    tg.manual_seed(3)
    model = CharLM(6, 4, 5, kind, layers=2, device=device, dtype=np.float64)
    with tg.no_grad():
        for p in model.parameters():
            p.copy_(3 * p)  # so that there is something to choose

    def step(tokens, state):
        logits, state = model(tokens[None], state)
        return logits[0], state

    start = tg.tensor([BOS, 4], device=device)
    state = model(start[None], None)[1]
    told = beam_search(step, start, state, length=6, beams=3, batch_axis=1, **OPTIONS)
    expected = beam_search(recomputed(model), start, start[None], length=6, beams=3, batch_axis=1,
                           **OPTIONS)  # fmt: skip
    np.testing.assert_array_equal(told.tokens, expected.tokens)
    np.testing.assert_allclose(told.scores, expected.scores, rtol=1e-10)


class Attentive(nn.Module):
    """Embedding, causal attention, read-out: (T, B) → (T, B, V)."""

    def __init__(self, device):
        super().__init__()
        where = {"device": device, "dtype": np.float64}
        self.embedding = nn.Embedding(6, 8, **where)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=False, **where)
        self.head = nn.Linear(8, 6, **where)

    def forward(self, tokens, cache=None):
        x = self.embedding(tokens)
        h, _ = self.attention(x, x, x, need_weights=False, is_causal=True, cache=cache,
                              attn_mask=None)  # fmt: skip
        return 8 * self.head(h), cache


def test_caches_follow_their_beams(device):
    tg.manual_seed(4)
    model = Attentive(device).eval()

    def step(tokens, cache):
        logits, cache = model(tokens[None], cache)
        return logits[0], cache

    start = tg.tensor([BOS, 4], device=device)
    told = beam_search(step, start, nn.KVCache(), length=6, beams=3, **OPTIONS)
    plain = recomputed(lambda tokens: model(tokens, nn.KVCache()))
    expected = beam_search(plain, start, length=6, beams=3, batch_axis=1, **OPTIONS)
    np.testing.assert_array_equal(told.tokens, expected.tokens)
    np.testing.assert_allclose(told.scores, expected.scores, rtol=1e-10)
    cached = sample(step, start, nn.KVCache(), length=9, generator=Generator(1))
    np.testing.assert_array_equal(cached, sample(plain, start, length=9, generator=Generator(1)))


class Pair(NamedTuple):
    a: object
    b: object


def test_states_are_reordered_in_depth(device):
    x = np.arange(6.0).reshape(3, 2)
    rows = np.array([2, 2, 0])
    state = Pair([tg.tensor(x, device=device), None], {"k": (tg.tensor(x.T, device=device),)})
    found = reordered(state, rows, (0, 1))
    assert isinstance(found, Pair)
    np.testing.assert_array_equal(found.a[0].numpy(), x[rows])
    assert found.a[1] is None
    np.testing.assert_array_equal(found.b["k"][0].numpy(), x[rows].T)
    found = reordered(state, rows, Pair(0, {"k": (1,)}))
    np.testing.assert_array_equal(found.b["k"][0].numpy(), x[rows].T)
    with pytest.raises(ArgumentError, match=r"has select\(rows\), got int"):
        reordered((3,), rows)
    with pytest.raises(ArgumentError, match="1 axes"):
        reordered((state,), rows, (0, 1))


# ---------------------------------------------------------------------- chance


def test_all_symbols_allowed_is_plain_sampling():
    model = Oracle(9, 1, sharp=1.0)
    start = [BOS] * 50
    plain = sample(model, start, length=8, generator=Generator(0))
    for options in ({"top_k": 9}, {"top_k": 100}, {"top_p": 1.0}, {"top_k": 9, "top_p": 1.0}):
        again = sample(model, start, length=8, generator=Generator(0), **options)
        np.testing.assert_array_equal(again, plain)
    assert len(np.unique(plain)) == 9
    assert (sample(model, start, length=8, generator=Generator(1)) != plain).any()


# 99.9 % of a χ² of 1, 2, … degrees of freedom stay below
CHI2 = {1: 10.83, 2: 13.82, 3: 16.27, 4: 18.47, 5: 20.52, 6: 22.46, 7: 24.32}


@pytest.mark.parametrize("options", [
    {}, {"temperature": 0.5}, {"temperature": 2.0}, {"top_k": 3}, {"top_p": 0.7},
    {"temperature": 1.5, "top_k": 6, "top_p": 0.9},
], ids=str)  # fmt: skip
def test_symbols_come_as_often_as_they_should(options):
    """By a formula written anew: sort, cut, divide."""
    logits = np.array([0.3, 2.0, -1.0, 1.2, 0.0, 1.9, -0.5, 0.8])
    p = np.exp(logits / options.get("temperature", 1.0))
    order = sorted(range(8), key=lambda i: -p[i])[: options.get("top_k", 8)]
    mass, kept = 0.0, []
    for i in order:
        if mass < options.get("top_p", 2.0) * sum(p[j] for j in order):
            kept.append(i)
            mass += p[i]
    n = 20000
    drawn = sampler(**options, generator=Generator(0))(np.tile(logits, (n, 1)))
    counts = np.bincount(drawn, minlength=8)
    assert set(np.flatnonzero(counts)) == set(kept)
    expected = n * p[kept] / mass
    assert ((counts[kept] - expected) ** 2 / expected).sum() < CHI2[len(kept) - 1]
    assert len(kept) < 8 or not {"top_k", "top_p"} & set(options)


def test_whole_texts_come_as_often_as_they_should():
    """With an end, padding and a forbidden symbol: p(text) of beam search is that of sampling."""
    model, n = Oracle(5, 2, sharp=0.7), 20000
    drawn = sample(model, [BOS] * n, length=2, generator=Generator(3), **OPTIONS)
    said = [trimmed(column) for column in drawn.T]
    every = texts(5, 2, (PAD, BOS))
    assert set(said) <= set(every)
    expected = {t: n * np.exp(sum(model.log_p(t, (PAD, BOS)))) for t in every}
    assert sum(expected.values()) == pytest.approx(n)
    assert len(every) - 1 == 6
    assert sum((said.count(t) - e) ** 2 / e for t, e in expected.items()) < CHI2[6]


@given(V=st.integers(1, 8), k=st.integers(1, 9), p=st.floats(0.01, 1), seed=st.integers(0, 99),
       ties=st.booleans())  # fmt: skip
def test_the_fewest_likeliest_symbols_that_sum_to_p(V, k, p, seed, ties):
    logits = np.random.default_rng(seed).standard_normal((1, V))
    logits = np.round(logits) if ties else logits
    full, few = probabilities(logits)[0], probabilities(logits, top_k=k)[0]
    assert (few > 0).sum() == min(k, V)
    assert few[few > 0].min() / few.max() == pytest.approx(full[few > 0].min() / full.max())
    assert full[few > 0].min() >= full[few == 0].max(initial=0)
    core = probabilities(logits, top_p=p)[0]
    kept = np.sort(full[core > 0])
    assert kept.sum() >= p - 1e-12
    assert kept[1:].sum() < p
    assert kept.min() >= full[core == 0].max(initial=0)
    assert few.sum() == pytest.approx(1)
    assert core.sum() == pytest.approx(1)


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 99))
def test_the_best_of_a_row_are_in_order_the_first_of_equals_first(n, k, seed):
    rows = np.random.default_rng(seed).integers(0, 4, (3, n)).astype(float)
    rows[rows == 0] = -np.inf
    k = min(n, k)
    np.testing.assert_array_equal(best(rows, k), np.argsort(-rows, axis=1, kind="stable")[:, :k])


@pytest.mark.parametrize(("u", "first", "last"), [(0.0, 1, 1), (0.4, 1, 2), (1 - 2**-53, 2, 2)])
def test_the_ends_of_chance_fall_on_symbols_that_can_come(u, first, last):
    class Fixed(Generator):
        def uniform(self, shape, dtype=np.float64):
            return np.full(shape, u, dtype)

    logits = np.log([[1e-300, 0.3, 0.2, 1e-300], [1e-300, 0.001, 0.3, 1e-300]])
    logits[logits < -600] = -np.inf
    assert sampler(generator=Fixed())(logits).tolist() == [first, last]
    for scale in (3.0, 0.7, 1e-3):
        p = np.random.default_rng(0).random((200, 5)) * scale
        p[:, -1] = 0
        assert sampler(generator=Fixed())(np.log(p, where=p > 0, out=p - np.inf)).max() < 4


def test_no_temperature_is_greedy_and_little_is_nearly():
    model = Oracle(9, 1)
    start = [BOS, 3, 4]
    expected = greedy(model, start, length=8)
    for cold in (0.0, 1e-5, 1e-320):
        np.testing.assert_array_equal(sample(model, start, length=8, temperature=cold), expected)
    np.testing.assert_array_equal(sample(model, start, length=8, top_k=1), expected)
    np.testing.assert_array_equal(sample(model, start, length=8, top_p=1e-9), expected)


def test_the_same_seed_gives_the_same_text_on_every_device(device):
    tg.manual_seed(0)
    model = CharLM(9, 6, 7, "lstm", dtype=np.float32)
    there = CharLM(9, 6, 7, "lstm", device=device, dtype=np.float32)
    there.load_state_dict({k: v.to(device) for k, v in model.state_dict().items()})

    def written(m, where):
        def step(tokens, state):
            logits, state = m(tokens[None], state)
            return logits[0], state

        start = tg.tensor([BOS] * 8, device=where)
        return sample(step, start, length=40, top_k=7, top_p=0.95, generator=Generator(5))

    np.testing.assert_array_equal(written(there, device), written(model, "cpu"))


def test_chance_does_not_depend_on_which_rows_have_ended():
    model = Oracle(6, 0)
    start = [BOS] * 4
    free = sample(model, start, length=10, generator=Generator(0))
    ended = sample(model, start, length=10, generator=Generator(0), eos=EOS)
    for a, b in zip(free.T, ended.T, strict=True):
        assert trimmed(a)[: len(trimmed(b))] == trimmed(b)
    assert (ended[-1] == EOS).any()


def test_a_stream_gives_the_symbols_as_they_come():
    model = Oracle(6, 0)
    options = {"length": 6, **OPTIONS}
    pieces = stream(model, [BOS, 3], choose=sampler(generator=Generator(2)), **options)
    first = next(pieces)
    expected = sample(model, [BOS, 3], generator=Generator(2), **options)
    np.testing.assert_array_equal([first, *pieces], expected)


# ---------------------------------------------------------------------- ends and what is forbidden


@given(st.data())
def test_nothing_forbidden_is_ever_said_and_after_the_end_is_padding(data):
    V = data.draw(st.integers(3, 7))
    pad, eos, bos, other = data.draw(st.lists(st.integers(0, V - 1), min_size=4, max_size=4))
    forbidden = {i for i in (bos, other) if i != eos and i != pad}
    if len({*forbidden, pad, eos}) >= V:
        forbidden = set()
    seed, T = data.draw(st.integers(0, 99)), data.draw(st.integers(1, 6))
    model = Oracle(V, seed, sharp=data.draw(st.sampled_from([0.0, 1.0, 30.0])))
    start = np.full(3, bos)
    options = {"length": T, "eos": eos, "pad": pad, "forbidden": sorted(forbidden)}
    how = data.draw(st.sampled_from(["greedy", "plain", "top_k", "top_p", "beams"]))
    if how == "greedy":
        found = greedy(model, start, **options)
    elif how == "beams":
        found = beam_search(model, start, beams=data.draw(st.integers(1, 9)), **options).tokens
        found = found.reshape(len(found), -1)
    else:
        more = {"plain": {}, "top_k": {"top_k": V - 1}, "top_p": {"top_p": 0.99}}[how]
        found = sample(model, start, generator=Generator(seed), **more, **options)
    assert len(found) <= T
    for column in found.T.tolist():
        n = column.index(eos) if eos in column else len(column)
        if how == "beams" and n == len(column) and pad in column:  # no text at all: all padding
            assert set(column) == {pad}
            continue
        assert not {*column[:n]} & {*forbidden, *({pad} - {eos})}
        assert set(column[n + 1 :]) <= {pad}


def test_without_a_pad_the_end_is_repeated():
    def step(tokens, state):
        state = 0 if state is None else state + 1
        logits = np.zeros((2, 4))
        logits[0, 3 if state < 1 else EOS] = logits[1, 3 if state < 3 else EOS] = 5
        return tg.tensor(logits), state

    assert greedy(step, [BOS, BOS], length=9, eos=EOS).T.tolist() == [[3, 2, 2, 2], [3, 3, 3, 2]]
    padded = greedy(step, [BOS, BOS], length=9, eos=EOS, pad=PAD)
    assert padded.T.tolist() == [[3, 2, 0, 0], [3, 3, 3, 2]]
    assert greedy(step, [BOS, BOS], length=6).T.tolist() == [[3] + [2] * 5, [3] * 3 + [2] * 3]


def test_nothing_is_recorded():
    model = CharLM(6, 4, 5)
    seen = []

    def step(tokens, state):
        logits, state = model(tokens[None], state)
        seen.append(logits.requires_grad)
        return logits[0], state

    greedy(step, [BOS], length=3)
    beam_search(step, [BOS], length=3, batch_axis=1, **OPTIONS)
    assert seen == [False] * len(seen)
    assert len(seen) >= 4


def test_mistakes():
    model = Oracle(5)
    for call, error, message in [
        (lambda: greedy(model, [BOS], length=-1), ArgumentError, "length ≥ 0, got -1"),
        (lambda: greedy(model, 1, length=1), ShapeError, r"start of shape \(B,\)"),
        (lambda: greedy(model, [1.0], length=1), DTypeError, "start of integers"),
        (lambda: greedy(model, [1], length=1, pad=0), ArgumentError, "an eos where there is a pad"),
        (lambda: greedy(model, [1], length=1, eos=5), OutOfRangeError, r"\[0, 5\), got \[5\]"),
        (lambda: greedy(model, [1], length=1, forbidden=[-1]), OutOfRangeError, r"got \[-1\]"),
        (lambda: greedy(model, [1], length=1, eos=2, forbidden=[2]), ArgumentError, "an eos"),
        (lambda: greedy(model, [1], length=1, forbidden=range(5)), ArgumentError, "a finite logit"),
        (lambda: sample(model, [1], length=1, temperature=-1), ArgumentError, "temperature ≥ 0"),
        (lambda: sample(model, [1], length=1, top_k=0), ArgumentError, "top_k ≥ 1, got 0"),
        (lambda: sample(model, [1], length=1, top_p=0.0), ArgumentError, r"top_p in \(0, 1\]"),
        (lambda: beam_search(model, [1], length=1, eos=2, beams=0), ArgumentError, "beams ≥ 1"),
        (lambda: beam_search(model, [1], length=1, eos=None), ArgumentError, "an eos"),
        (lambda: beam_search(model, [1], length=1, eos=2, alpha=np.nan), ArgumentError, "alpha"),
    ]:  # fmt: skip
        with pytest.raises(error, match=message):
            call()
    nan = tg.tensor(np.full((1, 5), np.nan))
    with pytest.raises(ArgumentError, match="no NaN"):
        greedy(lambda tokens, state: (nan, state), [1], length=1)
    with pytest.raises(ShapeError, match=r"logits \(2, V\)"):
        greedy(lambda tokens, state: (nan, state), [1, 1], length=1)
