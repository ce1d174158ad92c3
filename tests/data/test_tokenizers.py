"""Tokenisers of characters and of byte pairs."""

import json
import sys
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_seq.data import BytePairTokenizer, CharTokenizer, SymbolVocabulary
from tinygrad_seq.errors import ArgumentError, DataError, MissingDependencyError, OutOfRangeError

TEXT = "the cat sat on the mat; the rat sat on the cat. That is that, said the cat.\n"
KINDS = [CharTokenizer, BytePairTokenizer]


@pytest.fixture
def byte_pairs():
    pytest.importorskip("tokenizers")


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def kind(request):
    if request.param is BytePairTokenizer:
        pytest.importorskip("tokenizers")
    return request.param


def make(kind, texts=(TEXT, TEXT)):
    return kind.train(texts, **({"size": 280} if kind is BytePairTokenizer else {}))


def test_text_comes_back(kind, tmp_path):
    tokenizer = make(kind)
    tokens = tokenizer.encode(TEXT, bos=True, eos=True)
    assert tokens.dtype == np.int64
    assert tokens[0] == tokenizer.bos == 1
    assert tokens[-1] == tokenizer.eos == 2
    assert tokenizer.decode(tokens) == TEXT
    assert tokens.max() < len(tokenizer)
    tokenizer.save(tmp_path / "tokens.json")
    again = kind.load(tmp_path / "tokens.json")
    assert again.encode(TEXT, bos=True, eos=True).tolist() == tokens.tolist()
    assert again.decode(tokens) == TEXT
    assert len(again) == len(tokenizer)


def test_decoding_stops_at_the_end_and_skips_padding(kind):
    tokenizer = make(kind)
    cat = tokenizer.encode("cat").tolist()
    assert tokenizer.decode([1, *cat, 0, 2, *cat, 0]) == "cat"
    assert tokenizer.decode([]) == ""
    with pytest.raises(OutOfRangeError, match="got 999"):
        tokenizer.decode([999])


def test_text_that_reads_like_a_special_symbol_is_text(kind, tmp_path):
    tokenizer = kind.train(["<pad><bos><eos><unk>"])
    tokenizer.save(tmp_path / "tokens.json")
    for one in (tokenizer, kind.load(tmp_path / "tokens.json")):
        tokens = one.encode("<bos>s<eos>")
        assert (tokens > 3).all()
        assert one.decode(tokens) == "<bos>s<eos>"


def test_the_same_texts_give_the_same_tokens(kind):
    assert make(kind).encode(TEXT).tolist() == make(kind).encode(TEXT).tolist()


def test_characters_beyond_the_training_text():
    tokenizer = CharTokenizer.train(["aab", "ac"], min_count=2)
    assert tokenizer.vocabulary.symbols == ("a",)
    assert tokenizer.encode("abé").tolist() == [4, 3, 3]
    assert tokenizer.decode([4, 3, 4]) == "a�a"


@cache
def trained():
    return make(BytePairTokenizer)


@given(st.text(max_size=30))
def test_no_text_is_unknown_to_byte_pairs(text):
    pytest.importorskip("tokenizers")
    tokenizer = trained()
    tokens = tokenizer.encode(text)
    assert tokenizer.decode(tokens) == text
    assert (tokens > 3).all()


def test_frequent_runs_become_one_token(byte_pairs):
    small, large = (BytePairTokenizer.train([TEXT] * 3, size) for size in (260, 300))
    assert len(small) == 260
    assert len(small.encode(TEXT)) == len(TEXT)  # nothing merged: a token a byte
    assert len(large.encode(TEXT)) < 0.5 * len(TEXT)
    assert len(large.encode(" the")) == 1
    assert len(BytePairTokenizer.train(["abcdefg"], 300)) == 260  # no pair occurs twice


def test_mistakes(kind, tmp_path):
    with pytest.raises(ArgumentError, match="a list of texts, got one text"):
        kind.train("text")
    with pytest.raises(DataError, match="some text to train on"):
        kind.train([""])
    with pytest.raises(DataError, match="expected a saved"):
        kind.load(tmp_path / "nowhere.json")
    for wrong in ("not json", "[]", json.dumps({"characters": 3}), json.dumps({"model": 3})):
        (tmp_path / "wrong.json").write_text(wrong)
        with pytest.raises(DataError, match=r"wrong.json"):
            kind.load(tmp_path / "wrong.json")


def test_what_is_no_tokenizer_of_ours(byte_pairs):
    from tokenizers import Tokenizer, models

    with pytest.raises(DataError, match=r"first tokens are <pad>, <bos>, <eos>, <unk>"):
        BytePairTokenizer(Tokenizer(models.BPE()))
    with pytest.raises(ArgumentError, match="size ≥ 260, got 100"):
        BytePairTokenizer.train([TEXT], 100)
    with pytest.raises(DataError, match="a vocabulary of characters"):
        CharTokenizer(SymbolVocabulary(("ab",)))
    for wrong in ("\ud800", None):
        with pytest.raises(DataError, match="encode: expected text, got"):
            trained().encode(wrong)


def test_without_the_library_the_message_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    for call in (lambda: make(BytePairTokenizer), lambda: BytePairTokenizer.load(tmp_path / "x")):
        with pytest.raises(MissingDependencyError, match=r"tinygrad-seq\[tokenizers\]"):
            call()
    assert CharTokenizer.train(["a"]).encode("a").tolist() == [4]
