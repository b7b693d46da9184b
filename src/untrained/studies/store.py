"""The event log of a study in a database: a SQLite file, or a server by URL.

untrained_meta     the version of these tables
untrained_studies  name of a study -> its number
untrained_events   (study, number) -> kind and body, canonical JSON; rows are only ever added
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlalchemy import (
    Column,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    func,
    insert,
    inspect,
    select,
)

from untrained.core.errors import BadStore
from untrained.core.study import Study
from untrained.studies import connect, events
from untrained.studies.events import ANOTHER
from untrained.studies.place import Place, explained

VERSION = 1  # of the tables; a higher one in a store means that a newer Untrained wrote it
BATCH = 1_000  # events in one transaction at most
WAIT = 1.0  # seconds of work that a killed run loses at most, besides the trial it was at
CHUNK = 5_000  # events read at once
FILL = "fill it: untrained search SPACE --store NAME.db"

TABLES = MetaData()
META = Table(
    "untrained_meta",
    TABLES,
    Column("key", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)
STUDIES = Table(
    "untrained_studies",
    TABLES,
    Column("id", Integer, primary_key=True),
    Column("name", String(200), nullable=False, unique=True),
)
EVENTS = Table(
    "untrained_events",
    TABLES,
    Column("study", ForeignKey(STUDIES.c.id), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("kind", String(32), nullable=False),
    Column("body", Text, nullable=False),
    sqlite_with_rowid=False,
)


class Store:
    """One study's log; use it in a `with` block, whose end writes what is still in memory.

    With `write`, the store is made where there is none, and no second process can write to it. Readers
    need no lock and take none. Raises BadStore for whatever cannot be a store, with what to do.
    """

    def __init__(self, location: str | Path, *, write: bool = False, study: str = "search") -> None:
        place = Place.of(location)
        self.location, self.write = place.shown, write
        self._pending: list[dict[str, Any]] = []
        self._keeps = place.path is not None or place.url is not None  # `:memory:` does not
        self._unsure = self._broken = False
        self._written = -math.inf  # the question is there for readers before the first trial
        with ExitStack() as stack, explained(self.location):
            self._connection = stack.enter_context(connect.connected(place, write=write))
            with self._connection.begin():
                self._study = self._find(study)
                if write:
                    connect.take_study(self._connection, place, self._study)
                self._next = self._count()
            self._closing = stack.pop_all()

    def append(self, kind: str, body: Mapping[str, Any]) -> None:
        """Adds an event at the end; a killed run loses the trial it was at and at most `WAIT` seconds more.

        Raises BadStore where the database cannot take the batch; the batches before it stay.
        """
        text = json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False)
        self._pending.append({"study": self._study, "number": self._next, "kind": kind, "body": text})
        self._next += 1
        if len(self._pending) >= BATCH or time.monotonic() - self._written >= WAIT:
            self.flush()

    def flush(self) -> None:
        """Writes what is in memory, in one transaction; after Ctrl-C in the middle it may be called again."""
        if not self._pending:
            return
        safe = self._pending[0]["number"]
        try:
            with explained(self.location, f" (its first {safe:,} events are safe)"), self._connection.begin():
                if self._unsure:  # interrupted before, perhaps after the commit
                    stored = self._count()
                    self._pending = [row for row in self._pending if row["number"] >= stored]
                self._unsure = True
                if self._pending:
                    self._connection.execute(insert(EVENTS), self._pending)
        except BadStore:
            self._broken = True
            raise
        self._pending = []
        self._unsure, self._written = False, time.monotonic()

    @property
    def safe(self) -> int:
        """How many events the database has taken; a killed run loses none of them."""
        return self._next - len(self._pending)

    def events(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Every event as (kind, body), oldest first. A reader sees what the writer's batches hold by then."""
        self.flush()
        position = 0
        wanted = select(EVENTS.c.number, EVENTS.c.kind, EVENTS.c.body).where(EVENTS.c.study == self._study)
        while True:
            # A query a chunk, and none left open: a long one would keep the writer's journal from shrinking.
            with explained(self.location), self._connection.begin():
                later = wanted.where(EVENTS.c.number >= position).order_by(EVENTS.c.number).limit(CHUNK)
                rows = self._connection.execute(later).all()
            yield from zip((row.kind for row in rows), self._parsed([row.body for row in rows]), strict=True)
            if len(rows) < CHUNK:
                return
            position = rows[-1].number + 1

    def close(self) -> None:
        """Writes what is in memory and gives the lock back; a second call does nothing."""
        with self._closing:
            if self._keeps and not self._broken:
                self.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _find(self, study: str) -> int:
        """The number of a study; a writer makes the tables and the study where there are none."""
        if not inspect(self._connection).has_table(META.name):
            if not self.write:
                raise BadStore(f"the store {self.location} holds no study yet.\n  {FILL}")
            TABLES.create_all(self._connection)
            connect.sign(self._connection)
            self._connection.execute(insert(META), {"key": "version", "value": str(VERSION)})
        self._check_version()
        listing = self._connection.execute(select(STUDIES.c.name, STUDIES.c.id))
        found: dict[str, int] = {row.name: row.id for row in listing}
        if study not in found:
            if not self.write:
                listed = ", ".join(sorted(found)) or "none"
                raise BadStore(f"the store {self.location} has no study {study!r}; it has: {listed}.")
            found[study] = max(found.values(), default=0) + 1
            self._connection.execute(insert(STUDIES), {"id": found[study], "name": study})
        return found[study]

    def _check_version(self) -> None:
        wanted = select(META.c.value).where(META.c.key == "version")
        version = self._connection.execute(wanted).scalar() or ""
        if version.isdecimal() and int(version) > VERSION:
            raise BadStore(
                f"the store {self.location} was written by a newer Untrained"
                f" (its tables have version {version}, this one knows {VERSION}).\n"
                f"  update: pip install -U untrained, or {ANOTHER}"
            )
        if version != str(VERSION):
            raise BadStore(f"the store {self.location} has no known version ({version!r}).\n  {ANOTHER}")

    def _count(self) -> int:
        last = select(func.coalesce(func.max(EVENTS.c.number), -1)).where(EVENTS.c.study == self._study)
        highest: int = self._connection.execute(last).scalar_one()
        return highest + 1

    def _parsed(self, bodies: list[str]) -> list[dict[str, Any]]:
        try:
            parsed: list[dict[str, Any]] = json.loads(f"[{','.join(bodies)}]")  # one call for all is faster
        except (ValueError, RecursionError) as error:
            raise BadStore(f"the store {self.location} is damaged ({error}).\n  {ANOTHER}") from None
        return parsed


def load(location: str | Path, *, study: str = "search") -> Study:
    """What a store says so far, also while another process writes to it."""
    with Store(location, study=study) as log:
        question, trials = events.read(log)
    if question is None:
        raise BadStore(f"the store {log.location} holds no study yet.\n  {FILL}")
    return Study(question, trials, log.location)
