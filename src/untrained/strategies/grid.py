"""Everything that a space has, one after another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import TYPE_CHECKING

from untrained.core.architecture import Architecture
from untrained.core.errors import UsageError
from untrained.core.space import Space
from untrained.core.strategy import Strategy, strategy

if TYPE_CHECKING:
    from untrained.core.study import Trial


@strategy
class Grid(Strategy):
    """Goes through a space in its fixed order, each architecture once, then from the start again.

    After the last one nothing new is found: what is shown again is told with its old numbers, and the study
    records it as a repeat. A space without an end is refused with a UsageError. Where workers are asked for
    one by one as they fall idle, take `ahead` of several times their number: each ask then draws from that
    many of the next architectures, so that two idle workers seldom get the same one.

    Source:  ours; the order is that of `Space.everything`
    Differs: an ordinary grid counts its steps. This one takes the first architectures that were not told,
             so that a resumed search, a batch cut short or workers that overtake each other leave no gap
    """

    def __init__(self, space: Space, *, ahead: int = 1) -> None:
        super().__init__(space)
        if ahead < 1:
            raise UsageError(f"grid: ahead={ahead}; take 1, or more for asynchronous workers: ahead=64")
        self.ahead = ahead
        self._check_end()
        self._told: Counter[str] = Counter()  # ids that the walk has not come to yet
        self._walk: Iterator[Architecture] = iter(())
        self._next: list[Architecture] = []

    def ask(self, rng: Random, n: int = 1) -> list[Architecture]:
        window = self._untold(max(n, self.ahead))
        return window[:n] if self.ahead == 1 else rng.sample(window, n)

    def tell(self, trial: Trial) -> None:
        self._told[trial.architecture.id] += 1

    def _untold(self, n: int) -> list[Architecture]:
        """The next `n` that were not told; how far the walk has come follows from what was told alone."""
        self._next = [arch for arch in self._next if not self._passed(arch)]
        while len(self._next) < n:
            arch = next(self._walk, None)
            if arch is None:
                self._walk = self.space.everything()
            elif not self._passed(arch):
                self._next.append(arch)
        return self._next[: max(n, self.ahead)]

    def _passed(self, arch: Architecture) -> bool:
        left = self._told.get(arch.id, 0)
        if left > 1:
            self._told[arch.id] = left - 1
        elif left:
            del self._told[arch.id]
        return left > 0

    def _check_end(self) -> None:
        if next(self.space.everything(), None) is None:  # raises UsageError where there is no end
            raise UsageError(f"grid: the space {self.space.name} has no valid architecture to go through")
