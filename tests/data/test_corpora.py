"""The text data sets: as published, and read from small files."""

import datetime

from tinygrad_seq.data import Vocabulary, addition, dates, names, tiny_shakespeare


def test_tiny_shakespeare_as_published(real_data):
    text = tiny_shakespeare()
    assert len(text) == 1_115_394
    assert len(Vocabulary.of(text)) == 65
    assert text.startswith("First Citizen:\nBefore we proceed any further, hear me speak.\n")


def test_names_as_published(real_data):
    found = names()
    assert len(found) == 32_033
    assert found[:3] == ["emma", "olivia", "ava"]
    assert found[-1] == "zzyzx"
    assert Vocabulary.of("".join(found)).characters == "abcdefghijklmnopqrstuvwxyz"
    assert (min(map(len, found)), max(map(len, found))) == (2, 15)


def test_the_published_sums_are_right(real_data):
    found = addition()
    assert len(found) == 50_000
    assert found[0] == ("16+75", "91")
    for question, answer in found:
        assert sum(map(int, question.split("+"))) == int(answer)
    assert max(len(question) for question, _ in found) == 7
    assert max(len(answer) for _, answer in found) == 4


def test_the_published_dates_are_dates(real_data):
    found = dates()
    assert len(found) == 50_000
    assert found[0] == ("september 27, 1994", "1994-09-27")
    assert found[2] == ("2/10/93", "1993-02-10")
    for free, iso in found:
        day = datetime.date.fromisoformat(iso)
        assert f"{day.year % 100:02}" in free
    assert max(len(free) for free, _ in found) == 29


def test_small_files_are_read_alike(planted):
    planted("tiny shakespeare", b"To be\nor not\n")
    planted("names", b"emma\nava\nzoe")
    planted("addition", b"16+75  _91  \n999+999_1998\n")
    planted("dates", b"2/10/93                      _1993-02-10\nMONDAY, MAY 1, 2000_2000-05-01\n")
    assert tiny_shakespeare() == "To be\nor not\n"
    assert names() == ["emma", "ava", "zoe"]
    assert addition() == [("16+75", "91"), ("999+999", "1998")]
    assert dates() == [("2/10/93", "1993-02-10"), ("MONDAY, MAY 1, 2000", "2000-05-01")]
