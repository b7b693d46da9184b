"""Cheaper metrics and several draws in the loop: logged, read back, resumed, without a say in the best."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from random import Random
from typing import Any

import pytest
from toy_search import Toy, metric, params

from untrained.core.architecture import Architecture
from untrained.core.strategy import make
from untrained.core.study import Question, Study, Trial
from untrained.core.where import Where
from untrained.studies import events
from untrained.studies.evaluator import Evaluator
from untrained.studies.events import Outcome
from untrained.studies.executors import Evaluate
from untrained.studies.executors.here import Here
from untrained.studies.run import run
from untrained.studies.store import Store, load

TEXTS = [
    "successive_halving:start=9",
    "hyperband",
    "asha:inner=regularized_evolution(population=10,tournament=3)",
    "zero_cost_warmup:pool=30,start=6",
    "zero_cost_moves:pool=4",
    "variation_aware:draws=2,most=5",
    "zero_cost_warmup:pool=20,start=5,inner=variation_aware(draws=2,most=5)",
]


class Memory:
    """The least that is an event log."""

    location = "memory"

    def __init__(self, kept: list[tuple[str, dict[str, Any]]] | None = None) -> None:
        self.kept = kept or []

    def append(self, kind: str, body: Mapping[str, Any]) -> None:
        self.kept.append((kind, dict(body)))

    def flush(self) -> None:
        pass

    @property
    def safe(self) -> int:
        return len(self.kept)

    def events(self) -> Any:
        return iter(list(self.kept))


class Bench:
    """A toy evaluator that counts: `glance` and `look` are cheap, `shine` is the objective, with noise."""

    def __init__(self, seed: int = 0) -> None:
        self.calls: Counter[tuple[str, str, int]] = Counter()
        self.seeds: set[int] = set()
        bench = self

        def count(name: str, probe: tuple[Architecture, int]) -> float:
            arch, seed = probe
            bench.calls[name, arch.id, seed] += 1
            bench.seeds.add(seed)
            return float(arch.layers + 0.1 * (arch.kind == "gelu") + 0.01 * ((int(arch.id, 16) + seed) % 7))

        def glance(probe: Any) -> float:
            return -count("glance", probe)  # lower is better

        def look(probe: Any) -> float:
            return count("look", probe)

        def shine(probe: Any) -> float:
            return count("shine", probe)

        def weights(probe: Any) -> float:
            return params(probe[0])

        self.evaluate = Evaluator(
            [metric(shine), metric(glance), metric(look), metric(weights, "cost")],
            lambda arch, seed, needs: (arch, seed),
            where=Where.parse("weights <= 6000"),
            fidelities=("glance", "look"),
            goals=("shine",),
            seed=seed,
        )


class Slots(Here):
    """Four at a time, done in any order; the cheap ones sooner."""

    slots = 4

    def __init__(self, evaluate: Evaluate) -> None:
        super().__init__(evaluate)
        self.luck = Random(0)

    def wait(self) -> tuple[int, Outcome]:
        patience = [1 if ask.fidelity is None else 8 for _, ask in self._waiting]
        (place,) = self.luck.choices(range(len(patience)), patience)
        self._waiting.rotate(-place)
        return super().wait()


def question(strategy: str, **changed: Any) -> Question:
    return Question(
        "toy",
        (("shine", "higher"),),
        where="weights <= 6000",
        strategy=strategy,
        fidelities=(("glance", "lower"), ("look", "higher")),
        **changed,
    )


def search(log: Any, strategy: str, trials: int, bench: Bench | None = None, **changed: Any) -> Study:
    """Goes on where the log ends."""
    asked = question(strategy, **changed)
    return run(
        asked,
        strategy=make(strategy, Toy(), fidelities=len(asked.fidelities)),
        executor=Here((bench or Bench()).evaluate),
        log=log,
        trials=trials,
        resume=True,
    )


@pytest.mark.parametrize("batch", [1, 3, 8])
@pytest.mark.parametrize("text", TEXTS)
def test_resumed_at_any_trial_gives_the_same_log(text: str, batch: int) -> None:
    whole = Memory()
    study = search(whole, text, 90, batch=batch)
    assert {t.status for t in study.trials} == {"ok", "rejected"}
    for stop in range(1, 90, 6):
        parts = Memory(whole.kept[: 1 + stop])  # the question, and so many trials
        assert search(parts, text, 90, batch=batch).trials == study.trials
        assert parts.kept == whole.kept
    in_steps = Memory()
    for trials in (*range(1, 90, 7), 90):
        search(in_steps, text, trials, batch=batch)
    assert in_steps.kept == whole.kept


@pytest.mark.parametrize("text", TEXTS)
def test_workers_that_are_told_of_one_by_one_seldom_do_the_same(text: str) -> None:
    asked, log, bench = question(text, synchronous=False), Memory(), Bench()
    for trials in (70, 150):
        study = run(
            asked,
            strategy=make(text, Toy(), fidelities=2),
            executor=Slots(bench.evaluate),
            log=log,
            trials=trials,
            resume=True,
        )
    assert len(study.trials) == 150
    assert events.read(log) == (asked, study.trials)
    assert set(bench.calls.values()) == {1}
    again = [t for t in study.trials if t.same_as is not None]
    if "inner" not in text and "warmup" not in text:  # evolution asks for equal children by design
        assert len(again) < 50


@pytest.mark.parametrize("text", TEXTS)
def test_what_is_read_back_is_what_was_found(text: str, tmp_path: Any) -> None:
    with Store(tmp_path / "s.db", write=True) as log:
        study = search(log, text, 120, batch=5)
    back = load(tmp_path / "s.db")
    assert back.trials == study.trials
    assert back.question == study.question
    assert back.records() == study.records()
    assert [t.number for t in back.front()] == [t.number for t in study.front()]
    with Store(tmp_path / "s.db", write=True) as log:
        again = search(log, text, 150, batch=5)
    memory = Memory()
    assert again.trials == search(memory, text, 150, batch=5).trials


@pytest.mark.parametrize("text", [t for t in TEXTS if not t.startswith("variation")])
def test_a_trial_has_the_number_of_its_own_metric_alone(text: str) -> None:
    bench = Bench()
    study = search(Memory(), text, 120, bench)
    used = {t.fidelity for t in study.trials}
    assert {0, None} <= used
    for t in study.trials:
        if t.status == "ok":
            name = {0: "glance", 1: "look", None: "shine"}[t.fidelity]
            assert set(t.values) == {name, "weights"}
            assert t.score == (-t.values[name] if name == "glance" else t.values[name])
            assert t.scores == (t.score,)
        else:
            assert t.values["weights"] > 6000
            assert t.violation == pytest.approx(1 - 6000 / t.values["weights"])
    assert set(bench.calls.values()) == {1}  # nothing is measured twice


@pytest.mark.parametrize("text", TEXTS)
def test_only_the_objective_decides_what_is_best(text: str) -> None:
    study = search(Memory(), text, 120)
    real = [t for t in study.trials if t.fidelity is None and t.status == "ok"]
    means: dict[Architecture, list[float]] = {}
    for t in real:
        if t.same_as is None:
            means.setdefault(t.architecture, []).append(t.score or 0.0)
    found = {arch: sum(scores) / len(scores) for arch, scores in means.items()}
    assert study.best is not None
    assert found[study.best] == pytest.approx(max(found.values()))
    assert len(study.distinct()) == len(found)
    assert {t.architecture for t in study.front()} <= set(found)


def test_each_draw_is_measured_with_its_own_seed() -> None:
    bench = Bench(seed=40)
    study = search(Memory(), "variation_aware:draws=3,most=5", 60, bench)
    drawn: dict[str, list[Trial]] = {}
    for t in study.trials:
        drawn.setdefault(t.architecture.id, []).append(t)
    assert bench.seeds == {40 + t.draw for t in study.trials if t.status == "ok"} == {40, 41, 42, 43, 44}
    several = [ts for ts in drawn.values() if len(ts) >= 3 and ts[0].status == "ok"]
    assert len(several) > 5
    assert all(len({t.draw for t in ts}) == len(ts) for ts in several)
    assert all(len({t.score for t in ts}) == len(ts) for ts in several)  # other seeds, other numbers
    assert all(n == 1 for n in bench.calls.values())


def test_fidelities_draws_and_notes_stand_in_the_log_where_there_are_any() -> None:
    log = Memory()
    study = search(log, "hyperband", 40)
    bodies = [body for kind, body in log.kept if kind == "trial"]
    for t, body in zip(study.trials, bodies, strict=True):
        if t.same_as is None:
            assert body.get("fidelity") == t.fidelity
            assert ("fidelity" in body) is (t.fidelity is not None)
            assert "draw" not in body
    question, trials = events.read(log)
    assert question == study.question
    assert trials == study.trials


def test_another_order_of_cheaper_metrics_is_another_question() -> None:
    asked = question("hyperband")
    other = Question(**{**asked.__dict__, "fidelities": asked.fidelities[::-1]})
    (line,) = events.differences(other, asked)
    assert line.startswith("fidelities: (('glance', 'lower'), ('look', 'higher')) there")
