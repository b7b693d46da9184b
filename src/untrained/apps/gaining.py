"""What labels gain over a score without them, pair by pair of the networks scored on, over all draws."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from untrained.apps.labelled import Known, Real, Rows
from untrained.core.concordance import PairsGained, pair_gains

AT_ONCE = 1_000  # networks up to which pairs are gathered: 32 MB a number of labels
NEAR = 0.05  # of the larger size: what makes a pair hard, as in core/statistics


class Gained:
    """For one number of labels; networks of a table with more than 1,000 are not gathered."""

    NOTHING: ClassVar[dict[str, float | None]] = dict.fromkeys(
        ("gain_networks_low", "gain_networks_high", "hard_gain", "hard_gain_low", "hard_gain_high")
    )

    def __init__(self, known: Known) -> None:
        self.known, self.kept = known, len(known.ids) <= AT_ONCE
        size = len(known.ids) if self.kept else 0
        self.pairs, self.hard = PairsGained(size), PairsGained(size)

    def add(self, test: Rows, scores: Real) -> None:
        """The scores of the networks `test` in one more draw, against their prior."""
        if not self.kept:
            return
        truth = self.known.quality[test]
        gains, apart = pair_gains(scores, self.known.codes[test, 0], truth), abs(truth[:, None] - truth)
        self.pairs.add(test, gains, apart > 0)
        if self.known.size is not None:
            size = self.known.size[test]
            near = abs(size[:, None] - size) <= NEAR * np.maximum(size[:, None], size)
            self.hard.add(test, gains, near & (apart > self.known.gap))

    def record(self) -> dict[str, float | None]:
        """Of tau, which is twice the share of pairs, and of the share of hard pairs."""
        every, hard = self.pairs.interval(), self.hard.interval()
        tau = [None, None] if every is None else [2 * v for v in every[1:]]
        return dict(zip(self.NOTHING, [*tau, *(hard or (None, None, None))], strict=True))
