"""One file from the network to the disk: checked before it gets its name, never half there."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from untrained.core.benchmark import File
from untrained.core.errors import BadData, UntrainedError

TIMEOUT = 30.0  # seconds without a byte
BLOCK = 1 << 18  # bytes between two calls of `progress`


def download(
    benchmark: str, file: File, target: Path, progress: Callable[[File, int, int | None], None]
) -> None:
    """Fetches `file` to `target`, by way of a temporary name beside it that is always cleared away."""
    # The process number keeps two downloads at once out of each other's file; the last one wins whole.
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with _disk(benchmark, target):
            target.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as out:
                found = _receive(benchmark, file, out, progress)
            _check(benchmark, file, found)
            os.replace(part, target)
    finally:
        _clear(part)


def _receive(
    benchmark: str, file: File, out: IO[bytes], progress: Callable[[File, int, int | None], None]
) -> str:
    """Writes what the server sends; returns its SHA-256."""
    digest, done = hashlib.sha256(), 0
    with _network(benchmark, file):
        response = urlopen(Request(file.url, headers={"User-Agent": "untrained"}), timeout=TIMEOUT)
    with response:
        length = response.headers.get("Content-Length") or ""
        total = int(length) if length.isdecimal() else file.bytes
        while True:
            with _network(benchmark, file):
                block = response.read(BLOCK)
            if not block:
                break
            out.write(block)
            digest.update(block)
            done += len(block)
            progress(file, done, total)
    if total is not None and done < total:
        raise _unreached(benchmark, file, f"the download broke off after {done:,} of {total:,} bytes")
    return digest.hexdigest()


def _check(benchmark: str, file: File, found: str) -> None:
    if found != file.sha256:
        raise BadData(
            f"{file.name}: what came from {file.url} is not the published file; it was thrown away.\n"
            f"  SHA-256 published: {file.sha256}\n"
            f"  SHA-256 received:  {found}\n"
            f"  try again: untrained data get {benchmark}\n"
            f"  or fetch it elsewhere, save it as {file.name}, and name its folder: --data DIR"
        )


@contextmanager
def _network(benchmark: str, file: File) -> Iterator[None]:
    """Turns every way in which a network fails into our error."""
    try:
        yield
    except HTTPError as error:
        error.close()
        raise _unreached(benchmark, file, f"the server answered {error.code} {error.reason}") from error
    except URLError as error:
        raise _unreached(benchmark, file, f"the server was not reached: {error.reason}") from error
    except (HTTPException, OSError, ValueError) as error:
        what = str(error) or type(error).__name__
        raise _unreached(benchmark, file, f"the download broke off: {what}") from error


@contextmanager
def _disk(benchmark: str, target: Path) -> Iterator[None]:
    """Turns what the disk says into our error; network errors have been turned before they get here."""
    try:
        yield
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        what = "there is no room left on the disk" if full else f"{error.strerror}"
        raise UntrainedError(
            f"{target} cannot be written: {what}; nothing was kept.\n"
            f"  another folder: UNTRAINED_DATA=DIR untrained data get {benchmark}"
        ) from error


def _clear(part: Path) -> None:
    """Removes the temporary file; where even that fails, the first error matters more."""
    with suppress(OSError):
        part.unlink(missing_ok=True)


def _unreached(benchmark: str, file: File, what: str) -> UntrainedError:
    return UntrainedError(
        f"{file.name}: {what}.\n"
        f"  address:   {file.url}\n"
        f"  try again: untrained data get {benchmark}\n"
        f"  or fetch it elsewhere, save it as {file.name}, and name its folder: --data DIR"
    )
