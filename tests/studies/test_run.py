"""The loop: same question, same log; nothing measured twice; what failed is written down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

import pytest
from toy_search import Toy, question, rows, search

from untrained.core.architecture import Architecture
from untrained.core.errors import UntrainedError, UsageError
from untrained.core.strategy import Strategy, make
from untrained.core.study import Question, Study, Trial, dominates
from untrained.studies.events import Outcome
from untrained.studies.executors.here import Here
from untrained.studies.run import rejections, run
from untrained.studies.store import Store, load


class Memory:
    """The least that is an event log."""

    location = "memory"

    def __init__(self) -> None:
        self.kept: list[tuple[str, dict[str, Any]]] = []

    def append(self, kind: str, body: Mapping[str, Any]) -> None:
        self.kept.append((kind, dict(body)))

    def flush(self) -> None:
        pass

    @property
    def safe(self) -> int:
        return len(self.kept)

    def events(self) -> Any:
        return iter(list(self.kept))


def loop(evaluate: Any, trials: int = 50, log: Any = None, **changed: Any) -> Study:
    asked = question(**{"objectives": (("shine", "higher"),), **changed})
    return run(
        asked,
        strategy=make(asked.strategy, Toy()),
        executor=Here(evaluate),
        log=log or Memory(),
        trials=trials,
    )


def test_two_runs_write_the_same_rows(tmp_path: Path) -> None:
    for name in ("a.db", "b.db"):
        with Store(tmp_path / name, write=True) as log:
            search(log, 300)
    assert rows(tmp_path / "a.db") == rows(tmp_path / "b.db")
    with Store(tmp_path / "c.db", write=True) as log:
        search(log, 300, seed=1)
    assert rows(tmp_path / "a.db") != rows(tmp_path / "c.db")


@pytest.mark.parametrize("stops", [[1], [37, 120], [300], [0, 0, 299]])
def test_stopping_and_resuming_changes_no_row(tmp_path: Path, stops: list[int]) -> None:
    with Store(tmp_path / "whole.db", write=True) as log:
        search(log, 300)
    for trials in [*stops, 300]:
        with Store(tmp_path / "parts.db", write=True) as log:
            study = search(log, trials, resume=True)
    assert rows(tmp_path / "whole.db") == rows(tmp_path / "parts.db")
    assert study.trials == load(tmp_path / "whole.db").trials


def test_what_is_read_back_is_what_was_found(tmp_path: Path) -> None:
    with Store(tmp_path / "s.db", write=True) as log:
        study = search(log, 300)
    back = load(tmp_path / "s.db")
    assert (back.question, back.trials, back.store) == (study.question, study.trials, study.store)
    assert back.records() == study.records()
    assert {"ok", "rejected", "failed"} == {t.status for t in back.trials}
    assert any(t.same_as is not None for t in back.trials)
    best = next(t for t in back.trials if t.architecture == back.best)
    assert best.values["shine.depth"] == best.architecture.layers * 0.1
    assert best.score == best.values["shine"]
    assert best.scores == (best.values["shine"], -best.values["params"])


def test_equal_architectures_are_measured_once() -> None:
    calls: Counter[str] = Counter()

    def evaluate(arch: Architecture, *_: object) -> Outcome:
        calls[arch.id] += 1
        return Outcome("ok", {"shine": float(arch.layers)})

    log = Memory()
    study = loop(evaluate, 400, log)
    assert set(calls.values()) == {1}
    again = [t for t in study.trials if t.same_as is not None]
    assert len(again) == 400 - len(calls) > 50
    for trial in again:
        earlier = study.trials[trial.same_as]  # type: ignore[index]
        assert (earlier.same_as, earlier.architecture) == (None, trial.architecture)
        assert (trial.score, trial.values, trial.status) == (earlier.score, earlier.values, earlier.status)
    # Also not after a resume.
    strategy = make(study.question.strategy, Toy())
    run(study.question, strategy=strategy, executor=Here(evaluate), log=log, trials=800, resume=True)
    assert set(calls.values()) == {1}


def test_the_strategy_is_told_everything_once_and_in_order() -> None:
    told: list[Trial] = []

    class Spy(Strategy):
        def ask(self, rng: Random, n: int = 1) -> list[Architecture]:
            return [self.space.sample(rng) for _ in range(n)]

        def tell(self, trial: Trial) -> None:
            told.append(trial)

    log = Memory()
    for trials in (10, 25):
        told.clear()
        run(
            question(objectives=(("shine", "higher"),)),
            strategy=Spy(Toy()),
            log=log,
            trials=trials,
            resume=True,
            executor=Here(lambda a, *_: Outcome("ok", {"shine": 1.0})),
        )
    assert [t.number for t in told] == list(range(25))


def test_luck_depends_on_seed_and_number_alone() -> None:
    def evaluate(arch: Architecture, *_: object) -> Outcome:
        return Outcome("ok", {"shine": 1.0})

    short = loop(evaluate, 5, strategy="random_search").trials
    assert loop(evaluate, 9, strategy="random_search").trials[:5] == short
    assert short[3].architecture == Toy().sample(Random("0/3"))


def test_progress_is_told_of_each_new_trial() -> None:
    seen: list[tuple[int, int, int]] = []
    search(Memory(), 30, progress=lambda done, total, trial: seen.append((done, total, trial.number)))
    assert seen == [(n + 1, 30, n) for n in range(30)]


def test_all_turned_away_is_an_answer_with_its_reasons(tmp_path: Path) -> None:
    with Store(tmp_path / "s.db", write=True) as log:
        study = search(log, 120, where="layers > 9 and params <= 3000 and width < 25")
    assert study.best is None
    assert study.front() == []
    counted = rejections(load(tmp_path / "s.db"))
    assert counted.most_common(1) == [("layers > 9", 120)]
    assert counted == rejections(study)


def test_a_number_that_is_not_finite_never_reaches_the_log() -> None:
    log = Memory()
    study = loop(lambda a, *_: Outcome("ok", {"shine": float("nan"), "other": 1.0}), 5, log)
    assert {t.status for t in study.trials} == {"failed"}
    assert study.trials[0].reason == "shine: the value is not finite"
    assert study.trials[0].values == {"other": 1.0}
    assert "nan" not in str(log.kept).lower()


def test_an_objective_without_a_number_is_a_failed_trial() -> None:
    study = loop(lambda a, *_: Outcome("ok", {"shyne": 1.0}), 1)
    assert (study.trials[0].status, study.trials[0].score) == ("failed", None)
    assert "shine" in (study.trials[0].reason or "")


def test_a_used_store_is_not_written_to_by_accident(tmp_path: Path) -> None:
    with Store(tmp_path / "s.db", write=True) as log:
        search(log, 10)
    before = rows(tmp_path / "s.db")
    with (
        Store(tmp_path / "s.db", write=True) as log,
        pytest.raises(UsageError, match=r"10 trials(.|\n)*--resume"),
    ):
        search(log, 20)
    assert rows(tmp_path / "s.db") == before


def test_another_question_is_refused_field_by_field(tmp_path: Path) -> None:
    with Store(tmp_path / "s.db", write=True) as log:
        search(log, 10)
    before = rows(tmp_path / "s.db")
    with Store(tmp_path / "s.db", write=True) as log, pytest.raises(UsageError) as caught:
        search(log, 20, resume=True, seed=7, where="params <= 1")
    message = str(caught.value)
    assert "seed: 0 there, 7 now" in message
    assert "where: 'params <= 4000 and layers < 5' there, 'params <= 1' now" in message
    assert "another store" in message
    assert rows(tmp_path / "s.db") == before


def test_more_trials_extend_and_fewer_change_nothing(tmp_path: Path) -> None:
    for trials, expected in [(10, 10), (30, 30), (20, 30)]:
        with Store(tmp_path / "s.db", write=True) as log:
            assert len(search(log, trials, resume=True).trials) == expected


def test_ctrl_c_keeps_every_finished_trial(tmp_path: Path) -> None:
    def stop(done: int, total: int, trial: Trial) -> None:
        if done == 41:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Store(tmp_path / "s.db", write=True) as log:
        search(log, 100, progress=stop)
    assert len(load(tmp_path / "s.db").trials) >= 41  # what had been told of
    with Store(tmp_path / "s.db", write=True) as log:
        search(log, 100, resume=True)
    with Store(tmp_path / "whole.db", write=True) as log:
        search(log, 100)
    assert rows(tmp_path / "s.db") == rows(tmp_path / "whole.db")


def test_a_strategy_that_gives_too_little_is_named() -> None:
    class Empty(Strategy):
        def ask(self, rng: Random, n: int = 1) -> list[Architecture]:
            return []

        def tell(self, trial: Trial) -> None: ...

    with pytest.raises(UntrainedError, match="Empty was asked for 1 architecture and gave 0"):
        run(
            question(),
            strategy=Empty(Toy()),
            executor=Here(lambda a, *_: Outcome("ok")),
            log=Memory(),
            trials=1,
        )


def test_the_front_holds_what_nothing_beats() -> None:
    rng = Random(0)
    space = Toy()
    trials = [
        Trial(n, space.sample(rng), "ok", score=s[0], scores=s)
        for n, s in enumerate((float(rng.randrange(6)), float(rng.randrange(6))) for _ in range(60))
    ]
    front = Study(Question("toy", (("a", "higher"), ("b", "higher"))), trials).front()
    by_definition = {t.number for t in trials if not any(dominates(o.scores, t.scores) for o in trials)}
    assert {t.number for t in front} == by_definition
    assert [t.score for t in front] == sorted((t.score for t in front), reverse=True)  # type: ignore[type-var]
