"""Who may ask, and for how much: the gate in front of every page, stream and button.

- A token that only the terminal has shown: in the address once, then in a cookie that scripts and other sites
  cannot use. Every request needs it.
- The Host header has to name this server, so that no other site's name can be bound to it (DNS rebinding).
- What changes something comes as a POST from our own page: its Origin has to be ours.
- Addresses and bodies have a largest size. No route takes a path of the machine.
"""

from __future__ import annotations

import hmac
import ipaddress
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LONGEST_ADDRESS = 4_096  # characters of path and query
LARGEST_HEADERS = 16_384  # bytes
LARGEST_BODY = 4_096
HEADERS = {
    # Figures place their marks by style attributes; style sheets and scripts are ours alone.
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " style-src-attr 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; form-action 'self';"
    " base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",  # with no referrer at all, the Origin of our own forms would be null
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
# The address with the token leaves history and address bar before anything else is asked for.
ENTER = (
    b'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Untrained</title>'
    b'<meta http-equiv="refresh" content="0; url=/"><link rel="icon" href="data:,"></head>'
    b'<body><main><a href="/">Open the dashboard</a></main></body></html>'
)

QUIET = (b"referrer-policy", b"no-referrer")  # that address has the token


class Refused(Exception):
    """A request that is not answered, with its status and the reason."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


class Gate:
    """An ASGI application that lets through to another one only what it should."""

    def __init__(self, app: App, *, token: str, host: str, port: int) -> None:
        self.app, self.token, self.port = app, token, port
        self.cookie = f"untrained_{port}"  # browsers do not tell cookies of two ports apart
        self.hosts = _own_names(host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # no web sockets here
        try:
            entering = self.check(scope)
            body = await _body(scope, receive) if scope["method"] == "POST" else b""
        except Refused as refused:
            await _answer(send, refused.status, f"{refused.reason}\n".encode(), "text/plain; charset=utf-8")
            return
        if entering:
            flags = "HttpOnly; SameSite=Strict; Path=/"
            cookie = f"{self.cookie}={self.token}; {flags}".encode()
            await _answer(send, 200, ENTER, "text/html; charset=utf-8", (b"set-cookie", cookie), QUIET)
            return
        await self.app(scope, _given(body, receive), _with_headers(send))

    def check(self, scope: Scope) -> bool:
        """Whether the request brings the token to enter with; raises Refused for whatever may not pass."""
        headers = _headers(scope)
        if sum(len(name) + len(value) for name, value in scope["headers"]) > LARGEST_HEADERS:
            raise Refused(431, "the headers are too large")
        if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > LONGEST_ADDRESS:
            raise Refused(414, "the address is too long")
        if not self._is_ours(headers.get("host", "")):
            raise Refused(421, "this server does not go by that name")
        if scope["method"] not in ("GET", "HEAD", "POST"):
            raise Refused(405, "only GET and POST")
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        entering = scope["method"] == "GET" and scope["path"] == "/" and self._is_token(given)
        if not entering and not self._is_token(_cookie(headers.get("cookie", ""), self.cookie)):
            raise Refused(403, "open the address that the terminal shows: it has the token")
        if scope["method"] == "POST":
            origin = urlsplit(headers.get("origin", ""))
            if origin.scheme not in ("http", "https") or origin.netloc != headers.get("host"):
                raise Refused(403, "only our own page may ask for that")
        return entering

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self.token.encode())

    def _is_ours(self, host: str) -> bool:
        """Whether a Host header names this server; for a public one, numbers do too."""
        try:
            split = urlsplit(f"//{host}")
            name, port = split.hostname or "", split.port or 80
        except ValueError:
            return False
        if port != self.port or split.username is not None or split.path:
            return False
        return name in self.hosts or ("*" in self.hosts and _is_address(name))


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server at that host."""
    if host == "localhost":
        return True
    return _is_address(host) and ipaddress.ip_address(host).is_loopback


def _own_names(host: str) -> frozenset[str]:
    """Names under which the server is asked for; `*` stands for numerical addresses, which nobody rebinds."""
    loopback = {"127.0.0.1", "localhost", "::1"}
    if is_loopback(host):
        return frozenset(loopback | {host})
    return frozenset(loopback | {host.lower(), socket.gethostname().lower(), socket.getfqdn().lower(), "*"})


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _headers(scope: Scope) -> dict[str, str]:
    """Headers by name; one that comes twice counts as none where it decides something."""
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        key = name.decode("latin-1").lower()
        found[key] = "" if key in found and key in ("host", "origin") else value.decode("latin-1")
    return found


def _cookie(header: str, name: str) -> str:
    try:
        found = SimpleCookie(header).get(name)
    except CookieError:
        return ""
    return found.value if found else ""


async def _body(scope: Scope, receive: Receive) -> bytes:
    """The whole body of a POST; raises Refused where it is larger than a wish can be."""
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refused(400, "the request ended too early")
        body += bytes(message.get("body", b""))
        if len(body) > LARGEST_BODY:
            raise Refused(413, "the request is too large")
        if not message.get("more_body"):
            return body


def _given(body: bytes, receive: Receive) -> Receive:
    """`receive` with the body that was read already."""
    told = False

    async def again() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _with_headers(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            given = {name.lower() for name, _ in message["headers"]}
            more = [(k.encode(), v.encode()) for k, v in HEADERS.items() if k.encode() not in given]
            message = {**message, "headers": [*message["headers"], *more]}
        await send(message)

    return sent


async def _answer(send: Send, status: int, body: bytes, kind: str, *more: tuple[bytes, bytes]) -> None:
    head = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode()), *more]
    start = {"type": "http.response.start", "status": status, "headers": head}
    sent = _with_headers(send)
    await sent(start)
    await sent({"type": "http.response.body", "body": body})
