"""What commands that measure have in common."""

from __future__ import annotations

from collections.abc import Mapping

from untrained.core.errors import UntrainedError
from untrained.core.metric import Measurement


class Tally:
    """Whether anything at all could be measured; if not, the command has failed."""

    def __init__(self) -> None:
        self.good = 0
        self.reasons: list[str] = []
        """of failures, each once, in the order in which they came"""

    def see(self, measured: Mapping[str, Measurement]) -> None:
        for m in measured.values():
            self.good += m.ok
            if m.reason and m.reason not in self.reasons and len(self.reasons) < 100:
                self.reasons.append(m.reason)

    def end(self) -> None:
        """Raises UntrainedError where nothing had a number."""
        if not self.good:
            raise UntrainedError(f"nothing could be measured: {'; '.join(self.reasons[:3]) or 'no network'}")
