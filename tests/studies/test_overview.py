"""What is told of a study without its trials equals what its trials say."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from toy_search import Toy, question, search

from untrained.core.architecture import Architecture
from untrained.core.errors import BadStore
from untrained.core.strategy import Ask
from untrained.core.study import Question
from untrained.studies import events, store
from untrained.studies.digest import undominated
from untrained.studies.events import Outcome
from untrained.studies.overview import overview, overviews
from untrained.studies.store import Store, forget, load, named, names

GOALS = [("a", "higher"), ("b", "lower"), ("c", "higher")]


def random_study(path: Path, seed: int, goals: int, trials: int = 300) -> Path:
    """Trials of every kind: repeats, fidelities, several draws, rejections, failures, equal scores."""
    rng, space = Random(seed), Toy()
    asked = question(objectives=tuple(GOALS[:goals]), fidelities=(("cheap", "lower"),), where="", also=("x",))
    known: dict[Any, Any] = {}
    levels = rng.choice((3, 1000))  # few of them: many ties
    with Store(path, write=True) as log:
        log.append("question", events.question_body(asked))
        for n in range(trials):
            ask = Ask(space.sample(rng), rng.choice((None, None, 0)), rng.choice((0, 0, 1, 2)), note=[n])
            if (key := events.key(ask)) in known:
                trial = events.repeat(n, known[key], ask.note)
            else:
                values = {name: rng.randrange(-levels, levels) / 7 for name in ("a", "b", "c", "cheap")}
                outcome = rng.choice(
                    [
                        Outcome("ok", values),
                        Outcome("ok", values),
                        Outcome("ok", values, "x: no such value; y: neither"),
                        Outcome("rejected", {"a": 1.0}, "a < 1; b < 2", 0.5),
                        Outcome("rejected", {"a": 1.0}, "b < 2", 0.5),
                        Outcome("failed", {}, "out of memory"),
                        Outcome("failed", {"a": float("nan")}),
                    ]
                )
                trial = known[key] = events.judge(asked, n, ask, outcome)
            log.append("trial", events.trial_body(trial))
    return path


@pytest.mark.parametrize("goals", [1, 2, 3])
@pytest.mark.parametrize("seed", range(8))
def test_an_overview_equals_the_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, goals: int
) -> None:
    monkeypatch.setattr(store, "BATCH", 17)
    monkeypatch.setattr(store, "NOTES", 4)
    monkeypatch.setattr(store, "CHUNK", 7)
    path = random_study(tmp_path / "s.db", seed, goals)
    study, found = load(path), overview(path, best=10**9)
    assert found.question == study.question
    assert found.leaders == study.distinct()
    assert found.points == study.front()
    assert found.best == study.best
    assert found.front_size == len(study.front())
    assert found.trials == len(study.trials)
    firsts = [t for t in study.trials if t.same_as is None]
    assert found.repeats == len(study.trials) - len(firsts)
    counted = Counter((t.status, t.reason) for t in firsts)
    assert list(found.counts.items()) == list(counted.items())  # in the same order
    few = overview(path, best=3, front=2)
    assert (few.leaders, few.points) == (study.distinct()[:3], study.front()[:2])
    assert few.front_size == found.front_size


def test_the_tests_have_draws_and_repeats(tmp_path: Path) -> None:
    study = load(random_study(tmp_path / "s.db", 0, 2))
    measured = [t for t in study.trials if t.status == "ok" and t.same_as is None and t.fidelity is None]
    assert len(measured) > len(study.distinct())
    assert any(t.same_as is not None for t in study.trials)
    assert any(t.fidelity == 0 and t.status == "ok" for t in study.trials)


def test_an_overview_of_a_real_search_that_was_resumed(tmp_path: Path) -> None:
    for trials in (60, 200):
        with Store(tmp_path / "s.db", write=True) as log:
            search(log, trials, resume=True)
    study, found = load(tmp_path / "s.db"), overview(tmp_path / "s.db")
    assert (found.points, found.leaders) == (study.front(), study.distinct()[:10])
    assert found.trials == 200


def test_a_writer_sees_what_it_has_not_written_yet(tmp_path: Path) -> None:
    with Store(tmp_path / "s.db", write=True) as log:
        search(log, 5)
        assert log.digest()[1].trials == 5


def test_a_study_without_a_good_trial(tmp_path: Path) -> None:
    with Store(tmp_path / "s.db", write=True) as log:
        search(log, 0)
    found = overview(tmp_path / "s.db")
    assert (found.trials, found.best, found.leaders, found.points, found.front_size) == (0, None, [], [], 0)


def test_several_studies_in_a_store(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    for name, trials in [("one", 5), ("two", 9)]:
        with Store(path, write=True, study=name) as log:
            search(log, trials)
    with Store(path, write=True, study="empty"):
        pass
    assert names(path) == ["empty", "one", "two"]
    assert [(o.study, o.trials) for o in overviews(path)] == [("one", 5), ("two", 9)]
    assert overviews(path)[1].best == load(path, study="two").best
    with pytest.raises(BadStore, match=r"several studies; it has: empty, one, two(.|\n)*--study NAME"):
        overview(path)
    with pytest.raises(BadStore, match="holds no study yet"):
        overview(path, study="empty")
    with Store(path, write=True) as log:
        search(log, 2)
    assert (named(path), len(load(path).trials)) == ("search", 2)


def test_the_only_study_needs_no_name(tmp_path: Path) -> None:
    with Store(tmp_path / "s.db", write=True, study="mine") as log:
        search(log, 3)
    assert named(tmp_path / "s.db") == "mine"
    assert len(load(tmp_path / "s.db").trials) == overview(tmp_path / "s.db").trials == 3


def test_a_study_is_deleted_whole_and_alone(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    for name in ("one", "two"):
        with Store(path, write=True, study=name) as log:
            search(log, 9)
    before = load(path, study="one").trials
    with Store(path, write=True, study="one"), pytest.raises(BadStore, match="another process is writing"):
        forget(path, "two")
    forget(path, "two")
    assert names(path) == ["one"]
    assert load(path, study="one").trials == before
    with closing(sqlite3.connect(path)) as connection:
        for table in ("untrained_events", "untrained_notes"):
            assert connection.execute(f"SELECT DISTINCT study FROM {table}").fetchall() == [(1,)]
    with pytest.raises(BadStore, match="no study 'two'; it has: one"):
        forget(path, "two")
    with Store(path, write=True, study="two") as log:  # the name and the number are free again
        search(log, 4)
    assert overview(path, study="two").trials == 4


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM untrained_notes WHERE first = 1",
        "UPDATE untrained_notes SET body = '{' WHERE first = 1",
        "UPDATE untrained_notes SET body = '{}' WHERE first = 1",
        "UPDATE untrained_notes SET body = replace(body, '\"numbers\":[', '\"numbers\":[0,') WHERE first = 1",
        "DELETE FROM untrained_events WHERE number > 0",
        "UPDATE untrained_events SET body = '{}' WHERE number = 0",
        "UPDATE untrained_events SET body = '{}' WHERE number > 0",
    ],
)
def test_notes_that_do_not_hang_together_are_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    monkeypatch.setattr(store, "BATCH", 20)
    with Store(tmp_path / "s.db", write=True) as log:
        search(log, 60)
    with closing(sqlite3.connect(tmp_path / "s.db")) as connection:
        connection.execute(damage)
        connection.commit()
    with pytest.raises(BadStore, match="damaged"):
        overview(tmp_path / "s.db")


@pytest.mark.parametrize("columns", [1, 2, 3, 4])
def test_the_front_by_its_definition(columns: int) -> None:
    rng = np.random.default_rng(columns)
    for levels in (2, 5, 1000):
        scores = rng.integers(0, levels, (120, columns)).astype(float)
        by_hand = {
            i
            for i, row in enumerate(scores)
            if not any((other >= row).all() and (other > row).any() for other in scores)
        }
        found = undominated(scores)
        assert set(found.tolist()) == by_hand
        rows = [(*(-scores[i]).tolist(), i) for i in found]
        assert rows == sorted(rows)
    assert undominated(np.empty((0, columns))).tolist() == []


def test_ids_in_notes_are_those_of_the_architectures(tmp_path: Path) -> None:
    arch = Architecture.of("toy", width=8, kind="é", layers=[1, [2, 3]])
    asked = Question("toy", (("a", "higher"),))
    with Store(tmp_path / "s.db", write=True) as log:
        log.append("question", events.question_body(asked))
        trial = events.judge(asked, 0, Ask(arch), Outcome("ok", {"a": 1.0}))
        log.append("trial", events.trial_body(trial))
        _, found = log.digest()
    assert [int(i) for ids in found._ids for i in ids] == [int(arch.id, 16)]
