"""Vocabularies of symbols, and batches of pairs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_seq as tg
from tinygrad_seq import nn, ops
from tinygrad_seq.backend import Generator
from tinygrad_seq.data import SPECIAL, SymbolVocabulary, collate, pair_batches
from tinygrad_seq.errors import ArgumentError, DataError, OutOfRangeError, ShapeError

WORDS = st.lists(st.text("abcdé ", min_size=1, max_size=3), max_size=6)


@given(st.lists(WORDS, max_size=5), st.booleans(), st.booleans())
def test_what_is_encoded_is_decoded(sequences, bos, eos):
    vocabulary = SymbolVocabulary.of(sequences)
    for words in sequences:
        tokens = vocabulary.encode(words, bos, eos)
        assert tokens.dtype == np.int64
        assert tokens.tolist()[:bos] == [1] * bos
        assert tokens.tolist()[len(tokens) - eos :] == [2] * eos
        assert (tokens[int(bos) : len(tokens) - eos] >= len(SPECIAL)).all()
        assert vocabulary.decode(tokens) == words
    if sequences:
        data, lengths = vocabulary.encode_batch(sequences, bos, eos)
        assert lengths.tolist() == [len(s) + bos + eos for s in sequences]
        assert vocabulary.decode_batch(data) == sequences


def test_the_frequent_come_first_and_the_rare_are_left_out():
    texts = ["banana", "bandana", "cab"]  # a 7, n 4, b 3, c 1, d 1
    assert SymbolVocabulary.of(texts).symbols == tuple("anbcd")
    assert SymbolVocabulary.of(texts, min_count=3).symbols == tuple("anb")
    assert SymbolVocabulary.of(texts, size=6).symbols == tuple("an")
    assert len(SymbolVocabulary.of(texts, size=6)) == 6
    counted = SymbolVocabulary.from_counts({"x": 2, "y": 5, "z": 1, "<pad>": 9}, 2)
    assert counted.symbols == ("y", "x")
    assert "y" in counted
    assert "z" not in counted


def test_special_symbols_have_fixed_tokens_and_text_cannot_claim_them():
    vocabulary = SymbolVocabulary(("a", "b"))
    assert (vocabulary.pad, vocabulary.bos, vocabulary.eos, vocabulary.unk) == (0, 1, 2, 3)
    assert vocabulary.encode(["a", "?", "<eos>", "b"]).tolist() == [4, 3, 3, 5]
    assert vocabulary.decode([1, 4, 3, 0, 5, 2, 4]) == ["a", "<unk>", "b"]
    assert SymbolVocabulary.of([["<pad>", "a"]]).symbols == ("a",)


def test_tensors_are_decoded_too(device):
    vocabulary = SymbolVocabulary(("a", "b"))
    assert vocabulary.decode(tg.tensor([4, 5, 2], device=device)) == ["a", "b"]
    columns = tg.tensor([[4, 5], [2, 5]], device=device)
    assert vocabulary.decode_batch(columns) == [["a"], ["b", "b"]]


def test_mistakes():
    with pytest.raises(DataError, match=r"distinct symbols.*\['a'\]"):
        SymbolVocabulary(("a", "a"))
    with pytest.raises(DataError, match="<eos>"):
        SymbolVocabulary(("<eos>",))
    with pytest.raises(ArgumentError, match="min_count ≥ 1, got 0"):
        SymbolVocabulary.of(["a"], min_count=0)
    with pytest.raises(ArgumentError, match="size ≥ 4, got 3"):
        SymbolVocabulary.of(["a"], size=3)
    with pytest.raises(OutOfRangeError, match=r"tokens in \[0, 5\), got 5"):
        SymbolVocabulary(("a",)).decode([4, 5])
    with pytest.raises(ArgumentError, match="integer tokens of 1 axis, got float64"):
        SymbolVocabulary(("a",)).decode(np.zeros(2))
    with pytest.raises(ArgumentError, match="of 2 axes"):
        SymbolVocabulary(("a",)).decode_batch([4, 4])


# ---------------------------------------------------------------------- pairs

PAIRS = [([4, 5, 6], [7]), ([8], [9, 9, 4]), ([], [])]


def test_the_decoder_reads_what_it_had_to_say_before():
    batch = collate(PAIRS)
    assert batch.source.T.tolist() == [[4, 5, 6], [8, 0, 0], [0, 0, 0]]
    assert batch.target_in.T.tolist() == [[1, 7, 0, 0], [1, 9, 9, 4], [1, 0, 0, 0]]
    assert batch.target_out.T.tolist() == [[7, 2, 0, 0], [9, 9, 4, 2], [2, 0, 0, 0]]
    assert batch.source_lengths.tolist() == [3, 1, 0]
    assert batch.target_lengths.tolist() == [2, 4, 1]
    assert batch.source.dtype == batch.target_in.dtype == np.int64
    assert len(batch) == 3


def test_masks_say_where_the_symbols_are():
    batch = collate(PAIRS)
    np.testing.assert_array_equal(batch.source_mask, batch.source != 0)
    np.testing.assert_array_equal(batch.target_mask, batch.target_out != 0)
    np.testing.assert_array_equal(batch.target_padding, (batch.target_in == 0).T)
    np.testing.assert_array_equal(batch.source_padding, (batch.source == 0).T)


def test_sources_are_reversed_within_their_length():
    assert collate(PAIRS, reverse=True).source.T.tolist() == [[6, 5, 4], [8, 0, 0], [0, 0, 0]]
    np.testing.assert_array_equal(collate(PAIRS, True).target_in, collate(PAIRS).target_in)


def test_an_epoch_has_every_pair_once_beside_others_of_its_length():
    rng = np.random.default_rng(0)
    pairs = [
        (rng.integers(4, 9, n), rng.integers(4, 9, m)) for n, m in rng.integers(1, 20, (50, 2))
    ]
    found, padding = [], []
    for batch in pair_batches(pairs, 6, Generator(0), pool=9):
        assert len(batch) <= 6
        padding.append(batch.source_padding.mean())
        for b, (n, m) in enumerate(zip(batch.source_lengths, batch.target_lengths, strict=True)):
            found.append((*batch.source[:n, b], -1, *batch.target_out[: m - 1, b]))
    assert sorted(found) == sorted((*s, -1, *t) for s, t in pairs)
    apart = [batch.source_padding.mean() for batch in pair_batches(pairs, 6, Generator(0), pool=1)]
    assert np.mean(padding) < 0.5 * np.mean(apart)
    again = [batch.source.tolist() for batch in pair_batches(pairs, 6, Generator(0), pool=9)]
    assert again == [b.source.tolist() for b in pair_batches(pairs, 6, Generator(0), pool=9)]


def test_padding_reaches_neither_loss_nor_gradient(device):
    """With ``ignore_index`` the smoothed cross entropy of a batch is that of its sequences."""
    batch = collate(PAIRS).map(lambda a: tg.tensor(a, device=device))
    logits = np.random.default_rng(0).standard_normal((*batch.target_out.shape, 10))
    x = tg.tensor(logits, device=device, requires_grad=True)
    loss_of = nn.CrossEntropyLoss(ignore_index=0, label_smoothing=0.1, reduction="sum")
    loss = loss_of(x.reshape(-1, 10), batch.target_out.reshape(-1))
    loss.backward()
    alone = sum(
        ops.cross_entropy(logits[: len(t) + 1, b], np.array([*t, 2]), reduction="sum",
                          label_smoothing=0.1)
        for b, (_, t) in enumerate(PAIRS)
    )  # fmt: skip
    assert loss.item() == pytest.approx(alone, rel=1e-12)
    np.testing.assert_array_equal(x.grad.numpy()[~batch.target_mask], 0)


def test_mistakes_in_pairs():
    with pytest.raises(ArgumentError, match="one pair or more, got none"):
        collate([])
    with pytest.raises(ShapeError, match=r"\(2, 1\).* at 1"):
        collate([([1], [2]), ([[1], [2]], [3])])
