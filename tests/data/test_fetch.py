"""Finding, checking and downloading data files, from a server of the test's own."""

import gzip
import hashlib
import json
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from tinygrad_seq.data import DATA_FILES, fetch, locate
from tinygrad_seq.errors import ArgumentError, DataError, MissingDependencyError

TEXT = b"emma\nolivia\n"


@pytest.fixture
def server(monkeypatch):
    """``server[path] = (status, body, promised length)``; ``server.url`` is where it listens."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    class Pages(dict):
        def __init__(self):
            self.asked = []

    pages = Pages()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            pages.asked.append(self.path)
            status, body, promised = pages.get(self.path, (404, b"nothing here", 12))
            self.send_response(status)
            self.send_header("Content-Length", str(promised))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        pages.url = f"http://127.0.0.1:{httpd.server_port}"
        thread = Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield pages
        httpd.shutdown()
        thread.join()


@pytest.fixture
def remote(server, publish, folder, cache):
    """``names`` is to be had from the server alone; what it sends can be set."""
    row = publish("names", TEXT, url=f"{server.url}/names.txt")

    def sends(body=TEXT, status=200, promised=None):
        server["/names.txt"] = (status, body, len(body) if promised is None else promised)
        return row

    sends.asked, sends.target = server.asked, cache / row.path
    sends()
    return sends


def nothing_is_left(target):
    return not target.parent.exists() or list(target.parent.iterdir()) == []


def test_the_table_is_complete():
    assert len({row.path for row in DATA_FILES.values()}) == len(DATA_FILES) == 9
    for row in DATA_FILES.values():
        assert len(row.sha256) == 64
        assert int(row.sha256, 16) > 0
        assert row.size > 0
        assert row.url.startswith("https://")
        assert row.url.endswith(row.path.rsplit(".", 1)[1])
        assert row.licence


@pytest.mark.parametrize("name", DATA_FILES)
def test_every_published_file_is_what_the_table_says(name, real_data):
    assert len(fetch(name)) == DATA_FILES[name].size


def test_the_data_folder_comes_before_the_cache(planted, cache):
    path = planted("names", TEXT)
    cache.mkdir(parents=True)
    (cache / "names.txt").write_bytes(b"something else")
    assert locate("names") == path
    assert fetch("names") == TEXT


def test_the_cache_comes_before_the_network(remote, cache):
    cache.mkdir(parents=True)
    (cache / "names.txt").write_bytes(TEXT)
    assert locate("names") == cache / "names.txt"
    assert fetch("names") == TEXT
    assert remote.asked == []


def test_what_is_nowhere_is_downloaded_once(remote):
    assert locate("names") is None
    assert fetch("names") == TEXT
    assert locate("names") == remote.target
    assert fetch("names") == TEXT
    assert remote.asked == ["/names.txt"]
    assert list(remote.target.parent.iterdir()) == [remote.target]


def test_without_a_data_folder_the_cache_serves(remote, monkeypatch):
    monkeypatch.delenv("TINYGRAD_SEQ_DATA")
    assert fetch("names") == TEXT
    assert remote.target.read_bytes() == TEXT


def test_a_wrong_hash_is_refused_with_both_hashes_and_the_path(planted, cache):
    path = planted("names", TEXT)
    path.write_bytes(TEXT + b"!")
    with pytest.raises(DataError) as caught:
        fetch("names")
    message = str(caught.value)
    for part in (TEXT, TEXT + b"!"):
        assert hashlib.sha256(part).hexdigest() in message
    assert str(path) in message
    assert "13 bytes" in message


def test_a_damaged_file_in_the_cache_is_refused(remote, cache):
    cache.mkdir(parents=True)
    (cache / "names.txt").write_bytes(TEXT[:5])
    with pytest.raises(DataError, match="remove it to have it downloaded again"):
        fetch("names")
    assert remote.asked == []


def test_a_download_with_the_wrong_hash_is_not_kept(remote):
    row = remote(b"<html>sign in</html>")
    with pytest.raises(DataError) as caught:
        fetch("names")
    message = str(caught.value)
    assert row.sha256 in message
    assert hashlib.sha256(b"<html>sign in</html>").hexdigest() in message
    assert f"what {row.url} sent" in message
    assert nothing_is_left(remote.target)


@pytest.mark.parametrize(
    "answer",
    [{"status": 404}, {"status": 500}, {"body": TEXT[:5], "promised": len(TEXT)}],
    ids=["missing", "broken", "cut short"],
)
def test_a_failed_download_says_so_and_leaves_nothing(remote, answer):
    row = remote(**answer)
    with pytest.raises(DataError, match="names: cannot download") as caught:
        fetch("names")
    assert row.url in str(caught.value)
    assert str(remote.target) in str(caught.value)
    assert nothing_is_left(remote.target)
    remote()  # once the server is well again
    assert fetch("names") == TEXT


def test_an_interrupted_download_is_not_taken_for_the_file(remote, monkeypatch):
    import pooch

    def interrupted(self, url, output_file, pooch):
        with open(output_file, "wb") as file:
            file.write(TEXT[:5])
        assert not remote.target.exists()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pooch.HTTPDownloader, "__call__", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fetch("names")
    assert nothing_is_left(remote.target)
    assert locate("names") is None
    left = remote.target.parent / "download-x"  # what a killed process leaves behind
    left.mkdir()
    (left / "names.txt").write_bytes(TEXT[:5])
    assert fetch("names") == TEXT


def test_packed_files_are_known_by_what_they_hold(planted, cache):
    name = "mnist test labels"
    for level in (1, 9):
        planted(name, TEXT, gzip.compress(TEXT, level))
        assert fetch(name) == TEXT
    planted(name, TEXT, TEXT)  # unpacked on the way, as some servers do
    assert fetch(name) == TEXT


@pytest.mark.parametrize("damage", [lambda b: b[:-9], lambda b: b[:10] + b"\xff" + b[11:],
                                    lambda b: b[:-8] + bytes(8)])  # fmt: skip
def test_a_packed_file_that_cannot_be_unpacked_is_refused(planted, cache, damage):
    path = planted("mnist test labels", TEXT, damage(gzip.compress(TEXT)))
    with pytest.raises(DataError, match="cannot be unpacked") as caught:
        fetch("mnist test labels")
    assert str(path) in str(caught.value)


def test_a_folder_in_place_of_a_file_is_refused(folder, cache, publish):
    (folder / publish("names", TEXT).path).mkdir()
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        fetch("names")


def test_a_cache_that_cannot_be_written_is_named(remote, cache):
    cache.parent.mkdir(parents=True)
    cache.write_text("a file where the folder should be")
    with pytest.raises(DataError, match="names: cannot download .* to ") as caught:
        fetch("names")
    assert str(cache) in str(caught.value)


def test_without_pooch_the_message_says_what_to_do(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(MissingDependencyError) as caught:
        fetch("jsb chorales")
    row = DATA_FILES["jsb chorales"]
    for hint in ("tinygrad-seq[data]", "TINYGRAD_SEQ_DATA", row.url, row.path, str(folder)):
        assert hint in str(caught.value)
    monkeypatch.delenv("TINYGRAD_SEQ_DATA")
    with pytest.raises(MissingDependencyError, match="not in a folder named by TINYGRAD_SEQ_DATA"):
        fetch("jsb chorales")


def test_without_pooch_the_data_folder_still_serves(planted, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    planted("names", TEXT)
    assert fetch("names") == TEXT


@pytest.mark.parametrize("ask", [fetch, locate])
def test_an_unknown_name_lists_the_known_ones(ask):
    with pytest.raises(ArgumentError, match="one of .*'jsb chorales'.* got 'nmaes'"):
        ask("nmaes")


def test_importing_brings_neither_pooch_nor_scipy():
    code = "import tinygrad_seq.data, sys, json; print(json.dumps(list(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"pooch", "scipy", "requests"} & set(json.loads(run.stdout))
