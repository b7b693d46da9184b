"""What became of the trials of a study, in numbers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from untrained.core.study import Study
from untrained.studies.evaluator import JOINT
from untrained.studies.overview import Overview


@dataclass(frozen=True)
class Counts:
    """Every trial falls under one of `ok`, `rejected`, `failed` and `duplicates`."""

    trials: int
    ok: int
    rejected: int
    failed: int
    duplicates: int
    """trials of an architecture that an earlier one had shown"""
    clauses: dict[str, int]
    """condition -> architectures that broke it; one that broke two counts under both"""
    reasons: dict[str, int]
    """why there is no number -> architectures"""
    noted: dict[str, int]
    """what a metric of `also` could not say -> architectures, which are good all the same"""

    def __str__(self) -> str:
        return (
            f"{self.trials:,} trials: {self.ok:,} good, {self.rejected:,} turned away by a constraint, "
            f"{self.failed:,} failed, {self.duplicates:,} equal to an earlier one"
        )


def count(study: Study | Overview) -> Counts:
    """Counts each distinct architecture once, and the repeats beside them."""
    counted = _tally(study) if isinstance(study, Study) else study.counts
    by_status: Counter[str] = Counter()
    clauses: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    noted: Counter[str] = Counter()
    for (status, reason), n in counted.items():
        by_status[status] += n
        if status == "failed":
            reasons[reason or "no reason given"] += n
        elif reason:
            for what in reason.split(JOINT):
                (clauses if status == "rejected" else noted)[what] += n
    trials = number_of_trials(study)
    return Counts(
        trials=trials,
        ok=by_status["ok"],
        rejected=by_status["rejected"],
        failed=by_status["failed"],
        duplicates=trials - counted.total(),
        clauses=dict(clauses.most_common()),
        reasons=dict(reasons.most_common()),
        noted=dict(noted.most_common()),
    )


def number_of_trials(study: Study | Overview) -> int:
    return len(study.trials) if isinstance(study, Study) else study.trials


def _tally(study: Study) -> Counter[tuple[str, str | None]]:
    return Counter((t.status, t.reason) for t in study.trials if t.same_as is None)
