"""Real processes, really killed."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest
import toy_search
from toy_search import rows, search

from untrained.core.errors import BadStore
from untrained.studies.store import Store, load

TRIALS = 400  # about half a second of trials, in commits of seven


def start(path: Path) -> subprocess.Popen[str]:
    """A search in another process, past its imports and in its loop."""
    command = [sys.executable, toy_search.__file__, str(path), str(TRIALS)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    return process


def end(process: subprocess.Popen[str], how: signal.Signals, after: float) -> str:
    """Waits, stops it, and returns what it still said."""
    time.sleep(after)
    process.send_signal(how)
    said, _ = process.communicate(timeout=30)
    return said


def grown(path: Path, beyond: int, process: subprocess.Popen[str]) -> None:
    """Waits for rows of the process that writes, or its end, however slow the machine is."""
    end = time.monotonic() + 60
    while len(rows(path)) <= beyond and process.poll() is None:
        assert time.monotonic() < end, "it does nothing"
        time.sleep(0.005)


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """The store of a search that nothing stopped."""
    with Store(tmp_path / "whole.db", write=True) as log:
        search(log, TRIALS)
    return tmp_path / "whole.db"


def test_killed_again_and_again_it_ends_with_the_same_rows(tmp_path: Path, whole: Path) -> None:
    moments, path, sizes = Random(3), tmp_path / "killed.db", [0]
    for n in range(5):
        process = start(path)
        if n % 2:  # else killed at any moment, also before its first row
            grown(path, sizes[-1], process)
        end(process, signal.SIGKILL, moments.uniform(0.0, 0.12))
        sizes.append(len(rows(path)))
        assert rows(path) == rows(whole)[: sizes[-1]]  # whole batches, and nothing else
    assert sizes == sorted(sizes)
    assert sizes[-1] > 7
    start(path).communicate(timeout=60)
    assert rows(path) == rows(whole)
    assert load(path).trials == load(whole).trials
    assert [p.name for p in tmp_path.glob("killed*")] == ["killed.db"]  # no journal, no lock left


def test_ctrl_c_loses_no_trial_that_was_reported(tmp_path: Path, whole: Path) -> None:
    path = tmp_path / "stopped.db"
    seen = 3  # version, name and question of the study come before its trials
    for after in (0.05, 0.15):
        process = start(path)
        grown(path, seen, process)
        said = end(process, signal.SIGINT, after).strip()
        told = TRIALS if said == "done" else int(said)  # where we were late
        done = len(load(path).trials)
        assert told <= done <= told + 1  # the last may be written and not yet reported
        seen = len(rows(path))
    start(path).communicate(timeout=60)
    assert rows(path) == rows(whole)


def test_a_second_writer_is_refused_and_may_write_when_the_first_is_dead(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    first = start(path)
    try:
        for same in (path, tmp_path / "link.db"):
            if same != path:
                same.symlink_to(path)
            with pytest.raises(BadStore, match="another process is writing"):
                Store(same, write=True)
        seen = [0]
        while seen[-1] < 60:  # readers are welcome meanwhile
            time.sleep(0.02)
            with suppress(BadStore):  # no question yet
                seen.append(len(load(path).trials))
    finally:
        end(first, signal.SIGKILL, 0.0)
    assert seen == sorted(seen)
    assert path.with_name("s.db.lock").exists()  # left behind, and no obstacle
    with Store(path, write=True) as log:
        assert len(search(log, TRIALS, resume=True).trials) == TRIALS
    assert not path.with_name("s.db.lock").exists()
