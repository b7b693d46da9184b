"""The one connection of a store, and for a writer the proof that nobody else writes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event, exc, text
from sqlalchemy.pool import NullPool

from untrained.core.errors import BadStore, MissingExtra
from untrained.studies.events import ANOTHER
from untrained.studies.lock import held, only_writer
from untrained.studies.place import EITHER, NotNow, Place

APPLICATION = 0x556E7472  # "Untr", in the header of our SQLite files
PATIENCE = 10.0  # seconds to wait for what another program holds for a moment


@contextmanager
def connected(place: Place, *, write: bool) -> Iterator[Connection]:
    """A connection that closes with the block. A writer of a file holds its lock as long."""
    place.check(write=write)
    with ExitStack() as stack:
        if place.path is not None and write:
            stack.enter_context(only_writer(place.path))
        connection = stack.enter_context(_opened(place, "rwc" if write else "ro"))
        if place.url is None:
            _claim(connection, place.shown, write=write)
            if write:
                stack.callback(_tidy, connection)
        yield connection


@contextmanager
def beside(place: Place) -> Iterator[Connection]:
    """A connection that may write while another process is the writer: for `control.py`, not for the log."""
    place.check(write=False)
    with _opened(place, "rw") as connection:
        if place.url is None:
            _claim(connection, place.shown, write=False)
        yield connection


def is_written_to(connection: Connection, place: Place, study: int) -> bool:
    """Whether some process holds the lock of the writer: of the file, or of that study on a server."""
    if place.path is not None:
        return held(place.path)
    if connection.dialect.name != "postgresql":
        return False
    asked = text(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 2"
        " AND classid = :application AND objid = :study"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    found = connection.execute(asked, {"application": APPLICATION, "study": study})
    return bool(found.scalar_one())


@contextmanager
def _opened(place: Place, mode: str) -> Iterator[Connection]:
    engine = _server(place.url, place.shown) if place.url is not None else _sqlite(place.path, mode)
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def take_turn(connection: Connection) -> None:
    """On PostgreSQL, waits until nobody else makes tables or a study; until the transaction ends.

    On SQLite a writer's transaction is alone anyway.
    """
    if connection.dialect.name == "postgresql":  # studies count from 1
        connection.execute(
            text("SELECT pg_advisory_xact_lock(:application, 0)"), {"application": APPLICATION}
        )


def take_study(connection: Connection, place: Place, study: int) -> None:
    """On PostgreSQL, the lock that `lock.py` is for files; it ends with the connection."""
    if connection.dialect.name != "postgresql":
        return
    asked = text("SELECT pg_try_advisory_lock(:application, :study)")
    if not connection.execute(asked, {"application": APPLICATION, "study": study}).scalar_one():
        raise NotNow(
            f"another process is writing to {place.shown}.\n  wait until it ends, or name another store"
        )


def _server(url: URL, shown: str) -> Engine:
    try:
        # Else the system decides how long a host that says nothing is waited for: two minutes on Linux.
        ours = url.get_driver_name() == "psycopg" and "connect_timeout" not in url.query
        patience = {"connect_timeout": int(PATIENCE)} if ours else {}
        return create_engine(url, poolclass=NullPool, connect_args=patience)
    except exc.NoSuchModuleError:
        raise BadStore(f"{shown}: no kind of database is called {url.drivername!r}.\n  {EITHER}") from None
    except ModuleNotFoundError as error:
        package = error.name or url.get_driver_name()
        if url.get_backend_name() == "postgresql":
            raise MissingExtra(f"the store {shown}", package, "pg") from None
        raise BadStore(f"the store {shown} needs {package}.\n  install: pip install {package}") from None


def _sqlite(path: Path | None, mode: str) -> Engine:
    """SQLite in transactions that we begin ourselves; Python's own would leave out the making of tables.

    `mode` is SQLite's: `ro`, `rw`, or `rwc`, which makes the file too.
    """

    def connect() -> sqlite3.Connection:
        target = ":memory:" if path is None else f"file:{quote(str(path.absolute()))}?mode={mode}"
        return sqlite3.connect(
            target, PATIENCE, isolation_level=None, check_same_thread=False, uri=path is not None
        )

    engine = create_engine("sqlite://", creator=connect, poolclass=NullPool)
    if mode != "ro":
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    return engine


def _claim(connection: Connection, shown: str, *, write: bool) -> None:
    """Raises BadStore for another program's file; a writer's file gets a journal that readers can share."""
    cursor = connection.connection.cursor()  # below SQLAlchemy: a journal is not changed in a transaction
    try:
        cursor.execute("PRAGMA application_id")
        owner = (cursor.fetchone() or (0,))[0]
        cursor.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
        tables = [name for (name,) in cursor.fetchall()]
        if owner != APPLICATION and (tables or owner != 0):
            listed = ", ".join(tables[:4]) or "none"
            raise BadStore(f"{shown} belongs to another program (its tables: {listed}).\n  {ANOTHER}")
        if write:
            # `synchronous` stays FULL, SQLite's default: what is committed outlives a power cut.
            cursor.execute("PRAGMA journal_mode = WAL")
            cursor.fetchall()
    finally:
        cursor.close()


def _tidy(connection: Connection) -> None:
    """Leaves one plain file, which can be copied, and read where nobody may write.

    While somebody reads, the file keeps its journal of the run; the next writer's end tidies it.
    """
    with suppress(exc.DBAPIError, sqlite3.Error):
        cursor = connection.connection.cursor()
        try:
            cursor.execute("PRAGMA busy_timeout = 0")
            cursor.execute("PRAGMA journal_mode = DELETE")
            cursor.fetchall()
        finally:
            cursor.close()


def sign(connection: Connection) -> None:
    """Marks a new SQLite file as ours, in the transaction that makes its tables."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION}")
