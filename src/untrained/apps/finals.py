"""The best few of a search, trained; the best of them is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from untrained.apps.training import train
from untrained.core.errors import UntrainedError, UsageError
from untrained.core.files import whole
from untrained.core.named import construct
from untrained.core.space import Space
from untrained.core.study import Study, Trial
from untrained.training.curve import Line
from untrained.training.data.tokenizer import FILE as TOKENIZER
from untrained.training.folder import ARCHITECTURE, CURVE, RECIPE, RESULT, WEIGHTS, Folder
from untrained.training.trainer import Diverged

CANDIDATES, RANKING = "candidates", "ranking.json"
KEPT = (ARCHITECTURE, WEIGHTS, TOKENIZER, RECIPE, CURVE, RESULT)

Step = Callable[[int, int, int, int, Line], None]
"""called with (candidate, candidates, updates done, updates in all, the newest line of its curve)"""


@dataclass(frozen=True)
class Final:
    """A candidate, and what its training came to."""

    place: int
    """in the search, from 1"""
    trial: Trial
    marks: dict[str, float] | None
    """of its best examination; None where it diverged"""
    seconds: float
    reason: str | None = None

    def record(self) -> dict[str, Any]:
        """As `ranking.json` has it."""
        status = {"status": "ok"} if self.reason is None else {"status": "failed", "reason": self.reason}
        return {
            "place": self.place,
            "arch": self.trial.architecture.id,
            "score": self.trial.score,
            "values": dict(self.trial.values),
            "marks": self.marks,
            "seconds": round(self.seconds, 3),
            **status,
        }


def finals(
    study: Study,
    *,
    top: int,
    out: str | Path,
    resume: bool = False,
    minutes: float | None = None,
    progress: Step | None = None,
    **training: Any,
) -> list[Final]:
    """Trains the best `top` of a study, each in `out`/candidates/ID, and ranks them by their held-out loss.

    The files of the best are copied to `out` itself, which then is laid out like any training, and
    `ranking.json` there has all of them. `minutes` are those of all together. One that diverges has lost;
    raises UntrainedError where all do. `training` is what `untrained.apps.training.train` takes besides.
    """
    chosen = study.distinct()[:top]
    if top < 1 or not chosen:
        raise UsageError(f"top={top} of {len(study.distinct()):,} good trials; there is none to train")
    space: Space = construct("space", study.question.space)
    place = Folder(out, resume=resume)
    found: list[Final] = []
    for i, trial in enumerate(chosen):
        own = place.path / CANDIDATES / trial.architecture.id

        def step(done: int, total: int, line: Line, number: int = i) -> None:
            if progress is not None:
                progress(number, len(chosen), done, total, line)

        try:
            trained = train(
                trial.architecture,
                space=space,
                out=own,
                resume=resume,
                minutes=None if minutes is None else minutes / len(chosen),
                progress=step,
                **training,
            )
        except Diverged as error:
            found.append(Final(i + 1, trial, None, 0.0, str(error).partition("\n")[0]))
            continue
        found.append(Final(i + 1, trial, trained.marks, trained.seconds))
    ranked = sorted(found, key=lambda f: (f.marks is None, f.marks["loss"] if f.marks else 0.0, f.place))
    place.write(RANKING, [f.record() for f in ranked])
    if ranked[0].marks is None:
        raise UntrainedError(f"none of the {len(ranked)} could be trained; the best: {ranked[0].reason}")
    _keep(place.path, ranked[0].trial.architecture.id)
    return ranked


def _keep(place: Path, winner: str) -> None:
    """The winner's files where those of a single training would be; without the state for going on."""
    for name in KEPT:
        with whole(place / name) as part:
            part.write_bytes((place / CANDIDATES / winner / name).read_bytes())
