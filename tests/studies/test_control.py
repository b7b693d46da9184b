"""What people ask of a running search: it heeds them, and its log stays what it would have been."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from toy_search import rows, search

from untrained.core.errors import UsageError
from untrained.core.study import Trial
from untrained.studies import control, store
from untrained.studies.control import Control, NotRunning, Status, Stopped, Wishes
from untrained.studies.lock import held
from untrained.studies.store import Store, forget

STRATEGIES = [
    "random_search",
    "regularized_evolution:population=6,tournament=3",
    "nsga2:population=6",
    "grid",
]


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every trial is written and every wish seen before the next."""
    monkeypatch.setattr(control, "EVERY", 0.0)
    monkeypatch.setattr(store, "WAIT", 0.0)


def run(location: Any, trials: int, at: dict[int, Callable[[], None]] | None = None, **more: Any) -> int:
    """A search with a control; `at` says what others do when so many trials are done. Its last total."""
    seen = 0

    def progress(done: int, total: int, trial: Trial) -> None:
        nonlocal seen
        seen = total
        (at or {}).get(done, lambda: None)()

    with Store(location, write=True) as log:
        search(log, trials, progress=progress, control=Control(log), **more)
    return seen


def status(location: Any) -> Status:
    with Store(location) as log:
        return control.status(log)


@pytest.mark.parametrize("synchronous", [True, False])
def test_a_stop_ends_the_search_as_ctrl_c_does_and_it_resumes(tmp_path: Path, synchronous: bool) -> None:
    path, asked = tmp_path / "a.db", {"synchronous": synchronous, "batch": 8 if synchronous else 1}
    with pytest.raises(Stopped) as stopped:
        run(path, 60, {21: lambda: control.stop(path, "search")}, **asked)
    assert isinstance(stopped.value, KeyboardInterrupt)
    assert status(path) == Status(False, 60)
    assert 21 <= len(store.load(path, study="search").trials) <= 23
    run(path, 60, resume=True, **asked)
    run(tmp_path / "whole.db", 60, **asked)
    assert rows(path) == rows(tmp_path / "whole.db")


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("when", [3, 17, 20])
def test_an_extended_search_ends_as_one_that_was_asked_for_more(
    tmp_path: Path, strategy: str, when: int
) -> None:
    path, asked = tmp_path / "a.db", {"strategy": strategy, "batch": 8}
    total = run(path, 20, {when: lambda: control.extend(path, "search", 45)}, **asked)
    run(tmp_path / "whole.db", 45, **asked)
    assert total == 45
    assert rows(path) == rows(tmp_path / "whole.db")
    assert status(path) == Status(False, 45)


def test_one_that_takes_them_as_they_come_is_extended_too(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    run(path, 20, {20: lambda: control.extend(path, "search", 33)}, synchronous=False, batch=1)
    assert len(store.load(path).trials) == 33


def test_a_stop_that_comes_with_the_last_trial_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    run(path, 20, {20: lambda: control.stop(path, "search")})
    assert len(store.load(path).trials) == 20


def test_what_is_asked_stands_until_it_is_heeded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, seen = tmp_path / "a.db", []

    def look() -> None:
        assert status(path) == Status(True, 20)
        control.extend(path, "search", 30)
        control.extend(path, "search", 40)
        seen.append(status(path))
        monkeypatch.setattr(control, "EVERY", 0.0)

    monkeypatch.setattr(control, "EVERY", 1e6)
    run(path, 20, {10: look})
    assert seen == [Status(True, 20, Wishes(trials=40))]
    assert status(path) == Status(False, 40)


@pytest.mark.parametrize("trials", [-1, 0, 19, 20, 10**9 + 1])
def test_fewer_trials_and_absurdly_many_are_refused(tmp_path: Path, trials: int) -> None:
    path = tmp_path / "a.db"

    def less() -> None:
        with pytest.raises(UsageError, match="take more, up to 1,000,000,000"):
            control.extend(path, "search", trials)

    run(path, 20, {10: less})
    assert len(store.load(path).trials) == 20


def test_of_one_that_has_ended_or_was_killed_nothing_is_asked(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    code = (
        "import sys, toy_search; from untrained.studies.store import Store;"
        "from untrained.studies.control import Control; log = Store(sys.argv[1], write=True).__enter__();"
        "toy_search.search(log, 10**6, pause=0.01, control=Control(log),"
        " progress=lambda done, *_: done == 5 and print('five', flush=True))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], cwd=Path(__file__).parent, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "five\n"
    assert status(path).running
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert (tmp_path / "a.db.lock").exists()
    assert status(path) == Status(False, 10**6)
    with pytest.raises(NotRunning, match="go on with it: --resume"):
        control.stop(path, "search")
    with pytest.raises(NotRunning):
        control.extend(path, "search", 2 * 10**6)
    found = len(store.load(path).trials)
    run(path, found + 10, resume=True)
    assert len(store.load(path).trials) == found + 10
    assert not status(path).running


def test_only_the_study_that_is_searched_is_running(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    run(path, 5)
    with Store(path, write=True, study="other") as log:
        search(log, 5, control=Control(log))
        assert not status(path).running
        with Store(path, study="other") as reader:
            assert control.status(reader) == Status(True, 5)
    forget(path, "other")


def test_a_store_from_before_there_were_controls(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    run(path, 20)
    engine = sa.create_engine(f"sqlite:///{path}", poolclass=sa.pool.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE untrained_control")
    assert status(path) == Status(False, None)
    with pytest.raises(NotRunning):
        control.stop(path, "search")
    run(path, 25, resume=True)
    assert status(path) == Status(False, 25)


def test_whoever_looks_at_a_lock_turns_no_writer_away(tmp_path: Path) -> None:
    path, ended = tmp_path / "a.db", threading.Event()
    run(path, 1)

    def look() -> None:
        while not ended.is_set():
            held(path)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        for _ in range(50):
            with Store(path, write=True):
                assert held(path)
    finally:
        ended.set()
        watcher.join()
    assert not held(path)


@pytest.mark.skipif("UNTRAINED_POSTGRES" not in os.environ, reason="needs a server: UNTRAINED_POSTGRES=...")
def test_on_a_server_it_is_the_same(tmp_path: Path) -> None:
    url, name = os.environ["UNTRAINED_POSTGRES"], f"control {tmp_path.name}"
    log = Store(url, write=True, study=name)
    seen: list[Status] = []

    def progress(done: int, total: int, trial: Trial) -> None:
        if done in (10, 30):
            with Store(url, study=name) as reader:
                seen.append(control.status(reader))
            (lambda: control.extend(url, name, 50))() if done == 10 else control.stop(url, name)

    try:
        with log, pytest.raises(Stopped):
            search(log, 20, progress=progress, control=Control(log))
        assert seen == [Status(True, 20), Status(True, 50)]
        with pytest.raises(NotRunning):
            control.stop(url, name)
    finally:
        forget(url, name)
