"""A small search that needs no network; also a program, so that tests can kill it.

python toy_search.py STORE TRIALS RANDOM_SEARCH_OR_EVOLUTION
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from untrained.core.architecture import Architecture
from untrained.core.errors import MeasurementFailed
from untrained.core.metric import Metric, Parts
from untrained.core.space import Space, choice
from untrained.core.strategy import make
from untrained.core.study import EventLog, Question, Study, Trial
from untrained.core.where import Where
from untrained.studies import store
from untrained.studies.control import Control
from untrained.studies.evaluator import Evaluator
from untrained.studies.executors.here import Here
from untrained.studies.run import run

WHERE = "params <= 4000 and layers < 5"


class Toy(Space):
    """Few enough architectures that many trials are equal."""

    name = "toy"
    layers: int = choice(2, 3, 4, 5)
    width: int = choice(8, 16, 24, 32)
    ratio: list[int] = choice(1, 2, 4, per="layers")
    kind: str = choice("relu", "gelu")

    def build(self, arch: Architecture, *, scale: str = "paper", generator: Any = None) -> Any:
        raise NotImplementedError


def params(probe: Architecture) -> float:
    """Not anybody's true number of weights."""
    return float(sum(2 * r * probe.width**2 for r in probe.ratio))


def shine(probe: Architecture) -> Parts:
    """Fails for one architecture in some twenty, always the same ones."""
    if int(probe.id, 16) % 20 == 0:
        raise MeasurementFailed("the signals are not finite")
    depth = 0.1 * probe.layers
    return Parts(depth + 1 / (1 + probe.width) + 0.3 * (probe.kind == "gelu"), {"depth": depth})


def metric(function: Callable[..., Any], kind: str = "proxy", **more: Any) -> Metric:
    """A metric outside the registry, so that tests leave nothing behind."""
    better = "lower" if kind == "cost" else "higher"
    return Metric(function.__name__, kind, function, better, "", **more)  # type: ignore[arg-type]


def question(**changed: Any) -> Question:
    asked: dict[str, Any] = {
        "space": "toy",
        "objectives": (("shine", "higher"), ("params", "lower")),
        "where": WHERE,
        "strategy": "regularized_evolution:population=20,tournament=4",
        "version": "0",
    }
    return Question(**{**asked, **changed})


def search(
    log: EventLog,
    trials: int,
    *,
    pause: float = 0.0,
    resume: bool = False,
    progress: Callable[[int, int, Trial], None] | None = None,
    control: Control | None = None,
    **changed: Any,
) -> Study:
    asked = question(**changed)

    def slow(probe: Architecture) -> Parts:
        time.sleep(pause)
        return shine(probe)

    slow.__name__ = "shine"
    return run(
        asked,
        strategy=make(asked.strategy, Toy()),
        executor=Here(
            Evaluator([metric(slow), metric(params, "cost")], lambda a, *_: a, where=Where.parse(asked.where))
        ),
        log=log,
        trials=trials,
        resume=resume,
        progress=progress,
        control=control,
    )


def rows(path: Path) -> list[tuple[Any, ...]]:
    """Everything in the three tables, read without our own code."""
    engine = sa.create_engine(f"sqlite:///{path}", poolclass=sa.pool.NullPool)
    tables = ("untrained_meta", "untrained_studies", "untrained_events")
    with engine.connect() as connection:
        return [
            tuple(row)
            for t in tables
            for row in connection.exec_driver_sql(f"SELECT * FROM {t} ORDER BY 1, 2")
        ]


def main(path: str, trials: str) -> None:
    """Goes on until killed or done; says how many trials it has told the caller of."""
    store.BATCH = 7  # many commits, so that some are hit
    told = 0

    def count(done: int, total: int, trial: Trial) -> None:
        nonlocal told
        told = done

    try:
        with store.Store(path, write=True) as log:
            print("open", flush=True)
            search(log, int(trials), pause=0.001, resume=True, progress=count)
    except KeyboardInterrupt:
        print(told, flush=True)
        raise SystemExit(130) from None
    print("done", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
