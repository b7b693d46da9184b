"""From values to places on a plot, and the round values that stand at its edges."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

MARGIN = 0.03  # of the plot that stays free at each end
STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
DECADES = 100.0  # from this ratio of the largest to the smallest on, sizes are told in logarithms


@dataclass(frozen=True)
class Axis:
    """What is told along one side of a plot."""

    name: str
    unit: str = ""
    better: str = ""
    """`higher`, `lower`, or nothing"""
    log: bool = False

    @property
    def title(self) -> str:
        """Name, unit and which way is better, as they stand at the axis."""
        unit = f" ({self.unit})" if self.unit else ""
        return f"{self.name}{unit}" + (f", {self.better} is better" if self.better else "")


class Scale:
    """Values between two ends as shares of a hundred of the plot's width or height."""

    def __init__(self, values: Iterable[float], *, log: bool = False) -> None:
        """A logarithm is taken only where all values are above zero."""
        found = [v for v in values if math.isfinite(v)]
        self.log = log and bool(found) and min(found) > 0
        low, high = (min(found), max(found)) if found else (0.0, 1.0)
        self._low, self._high = self._bent(low), self._bent(high)
        if self._high <= self._low:
            apart = abs(self._low) * 0.1 or 1.0
            self._low, self._high = self._low - apart, self._high + apart
        room = (self._high - self._low) * MARGIN
        self._low, self._high = self._low - room, self._high + room

    def place(self, value: float) -> float:
        """0 at the low end, 100 at the high one."""
        return 100 * (self._bent(value) - self._low) / (self._high - self._low)

    def ticks(self, most: int = 6) -> list[float]:
        """At most `most` round values between the ends."""
        if self.log:
            return self._powers(most)
        step = _step((self._high - self._low) / most)
        first = math.ceil(self._low / step)
        last = math.floor(self._high / step)
        return [round(k * step, 12) for k in range(first, last + 1)]

    def _powers(self, most: int) -> list[float]:
        for few in ((1, 2, 5), (1, 3), (1,)):
            found = [
                m * 10.0**e
                for e in range(math.floor(self._low), math.ceil(self._high) + 1)
                for m in few
                if self._low <= math.log10(m * 10.0**e) <= self._high
            ]
            if len(found) <= most:
                break
        every = max(1, math.ceil(len(found) / most))
        found = found[::every]
        if len(found) >= 2:
            return found
        straight = Scale([10**self._low, 10**self._high])
        return [t for t in straight.ticks(most) if t > 0]

    def _bent(self, value: float) -> float:
        return math.log10(value) if self.log else value


def wide(values: Iterable[float]) -> bool:
    """Whether positive values span so much that only their logarithms can be told apart."""
    found = [v for v in values if math.isfinite(v)]
    return bool(found) and min(found) > 0 and max(found) / min(found) >= DECADES


def short(value: float) -> str:
    """A number in few letters: 8M, 1.25G, 0.031."""
    for factor, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            return f"{value / factor:.4g}{letter}"
    return f"{value:.4g}"


def _step(least: float) -> float:
    power = 10.0 ** math.floor(math.log10(least))
    return next(s * power for s in STEPS if s * power >= least * (1 - 1e-9))
