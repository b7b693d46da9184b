"""All studies of a store, looked at once a second; the page asks here and never waits for the disk."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from untrained.apps.dashboard.live import Live
from untrained.core.errors import UnknownName, UntrainedError
from untrained.studies.place import Place
from untrained.studies.store import NoStudy, lengths

EVERY = 1.0  # seconds between two looks
GENTLE = 4.0  # and at least so many times what a look took


class Shelf:
    """Reads on in a thread of its own until it is closed."""

    def __init__(self, location: str | Path) -> None:
        self.location, self.place = location, Place.of(location)
        self.shown = self.place.shown
        self.studies: dict[str, Live] = {}
        self.trouble: str | None = None
        """why the store cannot be read now; what was read before is kept"""
        self.changed = 0
        """grows whenever a page would look otherwise"""
        self._identity: tuple[int, int] | None = None
        self._ended, self._lock = threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._watch, name="reader", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    @property
    def ended(self) -> bool:
        return self._ended.is_set()

    def get(self, name: str) -> Live:
        """The study of that name, once it holds a question; raises UnknownName."""
        live = self.studies.get(name)
        if live is None or live.question is None:
            known = [n for n, one in self.studies.items() if one.question is not None]
            raise UnknownName("study", name, known, f"untrained studies list {self.shown}")
        return live

    def look(self) -> None:
        """Takes in what was written since the last look, of all studies."""
        with self._lock:
            self._look_carefully()

    def _look_carefully(self) -> None:
        before = self.trouble, {n: live.version for n, live in self.studies.items()}
        try:
            self._look()
            self.trouble = None
        except NoStudy:
            self.studies, self.trouble = {}, None
        except (UntrainedError, OSError) as error:
            self.trouble = str(error).partition("\n")[0]
        after = self.trouble, {n: live.version for n, live in self.studies.items()}
        self.changed += before != after

    def _look(self) -> None:
        identity = self._file()
        if identity != self._identity:  # another file under the same name
            self.studies, self._identity = {}, identity
        found = lengths(self.location)
        studies = {n: self.studies.get(n) or Live(self.location, n) for n in found}
        for name, length in found.items():
            if length < studies[name].digest.events:  # deleted and begun anew
                studies[name] = Live(self.location, name)
            live = studies[name]
            if length != live.digest.events or live.status.running or live.question is None:
                live.read_on()
        self.studies = studies

    def _file(self) -> tuple[int, int] | None:
        if self.place.path is None:
            return None
        self.place.check(write=False)
        about = self.place.path.stat()
        return about.st_dev, about.st_ino

    def _watch(self) -> None:
        pause = 0.0
        while not self._ended.wait(pause):
            start = time.monotonic()
            self.look()
            pause = max(EVERY, GENTLE * (time.monotonic() - start))
