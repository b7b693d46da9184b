"""Measures in this very process, in the order of asking."""

from __future__ import annotations

from collections import deque

from untrained.core.strategy import Ask
from untrained.studies.events import Outcome
from untrained.studies.executors import Evaluate


class Here:
    """One slot, no other process, so no time limit either."""

    slots = 1

    def __init__(self, evaluate: Evaluate) -> None:
        self._evaluate = evaluate
        self._waiting: deque[tuple[int, Ask]] = deque()

    def submit(self, ticket: int, ask: Ask) -> None:
        self._waiting.append((ticket, ask))

    def wait(self) -> tuple[int, Outcome]:
        ticket, ask = self._waiting.popleft()
        return ticket, self._evaluate(ask.architecture, ask.fidelity, ask.draw)

    def close(self) -> None:
        self._waiting.clear()
