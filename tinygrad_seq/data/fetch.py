"""The contents of a known data file: found on this machine or downloaded, and always checked.

Looked for in the folder ``TINYGRAD_SEQ_DATA``, then in the user's cache; otherwise downloaded into
the cache. Whatever is read is held against its SHA-256 first, so nobody trains on a damaged file.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import tempfile
import zlib
from pathlib import Path
from typing import Any

from tinygrad_seq.data.files import DATA_FILES, DataFile
from tinygrad_seq.data.folder import VARIABLE, data_folder
from tinygrad_seq.errors import ArgumentError, DataError, MissingDependencyError, expect

_GZIP = b"\x1f\x8b"


def fetch(name: str) -> bytes:
    """The contents of a file of ``DATA_FILES``, unpacked if it is a ``.gz``.

    Raises ArgumentError for an unknown name, DataError if the file cannot be read, downloaded or
    has the wrong SHA-256, MissingDependencyError if it is nowhere and pooch is not installed.
    """
    path = locate(name) or _download(name)
    return _checked(path, name, DATA_FILES[name])


def locate(name: str) -> Path | None:
    """Where a file of ``DATA_FILES`` lies on this machine, unchecked; None if it is not here."""
    expect(name in DATA_FILES, "fetch", f"one of {list(DATA_FILES)}", repr(name), ArgumentError)
    for place in (data_folder, _cache):  # the cache only if need be: pooch takes its time
        folder = place()
        if folder is not None and (folder / DATA_FILES[name].path).exists():
            return folder / DATA_FILES[name].path
    return None


def _checked(path: Path, name: str, file: DataFile, source: str = "") -> bytes:
    """The contents of ``path``; DataError naming both hashes if they are not those of ``file``."""
    try:
        contents = path.read_bytes()
        if file.path.endswith(".gz") and contents.startswith(_GZIP):
            contents = gzip.decompress(contents)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{name}: {source or path} cannot be unpacked: {error}") from error
    except OSError as error:
        raise DataError(f"{name}: {path} cannot be read: {error.strerror}") from error
    got = hashlib.sha256(contents).hexdigest()
    if got != file.sha256:
        raise DataError(
            f"{name}: {source or path} is not the file that was published: expected SHA-256 "
            f"{file.sha256} of {file.size} bytes, got {got} of {len(contents)} bytes"
            + ("" if source else "; remove it to have it downloaded again")
        )
    return contents


def _download(name: str) -> Path:
    """Download into the cache. The file gets its name only when it is whole and checked."""
    file, cache = DATA_FILES[name], _cache()
    if cache is None:
        raise MissingDependencyError(
            f"{name}: {file.path} is not in {data_folder() or 'a folder named by ' + VARIABLE}; "
            f"either install tinygrad-seq[data], which downloads it with pooch, or save "
            f"{file.url} as {file.path} in the folder that {VARIABLE} names"
        )
    target = cache / file.path
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="download-", dir=target.parent) as folder:
            part = Path(folder) / target.name
            # Not streamed: requests then closes the connection itself if it breaks.
            get = _pooch().HTTPDownloader(chunk_size=1 << 16, timeout=30, stream=False)
            get(file.url, str(part), None)
            _checked(part, name, file, source=f"what {file.url} sent")
            os.replace(part, target)
    except OSError as error:  # those of requests are OSErrors too
        raise DataError(f"{name}: cannot download {file.url} to {target}: {error}") from error
    return target


def _cache() -> Path | None:
    """The user's cache folder for this package; None where pooch, which knows it, is missing."""
    pooch = _pooch()
    return None if pooch is None else Path(pooch.os_cache("tinygrad_seq"))


def _pooch() -> Any:
    try:
        import pooch
    except ImportError:
        return None
    return pooch
