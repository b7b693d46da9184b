"""What became of the trials of a study, in numbers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from untrained.core.study import Study
from untrained.studies.evaluator import JOINT
from untrained.studies.run import rejections


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


def count(study: Study) -> Counts:
    """Counts each distinct architecture once, and the repeats beside them."""
    distinct = [t for t in study.trials if t.same_as is None]
    by_status = Counter(t.status for t in distinct)
    clauses = rejections(Study(study.question, distinct))
    reasons = Counter(t.reason or "no reason given" for t in distinct if t.status == "failed")
    noted = Counter(what for t in distinct if t.status == "ok" and t.reason for what in t.reason.split(JOINT))
    return Counts(
        trials=len(study.trials),
        ok=by_status["ok"],
        rejected=by_status["rejected"],
        failed=by_status["failed"],
        duplicates=len(study.trials) - len(distinct),
        clauses=dict(clauses.most_common()),
        reasons=dict(reasons.most_common()),
        noted=dict(noted.most_common()),
    )
