"""Where a store is, and what databases and operating systems say about it in the user's words."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL, exc, make_url

from untrained.core.errors import BadStore
from untrained.studies.events import ANOTHER

MAGIC = b"SQLite format 3\0"
EITHER = "a file: --store study.db    a server: --store postgresql://user@host/name"

FREE = "free some space and go on with --resume"

# What a database says -> what it means, and what to do. The first match counts.
MEANINGS = (
    ("not a database", "is not a database", ANOTHER),
    ("malformed", "is damaged", f"restore a copy, or {ANOTHER}"),
    ("is full", "cannot grow: the disk is full", FREE),
    ("no space left", "cannot grow: the disk is full", FREE),
    (
        "disk i/o error",
        "cannot be read or written",
        "look at the disk (is it full?), then go on with --resume",
    ),
    ("read-only", "is read-only", "allow writing, or name a store elsewhere: --store PATH"),
    ("readonly", "is read-only", "allow writing, or name a store elsewhere: --store PATH"),
    (
        "unable to open",
        "cannot be opened",
        "look at its permissions, or name a store elsewhere: --store PATH",
    ),
    ("locked", "is held by another program", "close that program, then go on with --resume"),
    ("unique", "was written to by another process meanwhile", "let one process write, with --resume"),
)


# SQLSTATEs of a server that ends, has crashed, starts, or has no room for one more connection.
AWAY = ("57P01", "57P02", "57P03", "57P05", "53300")


class NotNow(BadStore):
    """A server that does not answer, or refuses, perhaps only for a while."""


@dataclass(frozen=True)
class Place:
    """Where a store is: a file, a server, or (neither) memory."""

    shown: str
    """as messages say it, without a password"""
    path: Path | None = None
    """of a SQLite file"""
    url: URL | None = None
    """of a server"""

    @classmethod
    def of(cls, location: str | Path) -> Place:
        """Reads a path, `:memory:` or a SQLAlchemy URL; raises BadStore for what is none of them."""
        typed = str(location)
        if "://" not in typed:
            return cls(typed) if typed == ":memory:" else cls(typed, path=Path(typed).expanduser())
        try:
            url = make_url(typed)
        except exc.ArgumentError:
            raise BadStore(f"{typed!r} is neither a path nor a database URL.\n  {EITHER}") from None
        shown = url.render_as_string(hide_password=True)
        if url.get_backend_name() == "sqlite":
            return cls(
                shown, path=None if url.database in (None, "", ":memory:") else Path(str(url.database))
            )
        if url.drivername == "postgresql":  # SQLAlchemy's default driver changes; ours is the `pg` extra
            url = url.set(drivername="postgresql+psycopg")
        return cls(shown, url=url)

    def check(self, *, write: bool) -> None:
        """Raises BadStore for a path that cannot be a store, before anything is made or locked."""
        path = self.path
        if path is None:
            return
        if path.is_dir():
            raise BadStore(f"{self.shown} is a folder.\n  name a file in it: --store {path / 'study.db'}")
        if not path.parent.is_dir():
            raise BadStore(f"there is no folder {path.parent}.\n  make it: mkdir -p {path.parent}")
        if not path.exists():
            if not write:
                raise BadStore(
                    f"there is no store {path}.\n  make one: untrained search SPACE --store {path}"
                )
        elif not path.is_file() or not _begins_like_sqlite(path):
            raise BadStore(f"{self.shown} is not a database.\n  {ANOTHER}")


def _begins_like_sqlite(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(MAGIC)) in (MAGIC, b"")


@contextmanager
def explained(shown: str, more: str = "") -> Iterator[None]:
    """Turns the errors of a database, or of opening its file, into BadStore."""
    try:
        yield
    except (exc.DBAPIError, sqlite3.Error) as error:
        said = str(error.orig if isinstance(error, exc.DBAPIError) else error).strip() or type(error).__name__
        if _away(error):
            raise NotNow(
                f"the store {shown} does not answer{more}: {said.splitlines()[0]}\n"
                "  look after the server, then go on with --resume"
            ) from error
        for sign, what, advice in MEANINGS:
            if sign in said.lower():
                raise BadStore(f"the store {shown} {what}{more}.\n  {advice}") from error
        raise BadStore(f"the store {shown} does not answer{more}: {said.splitlines()[0]}") from error
    except OSError as error:
        advice = "name a store in a folder where you may write: --store PATH"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            advice = FREE
        raise BadStore(f"the store {shown} cannot be opened: {error.strerror}.\n  {advice}") from error


def _away(error: Exception) -> bool:
    """Whether it is the connection to a server that failed, and not what was asked of it."""
    if not isinstance(error, exc.DBAPIError) or isinstance(error.orig, sqlite3.Error):
        return False
    state = getattr(error.orig, "sqlstate", None)
    if state is not None:
        return state in AWAY or state.startswith("08")
    return error.connection_invalidated or isinstance(error, exc.OperationalError)
