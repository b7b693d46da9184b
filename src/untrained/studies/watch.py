"""Says early when no architecture meets the constraint, and which clause is the tightest."""

from __future__ import annotations

import re
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
        self.seen_values: dict[str, tuple[float, float]] = {}
        """smallest and largest value of each number of those that were turned away"""
        self.next = FIRST

    def see(self, trial: Trial) -> str | None:
        """What to tell, once at the first 100 trials without a good one, at 1,000, and so on."""
        self.seen += 1
        if trial.status == "ok":
            self.good += 1
        elif trial.status == "rejected":
            self.broken.update((trial.reason or "").split(JOINT))
            for name, value in trial.values.items():
                low, high = self.seen_values.get(name, (value, value))
                self.seen_values[name] = min(low, value), max(high, value)
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
        return (
            f"none of the first {self.seen:,} architectures meets the constraint. The tightest clause:"
            f" {clause} (turned away {times:,}{self._nearest(clause)}).\n  loosen it, or go on and hope"
        )

    def _nearest(self, clause: str) -> str:
        """For `params <= 1000`, the smallest number of parameters that came up."""
        found = re.match(r"([\w.:]+) *([<>])", clause)
        if found is None or found[1] not in self.seen_values:
            return ""
        low, high = self.seen_values[found[1]]
        which, value = ("smallest", low) if found[2] == "<" else ("largest", high)
        return f"; the {which} was {value:,.6g}"
