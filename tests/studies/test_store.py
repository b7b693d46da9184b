"""The log in a database, and every way in which a file can be no store."""

from __future__ import annotations

import errno
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Barrier
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from toy_search import rows, search

from untrained.core.errors import BadStore, MissingExtra
from untrained.studies import events, store
from untrained.studies.store import Store, load


def write(path: Path, trials: int = 20) -> Path:
    with Store(path, write=True) as log:
        search(log, trials)
    return path


def sql(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def pragma(log: Store, setting: str) -> None:
    log._connection.exec_driver_sql(f"PRAGMA {setting}")
    log._connection.rollback()


def test_what_is_appended_comes_back_in_order(tmp_path: Path) -> None:
    bodies = [{"b": n, "a": [0.1 + n, 1e-300, "é\n"], "c": {"x": None}} for n in range(12)]
    with Store(tmp_path / "s.db", write=True) as log:
        for body in bodies:
            log.append("trial", body)
        assert list(log.events()) == [("trial", body) for body in bodies]
        log.append("trial", {})
    with Store(tmp_path / "s.db") as log:
        assert [body for _, body in log.events()] == [*bodies, {}]


def test_rows_are_canonical_json(tmp_path: Path) -> None:
    with Store(tmp_path / "s.db", write=True) as log:
        log.append("kind", {"b": 0.1, "a": "é"})
        with pytest.raises(ValueError, match="JSON compliant"):
            log.append("kind", {"x": float("nan")})
    assert rows(tmp_path / "s.db")[-1] == (1, 0, "kind", '{"a":"\\u00e9","b":0.1}')


def test_long_logs_are_read_in_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "CHUNK", 10)
    for count in (0, 9, 10, 11, 20, 35):
        with Store(tmp_path / f"{count}.db", write=True) as log:
            for n in range(count):
                log.append("trial", {"n": n})
        with Store(tmp_path / f"{count}.db") as log:
            assert [body["n"] for _, body in log.events()] == list(range(count))


def test_events_are_committed_in_batches_by_number_and_by_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stored() -> int:
        with Store(tmp_path / "s.db") as reader:
            return len(list(reader.events()))

    monkeypatch.setattr(store, "BATCH", 5)
    monkeypatch.setattr(store, "WAIT", 1e9)
    with Store(tmp_path / "s.db", write=True) as log:
        seen = []
        for n in range(7):
            log.append("trial", {"n": n})
            seen.append(stored())
        assert seen == [1, 1, 1, 1, 1, 6, 6]  # the first at once, for those who watch
        monkeypatch.setattr(store, "WAIT", 0.0)
        log.append("trial", {"n": 7})
        assert stored() == 8
        monkeypatch.setattr(store, "WAIT", 1e9)
        log.append("trial", {"n": 8})
    assert stored() == 9


@pytest.mark.parametrize("committed", [False, True])
def test_an_interrupted_batch_is_written_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, committed: bool
) -> None:
    """Ctrl-C may strike before the commit, or between it and the moment when we know of it."""
    with Store(tmp_path / "s.db", write=True) as log:
        connection = log._connection

        @contextmanager
        def struck(self: Any) -> Iterator[None]:
            transaction = connection.get_transaction() or begin(connection)
            yield
            if committed:
                transaction.commit()
            else:
                transaction.rollback()
            raise KeyboardInterrupt

        begin = type(connection).begin
        for n in range(3):
            log.append("trial", {"n": n})
        with monkeypatch.context() as patch:
            patch.setattr(type(connection), "begin", struck)
            with pytest.raises(KeyboardInterrupt):
                log.flush()
        log.append("trial", {"n": 3})
    with Store(tmp_path / "s.db") as log:
        assert [body["n"] for _, body in log.events()] == [0, 1, 2, 3]


def test_a_store_may_be_in_memory_or_a_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store(":memory:", write=True) as log:
        assert len(search(log, 20).trials) == 20
        assert len(list(log.events())) == 21
    write(tmp_path / "a.db")
    with Store(f"sqlite:///{tmp_path}/b.db", write=True) as log:
        search(log, 20)
    assert rows(tmp_path / "a.db") == rows(tmp_path / "b.db")
    monkeypatch.chdir(tmp_path)
    assert load("a.db").trials == load("sqlite:///b.db").trials
    assert load(Path("a.db")).store == "a.db"


def test_studies_in_one_store_do_not_see_each_other(tmp_path: Path) -> None:
    for name, trials in [("one", 5), ("two", 9)]:
        with Store(tmp_path / "s.db", write=True, study=name) as log:
            search(log, trials)
    assert [len(load(tmp_path / "s.db", study=name).trials) for name in ("one", "two")] == [5, 9]
    with pytest.raises(BadStore, match=r"no study 'three'; it has: one, two"):
        load(tmp_path / "s.db", study="three")


def test_a_reader_makes_and_changes_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "s.db")
    before = path.read_bytes()
    load(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["s.db"]
    with pytest.raises(BadStore, match="there is no store"):
        load(tmp_path / "absent.db")
    assert os.listdir(tmp_path) == ["s.db"]


# --- what is no store ------------------------------------------------------------------------------------


def a_text(path: Path) -> None:
    path.write_text("once upon a time\n" * 99)


def a_folder(path: Path) -> None:
    path.mkdir()


def another_program(path: Path) -> None:
    sql(path, "CREATE TABLE recipes (name TEXT)", "INSERT INTO recipes VALUES ('soup')")


def another_application(path: Path) -> None:
    sql(path, "PRAGMA application_id = 7", "CREATE TABLE untrained_meta (key, value)")


def a_newer_version(path: Path) -> None:
    write(path)
    sql(path, "UPDATE untrained_meta SET value = '3'")


def an_older_version(path: Path) -> None:
    write(path)
    sql(path, "UPDATE untrained_meta SET value = '1'", "DROP TABLE untrained_notes")


def an_unknown_version(path: Path) -> None:
    write(path)
    sql(path, "UPDATE untrained_meta SET value = 'x'")


def half_of_it(path: Path) -> None:
    write(path, 400)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def only_a_header(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\0" + b"\xff" * 200)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (a_text, "is not a database"),
        (a_folder, r"is a folder(.|\n)*study\.db"),
        (another_program, "belongs to another program .*recipes"),
        (another_application, "belongs to another program"),
        (a_newer_version, r"newer Untrained .*version 3(.|\n)*pip install -U"),
        (an_older_version, r"older Untrained .*version 1(.|\n)*--store NAME"),
        (an_unknown_version, "no known version"),
        (half_of_it, "damaged"),
        (only_a_header, "is not a database"),
    ],
)
@pytest.mark.parametrize("mode", ["write", "read"])
def test_what_is_no_store_is_refused_and_left_alone(tmp_path: Path, make: Any, says: str, mode: str) -> None:
    path = tmp_path / "s.db"
    make(path)
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(BadStore, match=says) as caught, Store(path, write=mode == "write") as log:
        events.read(log)
    assert "\n  " in str(caught.value)  # the next thing to type
    if make in (a_text, another_program, another_application, only_a_header):
        assert path.read_bytes() == before
    assert not path.with_name("s.db.lock").exists()


@pytest.mark.parametrize(
    ("location", "says"),
    [
        ("nowhere/s.db", "no folder(.|\n)*mkdir -p"),
        ("foo://host/name", "no kind of database is called 'foo'"),
        ("sqlite:/://x:y:z", "neither a path nor a database URL|no folder"),
        ("://", "neither a path nor a database URL"),
    ],
)
def test_a_place_that_cannot_hold_a_store_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, location: str, says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadStore, match=says):
        Store(location, write=True)


def test_a_missing_driver_is_a_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    for url in ("postgresql://me:secret@host/name", "postgresql+psycopg://me:secret@host/name"):
        with pytest.raises(MissingExtra, match=r"untrained\[pg\]") as caught:
            Store(url, write=True)
        assert "secret" not in str(caught.value)


def test_an_empty_file_becomes_a_store_but_is_none_to_read(tmp_path: Path) -> None:
    (tmp_path / "s.db").touch()
    with pytest.raises(BadStore, match="holds no study yet"):
        load(tmp_path / "s.db")
    with Store(tmp_path / "s.db", write=True):
        pass
    with pytest.raises(BadStore, match="holds no study yet"):
        load(tmp_path / "s.db")
    assert len(load(write(tmp_path / "s.db")).trials) == 20


def test_a_read_only_place_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **more: Any) -> int:
        raise OSError(errno.EROFS, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        with pytest.raises(BadStore, match=r"Read-only file system(.|\n)*another|--store PATH"):
            Store(tmp_path / "s.db", write=True)
    write(tmp_path / "s.db")
    with Store(tmp_path / "s.db", write=True) as log:
        pragma(log, "query_only = 1")
        with pytest.raises(BadStore, match="is read-only"):
            log.append("trial", {})


def test_two_writers_in_one_process_are_two_writers(tmp_path: Path) -> None:
    with Store(tmp_path / "s.db", write=True):
        with pytest.raises(BadStore, match="another process is writing"):
            Store(tmp_path / "s.db", write=True)
        with pytest.raises(BadStore, match="another process is writing"):
            Store(tmp_path / "s.db", write=True)
    write(tmp_path / "s.db")


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE untrained_events SET body = '{' WHERE number = 3",
        "UPDATE untrained_events SET body = '1,2' WHERE number = 3",
        "UPDATE untrained_events SET body = '{}' WHERE number = 3",
        "UPDATE untrained_events SET body = '[]' WHERE number = 0",
        'UPDATE untrained_events SET body = \'{"number":2,"same_as":77}\' WHERE number = 3',
        "UPDATE untrained_events SET kind = 'song' WHERE number = 3",
        "UPDATE untrained_events SET body = replace(body, 'architecture', 'arquitectura') WHERE number = 1",
        "DELETE FROM untrained_events WHERE number = 3",
        "DELETE FROM untrained_events WHERE number = 0",
        "DROP TABLE untrained_events",
    ],
)
def test_a_log_that_does_not_hang_together_is_damaged(tmp_path: Path, damage: str) -> None:
    path = write(tmp_path / "s.db")
    sql(path, damage)
    with pytest.raises(BadStore, match=r"damaged|no such table"):
        load(path)


def test_a_full_disk_keeps_what_is_written_and_goes_on_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "BATCH", 50)
    path = tmp_path / "full.db"
    with Store(path, write=True) as log:
        pragma(log, "max_page_count = 12")
        with pytest.raises(BadStore, match=r"disk is full(.|\n)*--resume") as caught:
            search(log, 2000)
    safe = len(load(path).trials) + 1
    assert f"its first {safe} events are safe" in str(caught.value)
    assert safe > 1
    with Store(path, write=True) as log:
        search(log, 500, resume=True)
    assert rows(path) == rows(write(tmp_path / "whole.db", 500))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 400 KiB in memory."""

    def mounted(*words: str) -> None:
        subprocess.run([*words, str(tmp_path)], check=True, capture_output=True)

    try:
        mounted("mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs the right to mount a small disk")
    yield tmp_path
    mounted("umount")


def test_a_small_disk_that_fills_and_one_that_nobody_may_write_to(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def remount(options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", str(small_disk)], check=True)

    monkeypatch.setattr(store, "BATCH", 50)
    path, reported = small_disk / "s.db", [0]
    full = pytest.raises(BadStore, match=r"the disk is full \(its first(.|\n)*--resume")
    with Store(path, write=True) as log, full as caught:
        search(log, 5000, progress=lambda done, total, trial: reported.append(done))
    safe = len(load(path).trials)
    assert f"first {safe + 1:,} events" in str(caught.value)
    assert safe >= reported[-1] > 100
    remount("size=8m")
    with Store(path, write=True) as log, Store(":memory:", write=True) as whole:
        assert search(log, 2000, resume=True).trials == search(whole, 2000).trials
    remount("ro")
    assert len(load(path).trials) == 2000
    with pytest.raises(BadStore, match=r"Read-only file system(.|\n)*--store PATH"):
        Store(path, write=True)
    remount("rw")


server = pytest.mark.skipif(
    "UNTRAINED_POSTGRES" not in os.environ, reason="needs a server: UNTRAINED_POSTGRES=postgresql://..."
)


@server
def test_several_studies_may_begin_at_once_on_an_empty_server(tmp_path: Path) -> None:
    url, fresh = os.environ["UNTRAINED_POSTGRES"], f"fresh_{uuid4().hex}"
    engine = sa.create_engine(
        url.replace("postgresql://", "postgresql+psycopg://"), isolation_level="AUTOCOMMIT"
    )
    start = Barrier(4)

    def begin(number: int) -> int:
        start.wait()
        with Store(url.rpartition("/")[0] + f"/{fresh}", write=True, study=f"study {number}") as log:
            return log.key

    with engine.connect() as admin:
        admin.execute(sa.text(f"CREATE DATABASE {fresh}"))
        try:
            with ThreadPoolExecutor(4) as pool:
                assert sorted(pool.map(begin, range(4))) == [1, 2, 3, 4]
        finally:
            admin.execute(sa.text(f"DROP DATABASE {fresh} WITH (FORCE)"))
    engine.dispose()


@server
def test_a_server_holds_the_same_events(tmp_path: Path) -> None:
    """The study gets a name of its own, so that the database may hold others."""
    url, name = os.environ["UNTRAINED_POSTGRES"], tmp_path.name
    for trials in (20, 60):
        with Store(url, write=True, study=name) as log:
            with pytest.raises(BadStore, match="another process is writing"):
                Store(url, write=True, study=name)
            search(log, trials, resume=True)
    with Store(url, study=name) as there, Store(write(tmp_path / "s.db", 60)) as here:
        assert list(there.events()) == list(here.events())
    assert load(url, study=name).trials == load(tmp_path / "s.db").trials
