"""A search from the names that a user types."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from untrained import __version__
from untrained.apps.names import split_names
from untrained.apps.probing import Lab
from untrained.core import registry
from untrained.core.architecture import Architecture
from untrained.core.errors import UnknownName, UsageError
from untrained.core.metric import METRIC_KINDS, Better, Metric, metric
from untrained.core.space import Space
from untrained.core.strategy import make
from untrained.core.study import Question, Study, Trial
from untrained.core.where import Where
from untrained.nn.numerics import quiet_numbers
from untrained.nn.probe import Probe
from untrained.studies.control import Control
from untrained.studies.evaluator import Evaluator
from untrained.studies.executors import Evaluate, Executor
from untrained.studies.executors.here import Here
from untrained.studies.executors.processes import Processes
from untrained.studies.run import run
from untrained.studies.store import Store

Names = str | Sequence[str]
USUAL = ("regularized_evolution", "nsga2")  # for one objective, for several
BATCH = 8  # asked for at once: enough to keep some workers busy, few enough to learn from soon


@dataclass(frozen=True)
class Plan:
    """All that a worker needs to measure what a search asks for; travels to each process once."""

    lab: Lab
    metrics: tuple[str, ...]
    """labels"""
    where: str
    also: tuple[str, ...]
    fidelities: tuple[str, ...]
    goals: tuple[str, ...]
    """labels of the metrics behind the objectives"""
    seed: int

    def evaluator(self) -> Evaluator:
        def probe(arch: Architecture, seed: int, needs: Sequence[str]) -> Probe:
            return self.lab.probe(arch, seed=seed).expect(needs)

        return Evaluator(
            [metric(label) for label in self.metrics],
            probe,
            where=Where.parse(self.where),
            count=lambda arch: self.lab.space.count(arch, scale="paper"),
            cost_probe=lambda arch, seed, needs: self.lab.probe(arch, "cost", seed),
            trained_probe=lambda arch, seed, needs: self.lab.probe(arch, "trained", seed),
            also=self.also,
            fidelities=self.fidelities,
            goals=self.goals,
            seed=self.seed,
        )

    def worker(self) -> Evaluate:
        """An evaluator for a process that does nothing else."""
        _quiet.enter_context(quiet_numbers())
        return self.evaluator()


_quiet = ExitStack()  # closed when the process ends


def search(
    lab: Lab,
    *,
    maximize: Names = (),
    minimize: Names = (),
    where: str = "",
    strategy: str | None = None,
    trials: int = 1_000,
    seed: int = 0,
    store: str | Path | None = None,
    study: str = "search",
    resume: bool = False,
    also: Names = (),
    fidelities: Names = (),
    batch: int = BATCH,
    workers: int | None = None,
    ray: str | None = None,
    synchronous: bool = True,
    time_limit: float | None = None,
    progress: Callable[[int, int, Trial], None] | None = None,
) -> Study:
    """Asks `strategy` for `trials` architectures and measures them; everything is checked beforehand.

    Without `workers` and `ray` they are measured in this process. A synchronous search has the same result
    for any number of workers; `batch` is part of what is asked. `time_limit` is in seconds a trial. The
    strategy is `USUAL` where none is named; docs/strategies.md says why.
    """
    objectives = [(n, "higher") for n in _listed(maximize)] + [(n, "lower") for n in _listed(minimize)]
    if not objectives:
        raise UsageError("a search needs something to maximize or to minimize: --maximize fading_memory")
    for name, number in (("trials", trials), ("batch", batch)):
        if number < 1:
            raise UsageError(f"{name}={number}; take 1 or more")
    strategy = strategy or USUAL[len(objectives) > 1]
    limits = Where.parse(where, known=_known(lab.space))
    cheaper = [metric(name) for name in _listed(fidelities)]
    metrics = _metrics([n for n, _ in objectives], limits, _listed(also), lab.space)
    metrics = list({m.label: m for m in [*metrics, *cheaper]}.values())
    question = Question(
        space=lab.typed or lab.space.name,
        objectives=tuple((_label(name), _direction(b)) for name, b in objectives),
        where=limits.text,
        strategy=strategy,
        seed=seed,
        scale=lab.scale,
        text=lab.corpus.sha256 if lab.corpus else "",
        also=tuple(map(_label, _listed(also))),
        fidelities=tuple((m.label, m.better) for m in cheaper),
        batch=batch if synchronous else 1,
        synchronous=synchronous,
        version=__version__,
    )
    chosen = make(strategy, lab.space, fidelities=len(cheaper))
    plan = Plan(
        lab,
        tuple(m.label for m in metrics),
        limits.text,
        question.also,
        tuple(m.label for m in cheaper),
        tuple(_owner(name).label for name, _ in objectives),
        seed,
    )
    evaluator = plan.evaluator()
    with ExitStack() as stack:
        log = stack.enter_context(Store(":memory:" if store is None else store, write=True, study=study))
        stack.enter_context(quiet_numbers())
        executor = _executor(plan, evaluator, workers, ray, time_limit)
        stack.callback(executor.close)
        return run(
            question,
            strategy=chosen,
            executor=executor,
            log=log,
            trials=trials,
            resume=resume,
            turned_away=None if isinstance(executor, Here) else evaluator.turned_away,
            progress=progress,
            control=None if store is None else Control(log),
        )


def _executor(
    plan: Plan, evaluator: Evaluator, workers: int | None, ray: str | None, time_limit: float | None
) -> Executor:
    if ray is not None:
        from untrained.studies.executors.on_ray import OnRay

        return OnRay(plan.worker, ray, workers=workers, time_limit=time_limit)
    if workers is not None:
        return Processes(plan.worker, workers, time_limit=time_limit)
    if time_limit is not None:
        raise UsageError("a time limit a trial needs a process that can be ended: --workers 1")
    return Here(evaluator)


def _listed(names: Names) -> list[str]:
    return split_names(names) if names else []


def _direction(text: str) -> Better:
    return "higher" if text == "higher" else "lower"


def _known(space: Space) -> list[str]:
    return [n for kind in METRIC_KINDS for n in registry.names(kind)] + list(space.declared())


def _metrics(objectives: Iterable[str], limits: Where, also: Iterable[str], space: Space) -> list[Metric]:
    """Every metric that is named somewhere, each once; `hidden_covariance.layer2` by its owner."""
    wanted = [*objectives, *(n for n in limits.names if n not in space.declared()), *also]
    found = [_owner(name) for name in wanted]
    return list({m.label: m for m in found}.values())


def _owner(name: str) -> Metric:
    head, _, settings = name.partition(":")
    bare, dot, _ = head.partition(".")
    try:
        return metric(name)
    except UnknownName:
        if not dot:
            raise
        return metric(f"{bare}:{settings}" if settings else bare)


def _label(name: str) -> str:
    """The name under which the objective's value is recorded: that of the metric, or of its part."""
    owner = _owner(name)
    if owner.label == name:  # a formula's file has a dot in its name, and no parts
        return name
    part = name.partition(":")[0].partition(".")[2]
    return f"{owner.label}.{part}" if part else owner.label
