"""Text data sets: a play to go on writing, names to invent, sums and dates to translate.

Every loader raises what ``fetch`` raises.
"""

from __future__ import annotations

from tinygrad_seq.data.fetch import fetch


def tiny_shakespeare() -> str:
    """1,115,394 characters, 65 different ones, from the plays of Shakespeare.

    Source: Karpathy, char-rnn (2015). ``split(tokens, 0.1)`` is the customary division.
    """
    return fetch("tiny shakespeare").decode()


def names() -> list[str]:
    """32,033 given names, in lower case. Source: Karpathy, makemore (2022)."""
    return fetch("names").decode().splitlines()


def addition() -> list[tuple[str, str]]:
    """50,000 sums of two numbers below 1000 as (question, answer): ``("16+75", "91")``.

    The spaces that pad them in the file are taken off: 7 characters hold every question, 4 every
    answer. Source: Saitoh, Deep Learning from Scratch 2 (2018).
    """
    return _pairs("addition")


def dates() -> list[tuple[str, str]]:
    """50,000 dates as (as people write them, ISO 8601): ``("2/10/93", "1993-02-10")``.

    The spaces that pad them in the file are taken off: 29 characters hold every one of the first,
    10 of the second. Source: Saitoh, Deep Learning from Scratch 2 (2018).
    """
    return _pairs("dates")


def _pairs(name: str) -> list[tuple[str, str]]:
    pairs = [line.split("_") for line in fetch(name).decode().splitlines()]
    return [(asked.strip(), answered.strip()) for asked, answered in pairs]
