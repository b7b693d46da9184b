"""The event log of a study in a database: a SQLite file, or a server by URL.

untrained_meta     the version of these tables
untrained_studies  name of a study -> its number
untrained_events   (study, number) -> kind and body, canonical JSON; rows are only ever added
untrained_notes    (study, number of its first event) -> what a batch of events came to; see `digest.py`
untrained_control  (study, name) -> what is asked of a running search; no part of the log; see `control.py`
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from sqlalchemy import (
    Column,
    Connection,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    delete,
    exc,
    func,
    insert,
    inspect,
    select,
)

from untrained.core.errors import BadStore
from untrained.core.study import Question, Study, Trial
from untrained.studies import connect, events
from untrained.studies.digest import Digest, canonical, note
from untrained.studies.events import ANOTHER
from untrained.studies.place import NotNow, Place, explained

VERSION = 2  # of the tables; 1 had no notes. A higher one means that a newer Untrained wrote the store
BATCH = 1_000  # events in one transaction at most
WAIT = 1.0  # seconds of work that a killed run loses at most, besides the trial it was at
CHUNK = 5_000  # events read at once
NOTES = 100  # notes read at once
ABSENCE = 120.0  # seconds for which a server that has gone away is asked again
PAUSES = (0.1, 5.0)  # seconds between two such tries, at first and at most; each is twice the one before
USUAL = "search"  # name of a study that nobody named
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
BATCHES = Table(
    "untrained_notes",
    TABLES,
    Column("study", ForeignKey(STUDIES.c.id), primary_key=True),
    Column("first", Integer, primary_key=True, autoincrement=False),
    Column("body", Text, nullable=False),
    sqlite_with_rowid=False,
)
CONTROL = Table(  # writers add it to stores that were made before there was one
    "untrained_control",
    TABLES,
    Column("study", Integer, primary_key=True, autoincrement=False),
    Column("name", String(32), primary_key=True),
    Column("value", Text, nullable=False),
    sqlite_with_rowid=False,
)

logger = logging.getLogger(__name__)
T = TypeVar("T")


class NoStudy(BadStore):
    """A store, or a study in it, that nobody has written a question into."""

    def __init__(self, shown: str) -> None:
        super().__init__(f"the store {shown} holds no study yet.\n  {FILL}")


class Store:
    """One study's log; use it in a `with` block, whose end writes what is still in memory.

    With `write`, the store is made where there is none, and no second process can write to it. Readers
    need no lock and take none. Raises BadStore for whatever cannot be a store, with what to do.

    Without a name, a writer takes the study `search`; a reader too, or else the only one that there is.

    A server that goes away is asked again for `ABSENCE` seconds, and the log says so as a warning. What was
    on its way is then written if it was not, so that no event is lost and none is there twice.
    """

    def __init__(self, location: str | Path, *, write: bool = False, study: str | None = None) -> None:
        place = Place.of(location)
        self.location, self.write, self.place = place.shown, write, place
        self._pending: list[
            tuple[dict[str, Any], Mapping[str, Any]]
        ] = []  # rows, and their bodies as objects
        self._keeps = place.path is not None or place.url is not None  # `:memory:` does not
        self._unsure = self._broken = self._lost = False
        self._written = -math.inf  # the question is there for readers before the first trial
        with ExitStack() as stack, explained(self.location):
            self._connection = stack.enter_context(connect.connected(place, write=write))
            with self._connection.begin():
                self.study, self.key = self._find(study)
                if write:
                    connect.take_study(self._connection, place, self.key)
                self._next = self._count()
                asked = self._question() if write else None
            self._goals = _goals(asked)
            self._closing = stack.pop_all()

    @property
    def safe(self) -> int:
        """How many events the database has taken; a killed run loses none of them."""
        return self._next - len(self._pending)

    def append(self, kind: str, body: Mapping[str, Any]) -> None:
        """Adds an event at the end; a killed run loses the trial it was at and at most `WAIT` seconds more.

        Raises BadStore where the database cannot take the batch; the batches before it stay.
        """
        row = {"study": self.key, "number": self._next, "kind": kind, "body": canonical(body)}
        if kind == "question" and self._next == 0:
            self._goals = _goals(body)
        self._pending.append((row, body))
        self._next += 1
        if len(self._pending) >= BATCH or time.monotonic() - self._written >= WAIT:
            self.flush()

    def flush(self) -> None:
        """Writes what is in memory, in one transaction; after Ctrl-C in the middle it may be called again."""
        if not self._pending:
            return
        safe: int = self._pending[0][0]["number"]
        try:
            self._steadily(self._commit, f" (its first {safe:,} events are safe)")
        except BadStore:
            self._broken = True
            raise
        self._pending = []
        self._unsure, self._written = False, time.monotonic()

    def events(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Every event as (kind, body), oldest first. A reader sees what the writer's batches hold by then."""
        self.flush()
        for chunk in self.chunks():
            yield from chunk

    def chunks(self) -> Iterator[list[tuple[str, dict[str, Any]]]]:
        """The events of one query after another; one long query would keep a journal from shrinking."""
        position = 0
        wanted = select(EVENTS.c.number, EVENTS.c.kind, EVENTS.c.body).where(EVENTS.c.study == self.key)
        while True:
            later = wanted.where(EVENTS.c.number >= position).order_by(EVENTS.c.number).limit(CHUNK)
            rows = self._rows(later)
            yield list(zip((row.kind for row in rows), self._parsed([row.body for row in rows]), strict=True))
            if len(rows) < CHUNK:
                return
            position = rows[-1].number + 1

    def digest(self) -> tuple[Question, Digest]:
        """The question, and what all trials together came to, without reading them one by one."""
        question, found = self.question(), Digest()
        self.read_on(question, found)
        return question, found

    def question(self) -> Question:
        """What the search was asked; raises NoStudy where nobody has written it yet."""
        self.flush()
        body = self.transact(lambda connection: self._question())
        if body is None:
            raise NoStudy(self.location)
        try:
            return events.question_of(body)
        except events.UNREADABLE as error:
            raise events.damaged(self.location, "the question", error) from None

    def read_on(self, question: Question, found: Digest) -> None:
        """Adds to `found` what the log has come to since; the earlier notes are not read again."""
        self.flush()
        wanted = select(BATCHES.c.first, BATCHES.c.body).where(BATCHES.c.study == self.key)
        while True:
            later = wanted.where(BATCHES.c.first >= found.events)
            rows = self._rows(later.order_by(BATCHES.c.first).limit(NOTES))
            notes = self._parsed([row.body for row in rows])
            before = found.events
            try:
                found.add(notes, len(question.objectives))
                for row, one in zip(rows, notes, strict=True):
                    if row.first != before:
                        raise ValueError(f"the note on event {before} is missing")
                    before += one["events"]
            except events.UNREADABLE as error:
                raise events.damaged(self.location, f"the notes from event {before}", error) from None
            if len(rows) < NOTES:
                return

    def trials(self, question: Question, numbers: Sequence[int]) -> list[Trial]:
        """The trials of these numbers, in this order; none of them may be a repeat."""
        found: dict[int, Trial] = {}
        for number, body in self.bodies(numbers).items():
            try:
                found[number] = events.trial_of(question, body)
            except events.UNREADABLE as error:
                raise events.damaged(self.location, f"event {number + 1}", error) from None
        if missing := [n for n in numbers if n not in found]:
            raise events.damaged(self.location, f"event {missing[0] + 1}", LookupError("it is not there"))
        return [found[n] for n in numbers]

    def bodies(self, numbers: Sequence[int]) -> dict[int, dict[str, Any]]:
        """Number of a trial -> what the log has on it, for those of `numbers` that are there."""
        self.flush()
        found: dict[int, dict[str, Any]] = {}
        wanted = select(EVENTS.c.number, EVENTS.c.body).where(EVENTS.c.study == self.key)
        for start in range(0, len(numbers), CHUNK):
            # The question is event 0, so trial n is event n + 1.
            places = [n + 1 for n in numbers[start : start + CHUNK]]
            rows = self._rows(wanted.where(EVENTS.c.number.in_(places)))
            parsed = self._parsed([row.body for row in rows])
            found.update(zip((row.number - 1 for row in rows), parsed, strict=True))
        return found

    def remove(self) -> None:
        """Takes the study out of the store, for good; nothing can be appended afterwards."""
        self._pending, self._broken = [], True
        with explained(self.location), self._connection.begin():
            for table in (CONTROL, BATCHES, EVENTS):
                self._connection.execute(delete(table).where(table.c.study == self.key))
            self._connection.execute(delete(STUDIES).where(STUDIES.c.id == self.key))

    def transact(self, work: Callable[[Connection], T]) -> T:
        """What `work` returns, done in one transaction; after a server's absence perhaps a second time."""

        def done() -> T:
            with self._transaction():
                return work(self._connection)

        return self._steadily(done)

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

    # --- a server that goes away ----------------------------------------------------------------------

    def _steadily(self, work: Callable[[], T], more: str = "") -> T:
        """What `work` returns. Where a server has gone away, it is asked again for a while."""
        started, pause, away = time.monotonic(), PAUSES[0], False
        while True:
            try:
                with explained(self.location, more):
                    found = work()
            except NotNow as error:
                if time.monotonic() - started + pause > ABSENCE:
                    raise
                if not away:
                    said = str(error).partition("\n")[0]
                    logger.warning("%s; trying again for %.0f s", said, ABSENCE)
                self._lost = away = True
                with suppress(exc.SQLAlchemyError):
                    self._connection.rollback()
                    self._connection.invalidate()  # the next transaction connects anew
                time.sleep(pause)
                pause = min(2 * pause, PAUSES[1])
            else:
                if away:  # not where Ctrl-C alone has cost the connection
                    logger.warning("the store %s answers again; nothing was lost", self.location)
                self._lost = False
                return found

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """A transaction; on a new connection of a writer it takes the lock anew, which went with the old one.

        Once the lock is ours again, the old connection has ended, and its last commit is decided.
        """
        self._lost = self._lost or self._connection.invalidated
        with self._connection.begin():
            if self._lost and self.write:
                connect.take_study(self._connection, self.place, self.key)
            yield

    def _commit(self) -> None:
        """Writes the pending rows and the note on them, unless an earlier try has."""
        with self._transaction():
            if self._unsure or self._lost:
                self._drop_written()
            self._unsure = True
            if self._pending:
                rows = [row for row, _ in self._pending]
                self._connection.execute(insert(EVENTS), rows)
                batch = [(row["kind"], body) for row, body in self._pending]
                noted = {"study": self.key, "first": rows[0]["number"], "body": note(batch, self._goals)}
                self._connection.execute(insert(BATCHES), [noted])

    def _drop_written(self) -> None:
        """Forgets pending rows that are in the store. Raises BadStore where others are in their place."""
        first, stored = self._pending[0][0]["number"], self._count()
        if stored < first:
            raise BadStore(
                f"the store {self.location} has gone back: it held {first:,} events and now holds {stored:,}."
                "\n  go on from there with --resume"
            )
        wanted = select(EVENTS.c.body).where(EVENTS.c.study == self.key, EVENTS.c.number >= first)
        there = self._connection.execute(wanted.order_by(EVENTS.c.number)).scalars().all()
        ours = [row["body"] for row, _ in self._pending[: len(there)]]
        if list(there) != ours:
            raise BadStore(
                f"the store {self.location} was written to by another process meanwhile.\n"
                "  let one process write, with --resume"
            )
        self._pending = self._pending[len(there) :]

    def _rows(self, wanted: Any) -> Sequence[Any]:
        return self.transact(lambda connection: connection.execute(wanted).all())

    # --- the small parts ------------------------------------------------------------------------------

    def _find(self, study: str | None) -> tuple[str, int]:
        """Name and number of a study; a writer makes the tables and the study where there are none."""
        connection = self._connection
        if self.write:
            connect.take_turn(connection)
        if self.write and not inspect(connection).has_table(META.name):
            TABLES.create_all(connection)
            connect.sign(connection)
            connection.execute(insert(META), {"key": "version", "value": str(VERSION)})
        found = _studies(connection, self.location)
        if self.write:
            CONTROL.create(connection, checkfirst=True)
        name = study or USUAL
        if study is None and not self.write and name not in found and len(found) == 1:
            (name,) = found
        if name in found:
            return name, found[name]
        if not self.write:
            listed = ", ".join(sorted(found)) or "none"
            which = f"has no study {study!r}" if study else "has several studies"
            more = "" if study else "\n  name one: --study NAME"
            raise BadStore(f"the store {self.location} {which}; it has: {listed}.{more}")
        found[name] = max(found.values(), default=0) + 1
        connection.execute(insert(STUDIES), {"id": found[name], "name": name})
        return name, found[name]

    def _question(self) -> dict[str, Any] | None:
        wanted = select(EVENTS.c.body).where(
            EVENTS.c.study == self.key, EVENTS.c.number == 0, EVENTS.c.kind == "question"
        )
        found = self._connection.execute(wanted).scalar()
        return None if found is None else self._parsed([found])[0]

    def _count(self) -> int:
        last = select(func.coalesce(func.max(EVENTS.c.number), -1)).where(EVENTS.c.study == self.key)
        highest: int = self._connection.execute(last).scalar_one()
        return highest + 1

    def _parsed(self, bodies: list[str]) -> list[dict[str, Any]]:
        try:
            parsed: list[dict[str, Any]] = json.loads(f"[{','.join(bodies)}]")  # one call for all is faster
        except (ValueError, RecursionError) as error:
            raise BadStore(f"the store {self.location} is damaged ({error}).\n  {ANOTHER}") from None
        if len(parsed) != len(bodies):
            raise BadStore(f"the store {self.location} is damaged (an event is not one object).\n  {ANOTHER}")
        return parsed


def _goals(question: Mapping[str, Any] | None) -> list[str]:
    """Labels of the objectives in the body of a question; of a damaged one, none."""
    try:
        return [] if question is None else [name for name, _ in question["objectives"]]
    except (LookupError, TypeError, ValueError):
        return []


def _studies(connection: Connection, shown: str) -> dict[str, int]:
    """Name -> number of every study in the store. Raises BadStore where there are no tables of ours."""
    if not inspect(connection).has_table(META.name):
        raise NoStudy(shown)
    version = connection.execute(select(META.c.value).where(META.c.key == "version")).scalar() or ""
    known = int(version) if version.isdecimal() else None
    if known is None:
        raise BadStore(f"the store {shown} has no known version ({version!r}).\n  {ANOTHER}")
    if known != VERSION:
        age, advice = "an older", "read it with that one"
        if known > VERSION:
            age, advice = "a newer", "update: pip install -U untrained"
        raise BadStore(
            f"the store {shown} was written by {age} Untrained"
            f" (its tables have version {known}, this one knows {VERSION}).\n  {advice}, or {ANOTHER}"
        )
    listing = connection.execute(select(STUDIES.c.name, STUDIES.c.id))
    return {row.name: row.id for row in listing}


def names(location: str | Path) -> list[str]:
    """The studies of a store, in the order of the alphabet."""
    place = Place.of(location)
    with (
        explained(place.shown),
        connect.connected(place, write=False) as connection,
        connection.begin(),
    ):
        return sorted(_studies(connection, place.shown))


def lengths(location: str | Path) -> dict[str, int]:
    """Name of each study -> how many events it has; quick whatever their number."""
    place = Place.of(location)
    last = select(func.max(EVENTS.c.number)).where(EVENTS.c.study == STUDIES.c.id).scalar_subquery()
    wanted = select(STUDIES.c.name, func.coalesce(last, -1).label("last")).order_by(STUDIES.c.name)
    with (
        explained(place.shown),
        connect.connected(place, write=False) as connection,
        connection.begin(),
    ):
        _studies(connection, place.shown)  # raises where the tables are not ours
        return {row.name: row.last + 1 for row in connection.execute(wanted)}


def named(location: str | Path, study: str | None = None) -> str:
    """The name of the study that a reader of the store gets."""
    with Store(location, study=study) as log:
        return log.study


def forget(location: str | Path, study: str) -> None:
    """Deletes a study; raises BadStore where there is none of that name, or while somebody writes."""
    if study not in (known := names(location)):
        listed = ", ".join(known) or "none"
        raise BadStore(f"the store {Place.of(location).shown} has no study {study!r}; it has: {listed}.")
    with Store(location, write=True, study=study) as log:
        log.remove()


def load(location: str | Path, *, study: str | None = None) -> Study:
    """What a store says so far, also while another process writes to it; see `Store` for the name."""
    with Store(location, study=study) as log:
        question, trials = events.read(log)
    if question is None:
        raise NoStudy(log.location)
    return Study(question, trials, log.location)
