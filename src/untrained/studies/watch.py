"""Says early when no architecture meets the constraint, and which clause is the tightest."""

from __future__ import annotations

from collections import Counter

from untrained.core.study import Trial
from untrained.studies.evaluator import JOINT

FIRST = 100  # trials without a good one before a word is said; then ten times as many, and so on


class Watch:
    """Is shown every trial of a run, and has a sentence where the user would want to know."""

    def __init__(self) -> None:
        self.seen = self.good = 0
        self.broken: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.least: float | None = None
        self.next = FIRST

    def see(self, trial: Trial) -> str | None:
        """What to tell, once at the first 100 trials without a good one, at 1,000, and so on."""
        self.seen += 1
        if trial.status == "ok":
            self.good += 1
        elif trial.status == "rejected":
            self.broken.update((trial.reason or "").split(JOINT))
            if self.least is None or trial.violation < self.least:
                self.least = trial.violation
        else:
            self.failed[trial.reason or "no reason"] += 1
        if self.good or self.seen < self.next:
            return None
        self.next *= 10
        return self._said()

    def _said(self) -> str:
        if not self.broken:
            reason, times = self.failed.most_common(1)[0]
            return f"none of the first {self.seen:,} architectures has a number; {times:,} of them: {reason}"
        clause, times = self.broken.most_common(1)[0]
        near = f"; the nearest was {100 * self.least:.2g} % outside" if self.least else ""
        return (
            f"none of the first {self.seen:,} architectures meets the constraint. The tightest clause:"
            f" {clause} (turned away {times:,}){near}.\n  loosen it, or go on and hope"
        )
