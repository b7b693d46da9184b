"""Our proxies in Optuna's studies, and our studies in its storages; with the real one."""

import json
import sys
from pathlib import Path
from random import Random

import optuna
import pytest

from untrained.apps.optuna import ProxyPruner, export, objective, suggest
from untrained.core import registry
from untrained.core.architecture import Architecture
from untrained.core.errors import MeasurementFailed, MissingExtra, UsageError
from untrained.core.metric import Metric, Parts
from untrained.core.space import Space, choice
from untrained.core.strategy import Ask
from untrained.core.study import Question, Study, Trial
from untrained.studies import events
from untrained.studies.events import Outcome

SPACE = "bert_encoder"
State = optuna.trial.TrialState


@pytest.fixture(autouse=True)
def silent():
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def study(seed=0, **more):
    return optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed), **more)


def size(label="size", better="higher", bad=lambda count: False):
    """A metric that needs no network: it reads the architecture's closed-form parameters."""

    def measure(probe) -> Parts:
        count = float(probe.counts["params"])
        if bad(count):
            raise MeasurementFailed("it is odd")
        return Parts(count)

    measure.__name__ = label
    return Metric(label, "proxy", measure, better, "")


def architectures(made):
    return [Architecture.from_json(t.user_attrs["architecture"]) for t in made.trials]


def test_an_objective_suggests_every_decision_and_scores_it():
    goal = objective(SPACE, ["params", "depth_width_rank"])
    assert goal.directions == ["minimize", "maximize"]
    made = study(directions=goal.directions)
    made.optimize(goal, n_trials=6)
    space = registry.get("space", SPACE)()
    for trial, arch in zip(made.trials, architectures(made), strict=True):
        space.validate(arch)
        expected = {"hidden", "layers"} | {
            f"{name}.{i}" for name in ("operation", "heads", "inner") for i in range(arch.layers)
        }
        assert set(trial.params) == expected
        assert trial.params["heads.1"] == arch.heads[1]
        assert json.loads(trial.params["inner.0"]) == list(arch.inner[0])
        assert trial.values[0] == space.count(arch)["params"]
        assert trial.user_attrs["arch"] == arch.id
    assert {a.layers for a in architectures(made)} == {2, 4}


def test_one_metric_gives_one_value_that_a_learning_sampler_can_use():
    goal = objective(SPACE, "params")
    made = optuna.create_study(directions=goal.directions, sampler=optuna.samplers.TPESampler(seed=0))
    made.optimize(goal, n_trials=25)
    assert made.best_params["hidden"] == 128
    assert made.best_params["layers"] == 2


def test_a_space_without_choices_is_asked_by_seed():
    made = study()
    made.optimize(objective("rnn_cell", "params"), n_trials=3)
    space = registry.get("space", "rnn_cell")()
    for trial, arch in zip(made.trials, architectures(made), strict=True):
        assert set(trial.params) == {"seed"}
        assert arch == space.sample(Random(trial.params["seed"]))
    with pytest.raises(UsageError, match="by='seed'"):
        objective("rnn_cell", "params", by="choices")
    by_seed = study()
    by_seed.optimize(objective(SPACE, "params", by="seed"), n_trials=1)
    assert set(by_seed.trials[0].params) == {"seed"}
    with pytest.raises(UsageError, match="take 'choices' or 'seed'"):
        objective(SPACE, "params", by="luck")


def test_decisions_that_do_not_go_together_are_pruned_with_the_reason():
    made = study()
    made.optimize(objective("gpt_decoder", "params"), n_trials=12)
    pruned = [t for t in made.trials if t.state == State.PRUNED]
    assert pruned
    assert all(t.user_attrs["reason"].startswith("gpt_decoder: ") for t in pruned)

    class Narrow(Space):
        name = "narrow"
        width = choice(1, 2)

        def valid(self, arch):
            return arch.width == 1

        def build(self, arch, *, scale="paper", generator=None):
            raise NotImplementedError

    made = study()
    made.optimize(lambda trial: suggest(trial, Narrow()).width, n_trials=8)
    for trial in made.trials:
        assert trial.state == (State.COMPLETE if trial.params["width"] == 1 else State.PRUNED)


def test_a_network_without_a_score_is_pruned_with_the_reason():
    made = study()
    made.optimize(objective(SPACE, size(bad=lambda count: True)), n_trials=2)
    assert [t.state for t in made.trials] == [State.PRUNED, State.PRUNED]
    assert made.trials[0].user_attrs["reason"] == "size: it is odd"


@pytest.mark.parametrize("better", ["higher", "lower"])
def test_a_pruner_ends_what_scores_below_the_quantile_of_those_before(better):
    made = study(pruner=ProxyPruner(SPACE, size(better=better), quantile=0.5, warmup=4))
    asked = []

    def train(trial):
        suggest(trial, SPACE)
        asked.append([trial.should_prune() for _ in range(3)])
        if asked[-1][0]:
            raise optuna.TrialPruned
        return 0.0

    made.optimize(train, n_trials=15)
    space = registry.get("space", SPACE)()
    sign = 1 if better == "higher" else -1
    scores = [sign * space.count(a, scale="probe")["params"] for a in architectures(made)]
    expected = []
    for n, score in enumerate(scores):
        before = sorted(scores[:n])
        middle = (before[(n - 1) // 2] + before[n // 2]) / 2 if n else 0
        expected.append(n >= 4 and score < middle)
    assert asked == [[e] * 3 for e in expected]
    assert 0 < sum(expected) < 15
    assert [t.state == State.PRUNED for t in made.trials] == expected


def test_a_pruner_goes_on_from_a_storage_and_prunes_what_has_no_score(tmp_path):
    url = f"sqlite:///{tmp_path}/o.db"

    def train(trial):
        suggest(trial, SPACE)
        if trial.should_prune():
            raise optuna.TrialPruned
        return 0.0

    for warmup, pruned in [(3, 0), (1, 1)]:
        pruner = ProxyPruner(SPACE, size(), quantile=0.999, warmup=warmup)
        made = study(storage=url, study_name="s", load_if_exists=True, pruner=pruner, seed=warmup)
        made.optimize(train, n_trials=3)
        states = [t.state for t in made.trials[-3:]]
        assert states.count(State.PRUNED) >= pruned
        if not pruned:
            assert states == [State.COMPLETE] * 3
    made = study(pruner=ProxyPruner(SPACE, size(bad=lambda count: True)))
    made.optimize(train, n_trials=1)
    assert made.trials[0].state == State.PRUNED
    assert made.trials[0].system_attrs["untrained_pruner"]["reason"] == "size: it is odd"


def test_a_pruner_says_what_it_needs():
    for options, said in [({"quantile": 1.0}, "quantile"), ({"warmup": 0}, "warmup")]:
        with pytest.raises(UsageError, match=said):
            ProxyPruner(SPACE, "params", **options)
    with pytest.raises(UsageError, match="one proxy"):
        ProxyPruner(SPACE, ["params", "flops"])
    made = study(pruner=ProxyPruner(SPACE, "params"))
    with pytest.raises(UsageError, match="does not say which architecture"):
        made.optimize(lambda trial: float(trial.should_prune()), n_trials=1)


# --- export ------------------------------------------------------------------------------------------------


def searched() -> Study:
    """A trial of each kind."""
    space = registry.get("space", SPACE)()
    archs = [space.sample(Random(n)) for n in range(5)]
    asked = Question(SPACE, (("gain", "higher"), ("params", "lower")), fidelities=(("cheap", "higher"),))
    outcomes = [
        (Ask(archs[0], note=(1, 2)), Outcome("ok", {"gain": 0.5, "params": 7.0, "flops": 9.0})),
        (Ask(archs[1]), Outcome("rejected", {"params": 99.0}, "params <= 8", 0.25)),
        (Ask(archs[2]), Outcome("failed", {}, "gain: out of memory")),
        (Ask(archs[3], fidelity=0), Outcome("ok", {"cheap": 3.0})),
    ]
    trials: list[Trial] = [events.judge(asked, n, *pair) for n, pair in enumerate(outcomes)]
    return Study(asked, [*trials, events.repeat(4, trials[0])], "s.db")


def storages(folder: Path):
    yield f"sqlite:///{folder}/o.db"
    yield f"journal:///{folder}/o.log"
    yield optuna.storages.InMemoryStorage()


def opened(storage):
    if isinstance(storage, str) and storage.startswith("journal"):
        backend = optuna.storages.journal.JournalFileBackend(storage.removeprefix("journal:///"))
        return optuna.storages.JournalStorage(backend)
    return storage


@pytest.mark.parametrize("kind", range(3))
def test_an_exported_study_is_what_it_was(tmp_path, kind):
    ours = searched()
    storage = list(storages(tmp_path))[kind]
    export(ours, storage, name="mine")
    found = optuna.load_study(study_name="mine", storage=opened(storage))
    assert [d.name for d in found.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert found.metric_names == ["gain", "params"]
    assert found.user_attrs["space"] == SPACE
    ok, rejected, failed, cheap, again = found.trials
    states = [State.COMPLETE, State.PRUNED, State.FAIL, State.PRUNED, State.COMPLETE]
    assert [t.state for t in found.trials] == states
    assert ok.values == again.values == [0.5, 7.0]
    assert ok.user_attrs["flops"] == 9.0
    assert list(ok.user_attrs["note"]) == [1, 2]
    assert again.user_attrs["same_as"] == 0
    assert rejected.user_attrs["reason"] == "params <= 8"
    assert rejected.user_attrs["violation"] == 0.25
    assert failed.user_attrs["reason"] == "gain: out of memory"
    assert cheap.user_attrs["cheap"] == 3.0
    assert cheap.user_attrs["fidelity"] == 0
    assert {t.number for t in found.best_trials} == {0, 4}
    for trial, mine in zip(found.trials, ours.trials, strict=True):
        arch = mine.architecture
        assert Architecture.from_json(trial.user_attrs["architecture"]) == arch
        assert trial.params["layers"] == arch.layers
        assert trial.params[f"heads.{arch.layers - 1}"] == arch.heads[-1]
        assert len(trial.params) == 2 + 3 * arch.layers


def test_an_optuna_study_can_go_on_from_an_exported_one(tmp_path):
    storage = optuna.storages.InMemoryStorage()
    export(searched(), storage)
    goal = objective(SPACE, ["depth_width_rank", "params"])
    made = optuna.load_study(study_name="search", storage=storage)
    made.optimize(goal, n_trials=2)
    assert [t.state for t in made.trials[-2:]] == [State.COMPLETE] * 2


def test_a_study_of_that_name_is_not_lost(tmp_path):
    url = f"sqlite:///{tmp_path}/o.db"
    ours = searched()
    export(ours, url)
    with pytest.raises(UsageError, match="already has a study 'search'"):
        export(ours, url)
    export(ours, url, name="other")
    export(Study(ours.question, ours.trials[:2]), url, replace=True)
    sizes = {s.study_name: s.n_trials for s in optuna.get_all_study_summaries(url)}
    assert sizes == {"search": 2, "other": 5}
    with pytest.raises(UsageError, match="cannot open that storage"):
        export(ours, "nothing://x")


def test_an_unknown_space_has_no_parameters():
    ours = searched()
    storage = optuna.storages.InMemoryStorage()
    asked = Question("elsewhere", ours.question.objectives)
    export(Study(asked, ours.trials), storage)
    found = optuna.load_study(study_name="search", storage=storage)
    assert [t.params for t in found.trials] == [{}] * 5


@pytest.mark.parametrize("name", ["o.db", "o.log"])
def test_the_command_writes_a_storage(run, wrong, tmp_path, name):
    from untrained.apps import api

    api.search(SPACE, maximize="params", trials=4, store=tmp_path / "s.db", study="mine")
    words = ["studies", "export", tmp_path / "s.db", "--to", "optuna", "-o", tmp_path / name]
    run(*words)
    kind = "journal" if name.endswith("log") else "sqlite"
    url = f"{kind}:///{tmp_path / name}"
    assert len(optuna.load_study(study_name="mine", storage=opened(url)).trials) == 4
    assert "is there already" in wrong(*words)
    run(*words, "--force")
    if kind == "sqlite":
        words[-1] = url
        assert "already has a study" in wrong(*words)
        run(*words, "--force")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([name, "s.db"])


def test_without_optuna_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtra, match=r"untrained\[optuna\]"):
        export(searched(), "sqlite:///x.db")
