"""Binds a port, and serves until Ctrl-C. Uvicorn is imported here and nowhere else."""

from __future__ import annotations

import errno
import os
import secrets
import socket
import sys
import webbrowser
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from untrained.apps.dashboard.security import LARGEST_HEADERS, Gate, is_loopback
from untrained.apps.dashboard.shelf import Shelf
from untrained.core.errors import MissingExtra, UntrainedError, UsageError

USUAL = 8686  # port, where none is asked for
NEXT = 50  # ports after it that are tried


@dataclass(frozen=True)
class Door:
    """Where the page is."""

    listener: socket.socket
    host: str
    port: int
    token: str

    @property
    def url(self) -> str:
        """The address with the token, as it is opened."""
        shown = "127.0.0.1" if self.host in ("0.0.0.0", "") else "::1" if self.host == "::" else self.host
        return f"http://{f'[{shown}]' if ':' in shown else shown}:{self.port}/?token={self.token}"


def opened(host: str, port: int | None, *, allow_remote: bool) -> Door:
    """A listening socket. Without a port, the usual one or the next that is free.

    Raises UsageError for a host that others reach, unless that is allowed, and for a port that is taken.
    """
    if not is_loopback(host) and not allow_remote:
        raise UsageError(
            f"--host {host}: others would reach it, and whoever learns the token sees your searches and can"
            " stop them.\n  if so, add: --allow-remote"
        )
    wanted = range(USUAL, USUAL + NEXT) if port is None else [port]
    for one in wanted:
        if (listener := _bound(host, one)) is not None:
            return Door(listener, host, listener.getsockname()[1], secrets.token_urlsafe(32))
    if port is None:
        raise UntrainedError(f"the ports {USUAL} to {USUAL + NEXT - 1} are all in use.\n  name one: --port N")
    free = next((p for p in range(port + 1, min(port + NEXT, 65536)) if _is_free(host, p)), 0)
    raise UsageError(f"the port {port} is in use.\n  the next that is free: --port {free}")


def serve(shelf: Shelf, door: Door, started: Callable[[], None]) -> None:
    """Serves until Ctrl-C; `started` is called once the page can be opened. Raises MissingExtra."""
    with door.listener:
        _serve(shelf, door, started)


def _serve(shelf: Shelf, door: Door, started: Callable[[], None]) -> None:
    try:
        import uvicorn

        from untrained.apps.dashboard.app import application
        from untrained.apps.dashboard.pages import Pages
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("untrained"):
            raise
        raise MissingExtra("the dashboard", error.name, "dashboard") from None

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            started()

    app = application(shelf, Pages(), lambda: server.should_exit)
    gate = Gate(app, token=door.token, host=door.host, port=door.port)
    settings = uvicorn.Config(
        gate,
        log_level="critical",
        access_log=False,  # addresses may hold the token
        server_header=False,
        timeout_graceful_shutdown=2,
        limit_concurrency=200,
        http="h11",
        h11_max_incomplete_event_size=LARGEST_HEADERS,
        lifespan="off",
        ws="none",
        proxy_headers=False,
    )
    server = Server(settings)
    shelf.start()
    try:
        with suppress(KeyboardInterrupt):
            server.run(sockets=[door.listener])
    finally:
        shelf.close()


def show(url: str) -> None:
    """Opens the user's browser where there is a screen to show it on."""
    if sys.platform in ("win32", "darwin") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        with suppress(webbrowser.Error):
            webbrowser.open(url)


def _bound(host: str, port: int) -> socket.socket | None:
    """A socket that listens there; None where the port is in use. Raises UsageError for no host of ours."""
    if not 0 <= port < 65536:
        raise UsageError(f"--port {port}: take one from 1024 to 65535")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if sys.platform != "win32":  # there it would share the port with whoever has it
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            return None
        what = error.strerror or str(error)
        raise UsageError(f"nothing can listen at {host}:{port}: {what}.\n  take: --port {USUAL}") from None
    return listener


def _is_free(host: str, port: int) -> bool:
    listener = _bound(host, port)
    if listener is not None:
        listener.close()
    return listener is not None
