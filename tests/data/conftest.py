"""A data folder and a cache of the test's own, and small files that pass for published ones."""

import hashlib
from dataclasses import replace

import pytest

from tinygrad_seq.data import DATA_FILES, locate


@pytest.fixture
def real_data():
    """Skips where the published files are not at hand: no test downloads them."""
    missing = [name for name in DATA_FILES if locate(name) is None]
    if missing:
        pytest.skip(f"not at hand: {', '.join(missing)}; see TINYGRAD_SEQ_DATA")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder that TINYGRAD_SEQ_DATA names."""
    path = tmp_path / "data"
    path.mkdir()
    monkeypatch.setenv("TINYGRAD_SEQ_DATA", str(path))
    return path


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The user's cache, which does not exist yet."""
    pooch = pytest.importorskip("pooch")
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / "cache" / name)
    return tmp_path / "cache" / "tinygrad_seq"


@pytest.fixture
def publish(monkeypatch):
    """``publish(name, contents)`` declares that these are the published contents."""

    def declare(name, contents, **other):
        row = replace(DATA_FILES[name], sha256=hashlib.sha256(contents).hexdigest(), **other)
        monkeypatch.setitem(DATA_FILES, name, row)
        return row

    return declare


@pytest.fixture
def planted(folder, publish):
    """``planted(name, contents)`` writes a file into the data folder and declares it published."""

    def plant(name, contents, packed=None):
        path = folder / publish(name, contents).path
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(contents if packed is None else packed)
        return path

    return plant
