"""Text as numbers: reading a file, the characters it uses, and what is held out."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinygrad_seq.data.folder import find_file
from tinygrad_seq.errors import DataError, OutOfRangeError, expect


def read_text(path: str | Path) -> str:
    """The text of a UTF-8 file, looked for in the data folder too; a byte order mark is dropped.

    Raises DataError if the file is missing, unreadable, empty, or is not text.
    """
    file = find_file(path)
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror}") from error
    if b"\0" in raw:
        raise DataError(f"{file}: expected text, got a binary file (byte 0 at {raw.index(0)})")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{file}: expected UTF-8 text, got byte 0x{raw[error.start]:02x} at {error.start}"
        ) from error
    if not text:
        raise DataError(f"{file}: the file is empty")
    return text.replace("\r\n", "\n")


def python_topics() -> str:
    """The language reference that every Python carries for ``help()``: some 500 kB of English.

    The topics are joined in the order of their names. Which text it is depends on the version of
    Python; ``fingerprint`` tells two apart.
    """
    from pydoc_data.topics import topics

    return "\n\n".join(topics[name].strip() for name in sorted(topics))


def fingerprint(text: str) -> str:
    """The SHA-256 of a text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class Vocabulary:
    """The characters that a model knows, in the order of their code points; token i is the i-th."""

    characters: str

    def __post_init__(self) -> None:
        codes = _codes(self.characters)
        ok = len(codes) > 0 and bool((codes[1:] > codes[:-1]).all())
        expect(ok, "Vocabulary", "distinct characters in order", repr(self.characters), DataError)

    @classmethod
    def of(cls, text: str) -> Vocabulary:
        """Every character that ``text`` uses."""
        return cls("".join(sorted(set(text))))

    def __len__(self) -> int:
        return len(self.characters)

    def encode(self, text: str) -> np.ndarray:
        """The token of each character, int64 of shape (len(text),).

        Raises OutOfRangeError for a character that is not in the vocabulary.
        """
        known, codes = _codes(self.characters), _codes(text)
        tokens = np.searchsorted(known, codes)
        found = known[np.minimum(tokens, len(known) - 1)] == codes
        if not found.all():
            at = int(np.argmin(found))
            raise OutOfRangeError(
                f"the character {text[at]!r} at position {at} is not among the "
                f"{len(known)} that the model knows"
            )
        return tokens.astype(np.int64, copy=False)

    def decode(self, tokens: np.ndarray) -> str:
        """The text that ``tokens`` stand for. Raises OutOfRangeError for one out of range."""
        tokens = np.asarray(tokens)
        if tokens.size and not (tokens.min() >= 0 and tokens.max() < len(self)):
            raise OutOfRangeError(
                f"expected tokens in [0, {len(self)}), got {tokens.min()} … {tokens.max()}"
            )
        return "".join(self.characters[i] for i in tokens.ravel().tolist())


def split(tokens: np.ndarray, held_out: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """Training part and validation part: the last tenth is held out. Views, not copies."""
    cut = len(tokens) - int(len(tokens) * held_out)
    return tokens[:cut], tokens[cut:]


def _codes(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
