"""Who gets in: the gate of the dashboard, tried from outside over a socket."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from serving import Served, fill

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

MARK = "<script>alert('mark')</script>"
PAGES = ["/", "/study?study=one", "/trial?study=one&number=0", "/compare?a=one&b=two", "/events?study=one"]
PAGES += ["/download?study=one&format=csv", "/static/page.js", "/nothing"]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    path = tmp_path_factory.mktemp("stores") / "s.db"
    fill(path, "one", 60)
    fill(path, "two", 60)
    fill(path, MARK, 60, mark=MARK)
    with Served(path) as found:
        yield found


@pytest.mark.parametrize("path", PAGES)
def test_nothing_is_shown_without_the_token(served: Served, path: str) -> None:
    for headers in (
        {},
        {"Cookie": f"untrained_{served.port}="},
        {"Cookie": f"untrained_{served.port}={'x' * len(served.token)}"},
        {"Cookie": f"untrained_{served.port}={served.token[:-1]}"},
        {"Cookie": f"untrained={served.token}"},
        {"Authorization": "Bearer x"},
    ):
        answer = served.ask(path, **headers)
        assert answer.status == 403
        assert answer.text == "open the address that the terminal shows: it has the token\n"
        assert "set-cookie" not in answer.headers


def test_the_token_of_the_address_becomes_a_cookie_and_leaves_the_address(served: Served) -> None:
    answer = served.ask(f"/?token={served.token}")
    assert answer.status == 200
    assert answer.headers["set-cookie"] == (
        f"untrained_{served.port}={served.token}; HttpOnly; SameSite=Strict; Path=/"
    )
    assert 'http-equiv="refresh" content="0; url=/"' in answer.text
    assert served.token not in answer.text
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert served.get("/").status == 200
    for path in ("/?token=wrong", "/?token=", f"/study?study=one&token={served.token}"):
        assert served.ask(path).status == 403


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:{port}", "127.0.0.1.evil.example:{port}", "127.0.0.1:1", "127.0.0.1"),
        *("", "localhost:{port}@evil.example", "evil@localhost:{port}", "10.0.0.1:{port}", "[::1"),
        "localhost:x",
    ],
)
def test_another_name_for_this_server_is_not_answered(served: Served, host: str) -> None:
    answer = served.ask("/", Host=host.format(port=served.port), **served.cookie)
    assert answer.status in (400, 421)
    assert "Searches" not in answer.text


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "localhost:{port}", "LOCALHOST:{port}", "[::1]:{port}"])
def test_its_own_names_are_answered(served: Served, host: str) -> None:
    assert served.ask("/", Host=host.format(port=served.port), **served.cookie).status == 200


def test_two_host_headers_are_none(served: Served) -> None:
    with socket.create_connection(("127.0.0.1", served.port), timeout=20) as raw:
        cookie = served.cookie["Cookie"]
        hosts = f"Host: 127.0.0.1:{served.port}\r\nHost: evil.example\r\n"
        raw.sendall(f"GET / HTTP/1.1\r\n{hosts}Cookie: {cookie}\r\n\r\n".encode())
        assert b" 200 " not in raw.recv(100)


@pytest.mark.parametrize(
    "path",
    [
        "/static/../../../../../../etc/passwd",
        "/static/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/static/..%2f..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
        "/static//etc/passwd",
        "/static/%2fetc%2fpasswd",
        "/etc/passwd",
        "//etc/passwd",
        "/static/page.css%00",
        "/static/__init__.py",
        "/study?study=../../etc/passwd",
        "/download?study=/etc/passwd&format=csv",
        "/download?study=one&format=../../etc/passwd",
    ],
)
def test_no_file_of_the_machine_can_be_read(served: Served, path: str) -> None:
    answer = served.get(path)
    assert answer.status in (400, 404)
    assert "root:" not in answer.text
    assert "import" not in answer.text


def test_names_of_studies_choices_and_reasons_are_text(served: Served) -> None:
    name = quote(MARK)
    pages = ["/", f"/study?study={name}", f"/trial?study={name}&number=0", f"/compare?a=one&b={name}"]
    for path in [*pages, f"/study?study={name}x", f"/compare?a={name}y"]:
        text = served.get(path).text
        assert "alert(" in text
        assert "<script>alert" not in text
        assert "&lt;script&gt;alert" in text


def test_every_answer_forbids_foreign_scripts_and_frames(served: Served) -> None:
    for path in ["/", "/nothing", "/static/page.js", "/download?study=one&format=jsonl"]:
        headers = served.get(path).headers
        rules = dict(rule.strip().split(" ", 1) for rule in headers["content-security-policy"].split(";"))
        assert rules["default-src"] == "'none'"
        assert rules["script-src"] == "'self'"
        assert rules["frame-ancestors"] == "'none'"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["cache-control"] == "no-store"
        assert "server" not in headers


def test_only_our_own_page_may_change_something(served: Served) -> None:
    for path in ("/stop", "/extend"):
        for origin in (
            {},
            {"Origin": "null"},
            {"Origin": "http://evil.example"},
            {"Origin": "http://127.0.0.1:1"},
        ):
            answer = served.ask(path, method="POST", body="study=one&trials=100", **origin, **served.cookie)
            assert answer.status == 403
        assert served.ask(path, method="POST", body="study=one", Origin=served.base).status == 403
        assert served.get(path).status == 405
        answer = served.post(path, "study=one&trials=100")
        assert answer.status == 400
        assert "no search is running in the study &#39;one&#39;" in answer.text
        assert served.post(path, "study=nobody&trials=100").status == 404
    assert served.post("/extend", "study=one&trials=many").status == 400
    assert served.post("/extend", "").status == 404


@pytest.mark.parametrize("method", ["PUT", "DELETE", "TRACE", "OPTIONS", "PATCH"])
def test_other_methods_are_refused(served: Served, method: str) -> None:
    assert served.ask("/", method=method, **served.cookie).status == 405


def test_requests_have_a_largest_size(served: Served) -> None:
    assert served.get(f"/study?study={'x' * 300}").status == 400
    assert served.get(f"/study?study={'x' * 5_000}").status == 414
    assert served.post("/stop", "study=one&more=" + "x" * 5_000).status == 413
    assert served.post("/stop", "&".join(["a=b"] * 500)).status == 400
    assert served.ask("/stop", method="POST", body="x", Origin=served.base, **served.cookie).status == 404
    assert served.get("/trial?study=one&number=" + "9" * 40).status == 400
    answer = served.ask("/", Padding="x" * 100_000, **served.cookie)
    assert answer.status in (400, 431)
    with socket.create_connection(("127.0.0.1", served.port), timeout=20) as raw:  # says less than it sends
        raw.sendall(
            f"POST /stop HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\nOrigin: {served.base}\r\n"
            f"Cookie: {served.cookie['Cookie']}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )
        raw.sendall(b"1000\r\n" + b"x" * 0x1000 + b"\r\n" + b"1000\r\n" + b"x" * 0x1000 + b"\r\n")
        assert raw.recv(100).startswith(b"HTTP/1.1 413")
    assert served.get("/").status == 200
