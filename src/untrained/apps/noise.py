"""The luck of one training, told by networks that were trained more than once."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Real = npt.NDArray[np.float64]

NEAR = 10  # deviations of twins, at least, from which the luck of one network is drawn
NORMAL = 1.4826  # from the median size of a normal number to its standard deviation


@dataclass(frozen=True)
class Noise:
    """How far trainings of one network are apart, at which quality."""

    level: Real
    """mean quality of the network, for each training of each network that has several"""
    off: Real
    """how far that training is from the mean, widened to what one training is from the truth"""

    @classmethod
    def of(cls, trainings: Sequence[Sequence[float]]) -> Noise | None:
        """From the qualities of each training of each network; None where no network has two."""
        twins = [np.array(t, dtype=np.float64) for t in trainings if len(t) > 1]
        if not twins:
            return None
        level = np.concatenate([np.full(len(t), t.mean()) for t in twins])
        off = np.concatenate([(t - t.mean()) * math.sqrt(len(t) / (len(t) - 1)) for t in twins])
        return cls(level, off)

    @property
    def size(self) -> float:
        """Standard deviation of one training: 1.4826 median deviations, so that failures hardly count."""
        return robust_spread(self.off)

    def truth(self, quality: Real, share: Real | float = 1.0) -> Real:
        """Qualities drawn together to the spread that they have without noise.

        `share` is how much of the noise of one training a label has: less where it is the mean of several.
        """
        middle = np.median(quality)
        spread = robust_spread(quality - middle)
        noise = self.size * math.sqrt(float(np.mean(np.square(share))))
        kept = math.sqrt(max(0.0, 1 - (noise / spread) ** 2)) if spread else 1.0
        drawn: Real = middle + kept * (quality - middle)
        return drawn

    def draws(self, quality: Real, luck: np.random.Generator) -> Iterator[Real]:
        """Endlessly, the luck of one training of each network: that of the quarter of twins nearest to it."""
        near = np.argsort(abs(self.level - quality[:, None]), axis=1)[:, : max(NEAR, len(self.off) // 4)]
        rows = np.arange(len(quality))
        while True:
            yield self.off[near[rows, luck.integers(near.shape[1], size=len(rows))]]


def robust_spread(deviations: Real) -> float:
    """Standard deviation, if they are normal, of which a few that are not move little."""
    return NORMAL * float(np.median(abs(deviations)))
