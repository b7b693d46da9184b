"""Where trials are measured: here, in processes of this machine, or on a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from untrained.core.architecture import Architecture
from untrained.core.strategy import Ask
from untrained.studies.events import Outcome

Evaluate = Callable[[Architecture, int | None, int], Outcome]
"""(architecture, fidelity, draw) -> outcome; see `Evaluator`"""


class Executor(Protocol):
    """Takes what is to be measured and gives the outcomes back, in any order.

    What a measurement raises (a question that cannot be asked) is raised by `wait`.
    """

    slots: int
    """how many are measured at a time; a caller keeps as many submitted"""

    def submit(self, ticket: int, ask: Ask) -> None:
        """Hands one in; the ticket comes back with its outcome."""

    def wait(self) -> tuple[int, Outcome]:
        """The next outcome; blocks until there is one."""

    def close(self) -> None:
        """Ends whatever is still at work; a second call does nothing."""
