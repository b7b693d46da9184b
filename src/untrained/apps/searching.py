"""A search from the names that a user types."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from untrained import __version__
from untrained.apps.names import split_names
from untrained.apps.parallel import Progress
from untrained.apps.probing import Lab
from untrained.core import registry
from untrained.core.architecture import Architecture
from untrained.core.errors import UnknownName, UsageError
from untrained.core.metric import Better, Metric, metric
from untrained.core.space import Space
from untrained.core.strategy import make
from untrained.core.study import Question, Study, Trial
from untrained.core.where import Where
from untrained.nn.numerics import quiet_numbers
from untrained.nn.probe import Probe
from untrained.studies.evaluator import Evaluator
from untrained.studies.run import run
from untrained.studies.store import Store

Names = str | Sequence[str]


def search(
    lab: Lab,
    *,
    maximize: Names = (),
    minimize: Names = (),
    where: str = "",
    strategy: str = "regularized_evolution",
    trials: int = 1_000,
    seed: int = 0,
    store: str | Path | None = None,
    resume: bool = False,
    also: Names = (),
    progress: Progress | None = None,
) -> Study:
    """Asks `strategy` for `trials` architectures and measures them; everything is checked beforehand."""
    objectives = [(n, "higher") for n in _listed(maximize)] + [(n, "lower") for n in _listed(minimize)]
    if not objectives:
        raise UsageError("a search needs something to maximize or to minimize: --maximize fading_memory")
    if trials < 1:
        raise UsageError(f"trials={trials}; take 1 or more")
    limits = Where.parse(where, known=_known(lab.space))
    metrics = _metrics([n for n, _ in objectives], limits, _listed(also), lab.space)
    question = Question(
        space=lab.typed or lab.space.name,
        objectives=tuple((_label(name), _direction(b)) for name, b in objectives),
        where=limits.text,
        strategy=strategy,
        seed=seed,
        scale=lab.scale,
        text=lab.corpus.sha256 if lab.corpus else "",
        also=tuple(map(_label, _listed(also))),
        version=__version__,
    )
    chosen = make(strategy, lab.space)
    needs = [need for m in metrics for need in m.needs]

    def probe(arch: Architecture) -> Probe:
        return lab.probe(arch, seed=seed).expect(needs)

    evaluate = Evaluator(
        metrics,
        probe,
        where=limits,
        count=lambda arch: lab.space.count(arch, scale="paper"),
        cost_probe=lambda arch: lab.probe(arch, "cost", seed),
        also=question.also,
        seed=seed,
    )
    tell = None if progress is None else _told(progress)
    with Store(":memory:" if store is None else store, write=True) as log, quiet_numbers():
        return run(
            question,
            strategy=chosen,
            evaluate=evaluate,
            log=log,
            trials=trials,
            resume=resume,
            progress=tell,
        )


def _listed(names: Names) -> list[str]:
    return split_names(names) if names else []


def _direction(text: str) -> Better:
    return "higher" if text == "higher" else "lower"


def _told(progress: Progress) -> Callable[[int, int, Trial], None]:
    def tell(done: int, total: int, trial: Trial) -> None:
        progress(done, total)

    return tell


def _known(space: Space) -> list[str]:
    return registry.names("cost") + registry.names("proxy") + list(space.declared())


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
    part = name.partition(":")[0].partition(".")[2]
    return f"{owner.label}.{part}" if part else owner.label
