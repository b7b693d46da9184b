"""Downloads from a real server on this machine: good, wrong, broken off, refused."""

import errno
import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from untrained.benchmarks import _data, _download
from untrained.core.benchmark import Benchmark, File, Table
from untrained.core.errors import BadData, UntrainedError

BODY = b"0123456789" * 100_000  # several blocks


class Server(BaseHTTPRequestHandler):
    """What a path says is what is done."""

    asked: list[str]

    def do_GET(self):
        self.asked.append(self.path)
        if self.path == "/gone":
            return self.send_error(404)
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/good")
            return self.end_headers()
        body = b"something else" if self.path == "/wrong" else BODY
        self.send_response(200)
        if self.path != "/unsized":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if self.path in {"/short", "/unsized"} else body)
        if self.path == "/silent":
            self.server.patience.wait(5)
        return None

    def log_message(self, *args):
        """Nothing is printed."""


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    Server.asked = []
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_address[1]}"
    httpd.shutdown()
    thread.join()
    httpd.server_close()


def toy(address: str, *, size: int | None = len(BODY), body: bytes = BODY) -> type[Benchmark]:
    """A benchmark of one file at that address."""

    class Toy(Benchmark):
        name = "toy_table"
        files = (File("table.bin", address, size, hashlib.sha256(body).hexdigest(), "CC0"),)

        def read(self, folder, space):
            return Table(())

    return Toy


def fails(benchmark, root, *words, kind=UntrainedError):
    """The error of getting it; nothing may be left on the disk, and the message names all these words."""
    with pytest.raises(kind) as caught:
        _data.get(benchmark, root)
    text = str(caught.value)
    assert all(word in text for word in words), text
    assert [p for p in root.rglob("*") if p.is_file()] == []
    return caught.value


@pytest.mark.parametrize("path", ["/good", "/moved"])
def test_a_file_is_fetched_checked_and_named(tmp_path, server, path):
    seen = []
    found = _data.get(toy(server + path), tmp_path, lambda file, done, total: seen.append((done, total)))
    assert found == [tmp_path / "toy-table" / "table.bin"]
    assert found[0].read_bytes() == BODY
    assert len(seen) > 1
    assert seen == sorted(seen)
    assert seen[-1] == (len(BODY), len(BODY))
    assert [p.name for p in found[0].parent.iterdir()] == ["table.bin"]


def test_the_default_place_is_the_one_that_is_read(tmp_path, server, monkeypatch):
    monkeypatch.setenv("UNTRAINED_DATA", str(tmp_path))
    benchmark = toy(server + "/good")
    (path,) = _data.get(benchmark)
    assert _data.folder(benchmark) == path.parent == tmp_path / "toy-table"
    assert [c.status for c in _data.verify(benchmark, tmp_path)] == ["ok"]


def test_a_good_file_is_not_fetched_again_and_a_different_one_is(tmp_path, server):
    benchmark = toy(server + "/good")
    (path,) = _data.get(benchmark, tmp_path)
    _data.get(benchmark, tmp_path)
    assert Server.asked == ["/good"]
    path.write_bytes(b"damaged")
    _data.get(benchmark, tmp_path)
    assert Server.asked == ["/good", "/good"]
    assert path.read_bytes() == BODY


def test_a_wrong_file_is_thrown_away_and_both_sums_are_shown(tmp_path, server):
    sums = [hashlib.sha256(b).hexdigest() for b in (BODY, b"something else")]
    fails(toy(server + "/wrong"), tmp_path, *sums, "/wrong", "--data DIR", kind=BadData)


def test_a_wrong_file_does_not_replace_what_was_there(tmp_path, server):
    (tmp_path / "table.bin").write_bytes(b"an earlier part")
    with pytest.raises(BadData):
        _data.get(toy(server + "/wrong"), tmp_path)
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("table.bin", b"an earlier part")]


@pytest.mark.parametrize("path", ["/short", "/unsized"])
def test_a_download_that_breaks_off_leaves_nothing(tmp_path, server, path):
    fails(toy(server + path), tmp_path, "broke off", server + path, "untrained data get toy_table")


def test_one_that_breaks_off_where_no_size_is_known_has_the_wrong_sum(tmp_path, server):
    fails(toy(server + "/unsized", size=None), tmp_path, "not the published file", kind=BadData)


def test_a_file_that_is_gone(tmp_path, server):
    fails(toy(server + "/gone"), tmp_path, "404", server + "/gone", "save it as table.bin", "--data DIR")


def test_a_server_that_is_not_there(tmp_path, server):
    closed = "http://127.0.0.1:1"  # port 1 is never served here
    error = fails(toy(closed), tmp_path, "not reached", closed, "--data DIR")
    assert not isinstance(error, BadData)


def test_a_name_that_nobody_knows(tmp_path, monkeypatch):
    def nobody(*args, **kwargs):
        raise OSError("Name or service not known")

    monkeypatch.setattr("socket.getaddrinfo", nobody)
    monkeypatch.setenv("no_proxy", "*")
    fails(toy("https://example.invalid/table.bin"), tmp_path, "not reached", "example.invalid")


def test_a_server_that_falls_silent(tmp_path, server, monkeypatch):
    monkeypatch.setattr(_download, "TIMEOUT", 0.2)
    monkeypatch.setattr(ThreadingHTTPServer, "patience", threading.Event(), raising=False)
    benchmark = toy(server + "/silent")
    monkeypatch.setattr(
        Server,
        "send_header",
        lambda self, key, value: BaseHTTPRequestHandler.send_header(self, key, "2000000"),
    )
    fails(benchmark, tmp_path, "broke off", "timed out")
    ThreadingHTTPServer.patience.set()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk(tmp_path, server, monkeypatch):
    real = Path.open
    monkeypatch.setattr(
        Path, "open", lambda path, mode: real(Path("/dev/full") if mode == "wb" else path, mode)
    )
    fails(
        toy(server + "/good"),
        tmp_path,
        "no room left on the disk",
        "table.bin",
        "UNTRAINED_DATA=DIR untrained data get toy_table",
    )


def test_a_folder_that_cannot_be_made(tmp_path, server):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UntrainedError, match="cannot be written"):
        _data.get(toy(server + "/good"), tmp_path / "file")


def test_an_interrupted_download_leaves_nothing(tmp_path, server):
    def stop(file, done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _data.get(toy(server + "/good"), tmp_path, stop)
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_a_disk_error_is_told_in_its_own_words(tmp_path, server, monkeypatch):
    def refuse(*args):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("os.replace", refuse)
    fails(toy(server + "/good"), tmp_path, "Read-only file system")
