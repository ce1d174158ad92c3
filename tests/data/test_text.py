"""Reading text, and characters as numbers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_seq.data import Vocabulary, find_file, fingerprint, python_topics, read_text, split
from tinygrad_seq.errors import DataError, OutOfRangeError


@given(st.text(min_size=1))
def test_every_text_survives_encoding_and_decoding(text):
    vocabulary = Vocabulary.of(text)
    tokens = vocabulary.encode(text)
    assert len(vocabulary) == len(set(text))
    assert tokens.shape == (len(text),)
    assert vocabulary.decode(tokens) == text


def test_tokens_follow_the_order_of_code_points():
    vocabulary = Vocabulary.of("héllo 𝄞")
    assert vocabulary.characters == " hloé𝄞"
    assert vocabulary.encode("hé𝄞").tolist() == [1, 4, 5]


@pytest.mark.parametrize("unknown", ["a", "~", "é", "𝄞"])
def test_an_unknown_character_is_named_with_its_place(unknown):
    with pytest.raises(OutOfRangeError, match=r"at position 2 .* 4 that the model knows"):
        Vocabulary.of("hello").encode(f"he{unknown}")


@pytest.mark.parametrize("token", [-1, 4])
def test_a_token_out_of_range_is_refused(token):
    with pytest.raises(OutOfRangeError, match=r"tokens in \[0, 4\)"):
        Vocabulary.of("hello").decode(np.array([0, token]))


@pytest.mark.parametrize("characters", ["", "ba", "aa"])
def test_a_vocabulary_has_distinct_characters_in_order(characters):
    with pytest.raises(DataError, match="distinct characters in order"):
        Vocabulary(characters)


def test_the_last_tenth_is_held_out():
    train, validation = split(np.arange(105))
    assert train.tolist() == list(range(95))
    assert validation.tolist() == list(range(95, 105))


def test_python_carries_a_text_worth_learning():
    text = python_topics()
    assert len(text) > 300_000
    assert "The assignment statement" in text or "assignment" in text
    assert fingerprint(text) == fingerprint(python_topics())


def test_reading_drops_the_byte_order_mark_and_carriage_returns(tmp_path):
    file = tmp_path / "a.txt"
    file.write_bytes("\ufeffé\r\nb\r".encode())
    assert read_text(file) == "é\nb\r"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b"ab\x00c", "binary file"),
        (b"ab\xffc", "expected UTF-8 text, got byte 0xff at 2"),
    ],
)
def test_what_is_no_text_is_refused(tmp_path, content, message):
    file = tmp_path / "a.txt"
    file.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_text(file)


def test_a_folder_is_no_text(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        read_text(tmp_path)


def test_a_file_is_looked_for_in_the_data_folder(tmp_path, monkeypatch):
    (tmp_path / "verse.txt").write_text("abc")
    monkeypatch.setenv("TINYGRAD_SEQ_DATA", str(tmp_path))
    assert find_file("verse.txt") == tmp_path / "verse.txt"
    with pytest.raises(DataError, match=r"no file 'prose.txt' .* nor in"):
        find_file("prose.txt")


def test_without_a_data_folder_the_message_names_the_variable(monkeypatch):
    monkeypatch.delenv("TINYGRAD_SEQ_DATA", raising=False)
    with pytest.raises(DataError, match="TINYGRAD_SEQ_DATA is not set"):
        read_text("no such file.txt")
