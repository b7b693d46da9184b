"""What people ask of a search while it runs, and what it says of itself: rows beside the log, no events.

    wanted   trials at which the search ends; the search writes it
    stop     asks it to end as Ctrl-C does
    extend   asks it to go on to that many trials

The study process stays the only writer of events. It looks here between two trials, at most once in `EVERY`
seconds, and takes away what it has heeded.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, delete, insert, inspect, select

from untrained.core.errors import UsageError
from untrained.studies import connect
from untrained.studies.place import Place, explained
from untrained.studies.store import CONTROL, Store

EVERY = 1.0  # seconds between two looks
MOST = 10**9  # trials that a search may be extended to


class Stopped(KeyboardInterrupt):
    """Somebody asked the search to end, and not with Ctrl-C; it ends just so."""


class NotRunning(UsageError):
    """Something was asked of a search that has ended."""


@dataclass(frozen=True)
class Wishes:
    """What was asked since the last look."""

    stop: bool = False
    trials: int = 0
    """0 where nobody wants more"""


@dataclass(frozen=True)
class Status:
    """What a search is about."""

    running: bool
    wanted: int | None
    """trials at which it ends, or would have; None for a search of an older Untrained"""
    asked: Wishes = Wishes()
    """what it has not heeded yet"""


class Control:
    """The search's own side."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._looked = -math.inf

    def announce(self, trials: int) -> None:
        """Says at how many trials this run will end; what was asked of an earlier one is forgotten."""

        def write(connection: Connection) -> None:
            gone = delete(CONTROL)
            if self.store.place.url is not None:  # a file has one writer, and so one search that runs
                gone = gone.where(CONTROL.c.study == self.store.key)
            connection.execute(gone)
            _put(connection, self.store.key, "wanted", str(trials))

        self.store.transact(write)

    def correct(self, trials: int) -> None:
        """Says that it goes on to so many."""
        self.store.transact(lambda connection: _put(connection, self.store.key, "wanted", str(trials)))

    def look(self, *, now: bool = False) -> Wishes:
        """What was asked since; nothing where the last look was less than `EVERY` seconds ago."""
        if not now and time.monotonic() - self._looked < EVERY:
            return Wishes()
        self._looked = time.monotonic()

        def take(connection: Connection) -> Wishes:
            wishes = _wishes(_rows(connection, self.store.key))
            if wishes != Wishes():
                connection.execute(
                    delete(CONTROL).where(
                        CONTROL.c.study == self.store.key, CONTROL.c.name.in_(("stop", "extend"))
                    )
                )
            return wishes

        return self.store.transact(take)


def status(store: Store) -> Status:
    """What the study of an open store is about; also of one that was killed or never had a control."""

    def read(connection: Connection) -> Status:
        rows = _rows(connection, store.key) if inspect(connection).has_table(CONTROL.name) else {}
        running = "wanted" in rows and connect.is_written_to(connection, store.place, store.key)
        return Status(running, _number(rows.get("wanted")) or None, _wishes(rows))

    return store.transact(read)


def stop(location: str | Path, study: str) -> None:
    """Asks a running search to end as Ctrl-C does. Raises NotRunning where none runs."""
    _ask(location, study, "stop", "1")


def extend(location: str | Path, study: str, trials: int) -> None:
    """Asks a running search to go on to that many trials, which have to be more than it is to make now."""
    with Store(location, study=study) as store:
        wanted = status(store).wanted or 0
    if not wanted < trials <= MOST:
        raise UsageError(f"trials={trials:,}; the search goes to {wanted:,}: take more, up to {MOST:,}")
    _ask(location, study, "extend", str(trials))


def _ask(location: str | Path, study: str, name: str, value: str) -> None:
    with Store(location, study=study) as store:
        running, key = status(store).running, store.key
    if not running:
        raise NotRunning(f"no search is running in the study {study!r}; go on with it: --resume")
    place = Place.of(location)
    with explained(place.shown), connect.beside(place) as connection, connection.begin():
        _put(connection, key, name, value)


def _put(connection: Connection, study: int, name: str, value: str) -> None:
    connection.execute(delete(CONTROL).where(CONTROL.c.study == study, CONTROL.c.name == name))
    connection.execute(insert(CONTROL), {"study": study, "name": name, "value": value})


def _rows(connection: Connection, study: int) -> dict[str, str]:
    found = connection.execute(select(CONTROL.c.name, CONTROL.c.value).where(CONTROL.c.study == study))
    return {row.name: row.value for row in found}


def _wishes(rows: dict[str, str]) -> Wishes:
    return Wishes("stop" in rows, _number(rows.get("extend")))


def _number(text: str | None) -> int:
    """0 for what is no number of trials: the row may be anybody's."""
    return int(text) if text and text.isascii() and text.isdecimal() and int(text) <= MOST else 0
