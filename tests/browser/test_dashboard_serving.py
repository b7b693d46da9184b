"""The dashboard as a command: what it shows of which store, where it listens, how it ends."""

from __future__ import annotations

import csv
import io
import json
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from serving import GOALS, Served, fill
from typer.testing import CliRunner

from untrained.apps.cli.app import app
from untrained.apps.dashboard import serve
from untrained.core.study import Question
from untrained.studies import events, store
from untrained.studies.store import Store, load
from untrained.studies.stream import stream, trial, value_names

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")


SLOW = """
import sys, time
sys.path.insert(0, sys.argv[2])
import toy_search
from untrained.studies.control import Control
from untrained.studies.store import Store

class Slow(Control):
    def look(self, *, now=False):
        time.sleep(0.02)
        return super().look(now=now)

with Store(sys.argv[1], write=True) as log:
    toy_search.search(log, 5000, control=Slow(log))
"""

pytestmark = pytest.mark.timeout(120)


def refused(*words: object, code: int = 2) -> str:
    """What a command says that does not begin to serve."""
    result = CliRunner().invoke(app, ["dashboard", *map(str, words), "--no-open"])
    assert result.exit_code == code, result.output
    return result.stderr


def wait_for(holds: Callable[[], Any], seconds: float = 20.0) -> Any:
    end = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.1)
    return found


# --- what it shows ------------------------------------------------------------------------------------


def test_a_store_without_a_study_waits_for_one(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    path.touch()
    with Served(path) as served:
        assert "No study is here yet" in served.get("/").text
        assert served.get("/study?study=search").status == 404
        fill(path, "search", 30)
        wait_for(lambda: 'href="/study?study=search"' in served.get("/").text)


def test_a_study_with_its_question_alone_and_one_of_failures(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with Store(path, write=True, study="empty") as log:
        log.append("question", events.question_body(Question("made_up", GOALS)))
    fill(path, "bad", 40, bad=True)
    with Served(path) as served:
        empty, bad = served.get("/study?study=empty").text, served.get("/study?study=bad").text
        assert "No trial was good so far" in empty
        assert "No trial was good so far" in bad
        assert "failed: gain: too wide" in bad
        assert served.get("/trial?study=bad&number=7").status == 200
        assert "failed" in served.get("/trial?study=bad&number=7").text
        both = served.get("/compare?a=empty&b=bad")
        assert both.status == 200
        assert served.get("/trial?study=empty&number=0").status == 400
        assert len(served.get("/download?study=empty&format=csv").text.splitlines()) == 1


def test_it_follows_a_search_and_stops_and_extends_it(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    folder = Path(__file__).parents[1] / "studies"
    search = subprocess.Popen([sys.executable, "-c", SLOW, str(path), str(folder)], stderr=subprocess.PIPE)
    try:
        wait_for(path.exists)
        with Served(path) as served:
            first = served.news("search", lambda news: news.get("running"))
            assert first["of"] == "of 5,000"
            later = served.news("search", lambda news: news.get("trials") != first["trials"])
            assert int(later["trials"].replace(",", "")) > int(first["trials"].replace(",", ""))
            assert "Stop the search" in served.get("/study?study=search").text
            less = served.post("/extend", "study=search&trials=10")
            assert less.status == 400
            assert "take more" in less.text
            answer = served.post("/extend", "study=search&trials=6000")
            assert (answer.status, answer.headers["location"]) == (303, "/study?study=search")
            served.news("search", lambda news: news["of"] == "of 6,000")
            assert served.post("/stop", "study=search").status == 303
            last = served.news("search", lambda news: not news["running"])
            assert last["phase"] == "stopped before its end; go on with --resume"
            assert "Stop the search" not in served.get("/study?study=search").text
            search.wait(timeout=20)
            assert search.returncode != 0  # as Ctrl-C does
            assert last["trials"] == f"{len(load(path).trials):,}"
    finally:
        search.kill()
        search.communicate()


def test_a_store_that_vanishes_is_told_of_and_comes_back(tmp_path: Path) -> None:
    path, away = tmp_path / "s.db", tmp_path / "away.db"
    fill(path, "one", 50)
    with Served(path) as served:
        path.rename(away)
        said = served.news("one", lambda news: news["trouble"])["trouble"]
        assert said == f"there is no store {path}."
        page = served.get("/study?study=one")
        assert page.status == 200  # what was read before
        assert said in page.text
        assert served.get("/trial?study=one&number=0").status == 400
        path.write_text("something else altogether, and long enough")
        served.news("one", lambda news: "is not a database" in news["trouble"])
        away.rename(path)
        served.news("one", lambda news: not news["trouble"])
        assert said not in served.get("/study?study=one").text
        path.unlink()
        fill(path, "one", 20)  # another study under the same name
        served.news("one", lambda news: news.get("trials") == "20")
        store.forget(path, "one")
        wait_for(lambda: served.get("/study?study=one").status == 404)


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_downloads_are_what_the_command_writes(tmp_path: Path, kind: str) -> None:
    path, out = tmp_path / "s.db", tmp_path / "out"
    fill(path, "one", 300)
    assert (
        CliRunner().invoke(app, ["studies", "export", str(path), "--to", kind, "-o", str(out)]).exit_code == 0
    )
    with Served(path) as served:
        answer = served.get(f"/download?study=one&format={kind}")
    assert answer.headers["content-disposition"] == f'attachment; filename="trials.{kind}"'
    assert answer.text == out.read_bytes().decode()
    if kind == "csv":
        rows = list(csv.DictReader(io.StringIO(answer.text)))
        assert [row["trial"] for row in rows] == [str(n) for n in range(300)]
    else:
        found = [json.loads(line) for line in answer.text.splitlines()]
        assert [one["values"] for one in found] == [dict(t.values) for t in load(path).trials]


def test_it_starts_without_torch(tmp_path: Path) -> None:
    """Units of metrics are read from their files; to import them would take longer than all the rest."""
    fill(tmp_path / "s.db", "one", 60)
    code = (
        "import sys; from untrained.apps.dashboard import shelf, views;"
        "found = shelf.Shelf(sys.argv[1]); found.look(); views.prepare(found.studies.values());"
        "print(sorted(found.studies), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "s.db"], capture_output=True, text=True)
    assert done.stdout == "['one'] False\n", done.stderr


def test_a_stream_of_trials_is_what_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "s.db"
    fill(path, "one", 300)
    whole = load(path)
    assert sum(t.same_as is not None for t in whole.trials) > 5
    monkeypatch.setattr(store, "CHUNK", 7)
    with Store(path) as log:
        assert list(stream(log, whole.question)) == whole.trials
        assert [trial(log, whole.question, n) for n in range(300)] == whole.trials
        assert value_names(log, whole.question) == ["gain", "params"]


def test_it_writes_nothing_into_a_store_that_it_shows(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    fill(path, "one", 50)
    before = path.read_bytes()
    with Served(path) as served:
        for page in ("/", "/study?study=one", "/trial?study=one&number=3"):
            assert served.get(page).status == 200
        served.post("/stop", "study=one")
        fill(path, "two", 10)  # a writer is not locked out
    assert {p.name for p in tmp_path.iterdir()} == {"s.db"}
    assert before[:16] == path.read_bytes()[:16]


# --- where it listens, and how it ends ----------------------------------------------------------------


def test_a_port_in_use_is_refused_with_the_next_or_another_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "s.db"
    fill(path, "one", 10)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refused(path, "--port", port)
        assert f"the port {port} is in use.\n  the next that is free: --port " in said
        assert int(said.split()[-1]) > port
        monkeypatch.setattr(serve, "USUAL", port)
        door = serve.opened("127.0.0.1", None, allow_remote=False)
        door.listener.close()
        assert port < door.port < port + serve.NEXT
        assert len(door.token) >= 40


def test_others_reach_it_only_where_that_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    fill(path, "one", 10)
    assert "if so, add: --allow-remote" in refused(path, "--host", "0.0.0.0")
    assert "nothing can listen at 203.0.113.7" in refused(path, "--host", "203.0.113.7", "--allow-remote")
    with Served(path, "--host", "0.0.0.0", "--allow-remote", "--port", "0") as served:
        assert served.ask("/").status == 403
        assert served.get("/").status == 200
        for host, status in ((f"192.0.2.1:{served.port}", 200), (f"evil.example:{served.port}", 421)):
            assert served.ask("/", Host=host, **served.cookie).status == status


@pytest.mark.parametrize("port", ["-1", "65536", "x"])
def test_what_is_no_port_is_said(tmp_path: Path, port: str) -> None:
    fill(tmp_path / "s.db", "one", 1)
    assert "port" in refused(tmp_path / "s.db", "--port", port)


def test_what_is_no_store_of_ours_is_refused(tmp_path: Path) -> None:
    assert f"there is no store {tmp_path / 'none.db'}" in refused(tmp_path / "none.db")
    (tmp_path / "text.db").write_text("a text that is no database at all")
    assert "is not a database" in refused(tmp_path / "text.db")
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    assert "belongs to another program (its tables: theirs)" in refused(other)
    assert "is a folder" in refused(tmp_path)


def test_without_the_extra_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path / "s.db", "one", 1)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    said = refused(tmp_path / "s.db", "--port", "0")
    assert (
        "the dashboard needs uvicorn, which is not installed.\n  install: pip install 'untrained[dashboard]'"
        in said
    )


def test_ctrl_c_ends_it_also_while_a_page_is_open(tmp_path: Path) -> None:
    fill(tmp_path / "s.db", "one", 10)
    served = Served(tmp_path / "s.db")
    connection, answer = served.open("/events?study=one", **served.cookie)
    assert answer.readline().startswith(b"data: ")
    start = time.monotonic()
    code, said = served.end()
    answer.close()
    connection.close()
    assert code == 0
    assert said.endswith("stopped; searches go on\n")
    assert "Traceback" not in said
    assert time.monotonic() - start < 6


def test_a_browser_is_opened_only_where_there_is_a_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr(serve.webbrowser, "open", shown.append)
    monkeypatch.setattr(serve.sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    serve.show("http://127.0.0.1:1/")
    assert shown == []
    monkeypatch.setenv("DISPLAY", ":0")
    serve.show("http://127.0.0.1:1/")
    assert shown == ["http://127.0.0.1:1/"]


def test_a_store_on_a_folder_that_is_gone(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    folder.mkdir()
    fill(folder / "s.db", "one", 10)
    with Served(folder / "s.db") as served:
        shutil.rmtree(folder)
        assert served.news("one", lambda news: news["trouble"])["trouble"].startswith("there is no folder")
        assert served.get("/").status == 200
