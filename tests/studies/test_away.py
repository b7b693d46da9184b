"""A server that goes away while a study is written, and comes back or does not."""

from __future__ import annotations

import logging
import os
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from toy_search import search

from untrained.core.errors import BadStore
from untrained.studies import store
from untrained.studies.overview import overview
from untrained.studies.store import Store, forget, load, names

URL = os.environ.get("UNTRAINED_POSTGRES", "")
server = pytest.mark.skipif(not URL, reason="needs a server: UNTRAINED_POSTGRES=postgresql://...")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "ABSENCE", 5.0)
    monkeypatch.setattr(store, "PAUSES", (0.01, 0.1))


@pytest.fixture
def name() -> Iterator[str]:
    """Of a study of one's own, so that the database may hold others."""
    made = f"away-{uuid4().hex}"
    yield made
    for left in [made, f"{made}-1", f"{made}-2"]:
        with suppress(BadStore):
            forget(URL, left)


@pytest.fixture
def admin() -> Iterator[sa.Connection]:
    """A connection beside the store's own."""
    engine = sa.create_engine(
        URL.replace("postgresql://", "postgresql+psycopg://"), isolation_level="AUTOCOMMIT"
    )
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def backend(log: Store) -> int:
    with log._connection.begin():
        return int(log._connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())


def cut(admin: sa.Connection, pid: int) -> None:
    """Ends a connection from the side of the server, and waits until it is gone."""
    admin.execute(sa.text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})


def bodies(name: str) -> list[Any]:
    with Store(URL, study=name) as log:
        return [body["n"] for _, body in log.events()]


@server
def test_a_search_goes_on_after_its_connection_was_cut(
    tmp_path: Path,
    name: str,
    admin: sa.Connection,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(store, "BATCH", 10)
    with Store(URL, write=True, study=name) as log:

        def strike(done: int, total: int, trial: Any) -> None:
            if done in (30, 60, 61):
                cut(admin, backend(log))

        search(log, 100, progress=strike)
        with pytest.raises(BadStore, match="another process is writing"):  # the lock was taken again
            Store(URL, write=True, study=name)
    with Store(tmp_path / "s.db", write=True) as log:
        search(log, 100)
    assert load(URL, study=name).trials == load(tmp_path / "s.db").trials
    there, here = overview(URL, study=name), overview(tmp_path / "s.db")
    assert (there.trials, there.counts, there.points) == (100, here.counts, here.points)
    said = [r.getMessage() for r in caplog.records if r.name == "untrained.studies.store"]
    assert len(said) == 6
    assert "does not answer (its first 31 events are safe)" in said[0]
    assert said[1].endswith("answers again; nothing was lost")


@server
@pytest.mark.parametrize("committed", [False, True])
def test_a_batch_whose_end_nobody_saw_is_written_once(
    name: str, admin: sa.Connection, monkeypatch: pytest.MonkeyPatch, committed: bool
) -> None:
    monkeypatch.setattr(store, "WAIT", 1e9)
    with Store(URL, write=True, study=name) as log:
        for n in range(5):
            log.append("trial", {"n": n})
        connection, pid = log._connection, backend(log)

        @contextmanager
        def struck(self: Any) -> Iterator[None]:
            patch.undo()
            transaction = connection.get_transaction() or connection.begin()
            yield
            if committed:
                transaction.commit()
            cut(admin, pid)
            connection.exec_driver_sql("SELECT 1")

        with monkeypatch.context() as patch:
            patch.setattr(type(connection), "begin", struck)
            log.flush()
        log.append("trial", {"n": 5})
    assert bodies(name) == [0, 1, 2, 3, 4, 5]
    with Store(URL, study=name) as log:
        wanted = sa.select(store.BATCHES.c.first).where(store.BATCHES.c.study == log.key)
        with log._connection.begin():
            assert sorted(log._connection.execute(wanted).scalars()) == [0, 1, 5]


@server
def test_a_reader_goes_on_too(name: str, admin: sa.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "CHUNK", 2)
    with Store(URL, write=True, study=name) as log:
        for n in range(5):
            log.append("trial", {"n": n})
    with Store(URL, study=name) as log:
        found = []
        for _, body in log.events():
            found.append(body["n"])
            if body["n"] == 2:
                cut(admin, backend(log))
    assert found == [0, 1, 2, 3, 4]


@server
def test_a_writer_who_reads_takes_the_lock_again(name: str, admin: sa.Connection) -> None:
    with Store(URL, write=True, study=name) as log:
        log.append("trial", {"n": 0})
        log.flush()
        cut(admin, backend(log))
        assert len(list(log.events())) == 1
        with pytest.raises(BadStore, match="another process is writing"):
            Store(URL, write=True, study=name)
        log.append("trial", {"n": 1})
    assert bodies(name) == [0, 1]


@server
def test_one_that_stays_away_is_given_up_and_what_is_safe_is_told(
    name: str, admin: sa.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name of the role is refused from then on, which is what a server says that is not there."""
    monkeypatch.setattr(store, "ABSENCE", 0.3)
    role = name.replace("-", "_")
    admin.exec_driver_sql(f"CREATE ROLE {role} SUPERUSER LOGIN")
    url = sa.make_url(URL).set(username=role).render_as_string(hide_password=False)
    try:
        with Store(url, write=True, study=name) as log:
            log.append("trial", {"n": 0})
            log.append("trial", {"n": 1})
            pid = backend(log)
            admin.exec_driver_sql(f"ALTER ROLE {role} CONNECTION LIMIT 0 NOSUPERUSER")
            cut(admin, pid)
            with pytest.raises(BadStore, match=r"its first 1 events are safe(.|\n)*--resume"):
                log.flush()
    finally:
        admin.exec_driver_sql(f"DROP ROLE {role}")
    assert bodies(name) == [0]


@server
def test_others_who_wrote_meanwhile_are_noticed(
    name: str, admin: sa.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "WAIT", 1e9)
    with Store(URL, write=True, study=name) as log:
        log.append("trial", {"n": 0})
        log.append("trial", {"n": 1})
        cut(admin, backend(log))
        with Store(URL, write=True, study=name) as other:
            other.append("trial", {"n": 7})
        with pytest.raises(BadStore, match="by another process meanwhile"):
            log.flush()
    assert bodies(name) == [0, 7]


@server
def test_a_server_that_lost_its_end_is_noticed(
    name: str, admin: sa.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "WAIT", 0.0)
    wanted = sa.text("DELETE FROM untrained_events WHERE study = :study AND number = 2")
    with Store(URL, write=True, study=name) as log:
        for n in range(3):
            log.append("trial", {"n": n})
        admin.execute(wanted, {"study": log.key})
        cut(admin, backend(log))
        with pytest.raises(BadStore, match=r"gone back: it held 3 events and now holds 2"):
            log.append("trial", {"n": 3})


@server
def test_a_lock_that_the_old_connection_still_holds_is_waited_for(
    name: str, admin: sa.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "WAIT", 1e9)
    with Store(URL, write=True, study=name) as log:
        log.append("trial", {"n": 0})
        cut(admin, backend(log))
        taken = {"a": store.connect.APPLICATION, "b": log.key}
        admin.execute(sa.text("SELECT pg_advisory_lock(:a, :b)"), taken)
        asked = sa.text("SELECT pg_advisory_unlock(:a, :b)")
        timer = threading.Timer(0.5, lambda: admin.execute(asked, taken))
        timer.start()
        log.append("trial", {"n": 1})
        log.flush()
        timer.join()
    assert bodies(name) == [0, 1]


@server
def test_a_study_on_a_server_is_deleted_by_the_one_who_writes(name: str) -> None:
    one, two = f"{name}-1", f"{name}-2"
    for study in (one, two):
        with Store(URL, write=True, study=study) as log:
            search(log, 5)
    with Store(URL, write=True, study=one), pytest.raises(BadStore, match="another process is writing"):
        forget(URL, one)
    forget(URL, one)
    assert one not in names(URL)
    assert len(load(URL, study=two).trials) == 5


def test_what_was_asked_wrongly_is_not_asked_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "ABSENCE", 1e9)
    with Store(tmp_path / "s.db", write=True) as log:
        log._connection.exec_driver_sql("DROP TABLE untrained_events")
        log._connection.commit()
        with pytest.raises(BadStore, match="no such table"), caplog.at_level(logging.WARNING):
            log.append("trial", {})
    assert not caplog.records


@pytest.mark.parametrize(
    ("said", "means"),
    [
        ('could not extend file "base/1/2": No space left on device', "the disk is full"),
        ("cannot execute INSERT in a read-only transaction", "is read-only"),
    ],
)
def test_what_a_server_says_of_its_disk_is_explained(said: str, means: str) -> None:
    from untrained.studies.place import NotNow, explained

    class Full(Exception):
        sqlstate = "53100"

    with pytest.raises(BadStore, match=means) as caught, explained("db"):
        raise sa.exc.OperationalError("INSERT", {}, Full(said))
    assert not isinstance(caught.value, NotNow)


# --- a server of one's own, stopped and started for real ---------------------------------------------------


@pytest.fixture
def own_server() -> Iterator[tuple[str, Callable[..., None]]]:
    """(URL, a function that starts or stops the server); from Debian's packages, on loopback."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("needs PostgreSQL's own programs: apt-get install postgresql")
    folder, root = Path(tempfile.mkdtemp(prefix="away-")), os.geteuid() == 0
    if root:
        shutil.chown(folder, "postgres")
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def program(name: str, *words: str) -> None:
        command = [str(found[-1].with_name(name)), "-D", str(folder / "data"), *words]
        user = ["runuser", "-u", "postgres", "--"] if root else []
        # No pipes: the server would hold them open.
        subprocess.run([*user, *command], check=True, cwd=folder, stdout=subprocess.DEVNULL, timeout=60)

    def turn(what: str) -> None:
        options = ["-o", f"-p {port} -k {folder} -c listen_addresses=127.0.0.1", "-l", str(folder / "log")]
        program("pg_ctl", "-w", what, *(options if what == "start" else ["-m", "immediate"]))

    try:
        program("initdb", "-A", "trust", "-U", "postgres")
        turn("start")
        yield f"postgresql://postgres@127.0.0.1:{port}/postgres", turn
    finally:
        with suppress(subprocess.CalledProcessError):  # one that is not running
            turn("stop")
        shutil.rmtree(folder)


@pytest.mark.slow
def test_a_server_that_crashes_and_comes_back_loses_nothing_and_does_nothing_twice(
    own_server: tuple[str, Callable[..., None]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, turn = own_server
    monkeypatch.setattr(store, "ABSENCE", 60.0)
    monkeypatch.setattr(store, "BATCH", 10)
    starts = []

    def strike(done: int, total: int, trial: Any) -> None:
        if done in (25, 70):
            for start in starts:
                start.join()  # the server may answer before its own program says that it has started
            turn("stop")
            starts.append(threading.Timer(1.0, lambda: turn("start")))
            starts[-1].start()

    with Store(url, write=True) as log:
        search(log, 100, progress=strike)
    for start in starts:
        start.join()
    with Store(tmp_path / "s.db", write=True) as log:
        search(log, 100)
    with Store(url) as there, Store(tmp_path / "s.db") as here:
        assert list(there.events()) == list(here.events())
    assert len(starts) == 2
    monkeypatch.setattr(store, "ABSENCE", 0.5)
    reported = []

    def end(done: int, total: int, trial: Any) -> None:
        reported.append(done)
        if done == 110:
            turn("stop")

    with (
        pytest.raises(BadStore, match=r"its first \d+ events are safe(.|\n)*--resume"),
        Store(url, write=True) as log,
    ):
        search(log, 200, resume=True, progress=end)
    turn("start")
    assert len(load(url).trials) >= max(reported)
    with Store(url, write=True) as log, Store(tmp_path / "s.db", write=True) as other:
        assert search(log, 200, resume=True).trials == search(other, 200, resume=True).trials
