"""Characters as they are shown: a sign for what cannot be seen, and the columns they take."""

from __future__ import annotations

import unicodedata

#: what stands for white space that would not be seen, and for nothing at all
SIGNS = {" ": "␣", "\n": "↵", "\t": "⇥", "": "∅"}


def sign(label: str) -> str:
    """What a label looks like: white space and what cannot be printed get a sign.

    >>> sign(" "), sign("a b"), sign(chr(7))
    ('␣', 'a b', '·')
    """
    if label in SIGNS:
        return SIGNS[label]
    return "".join(SIGNS.get(c, "·") if not c.isprintable() else c for c in label)


def width(label: str) -> int:
    """How many columns of a terminal a label takes: wide characters two, combining marks none."""
    return sum(0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF")
               for c in label)  # fmt: skip
