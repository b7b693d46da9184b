"""A search as it runs, on stderr: a table on a terminal, now and then a line in a pipe."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from untrained.apps.cli._progress import AFTER, told
from untrained.apps.report.table import number
from untrained.studies.evaluator import JOINT

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

    from untrained.core.study import Trial

EVERY = 10.0  # seconds from line to line in a pipe
LATELY = 30.0  # seconds of which the rate is told
SURE = 1.0  # seconds that must have passed before a rate is told: trials are reported in batches
TOP = 5  # architectures shown
REASONS = 4  # clauses and reasons shown


@dataclass
class State:
    """What the trials so far came to."""

    what: str
    """`searching rnn_cell`"""
    name: str = ""
    """of the first objective, as typed"""
    sign: int = 1
    """+1 where there should be much of it, else -1"""
    done: int = 0
    total: int | None = None
    good: int = 0
    turned_away: int = 0
    failed: int = 0
    repeats: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    """clauses that were broken, and why there was no number"""
    top: list[Trial] = field(default_factory=list)
    """the best so far, each architecture once, best first"""
    marks: deque[tuple[float, int]] = field(default_factory=deque)
    """(time, trials done) of the last while"""

    def see(self, done: int, total: int, trial: Trial, now: float | None = None) -> None:
        """Takes in one more trial."""
        moment = time.monotonic() if now is None else now
        self.done, self.total = done, total
        self.marks.append((moment, done))
        while self.marks[0][0] < moment - LATELY:
            self.marks.popleft()
        if trial.same_as is not None:
            self.repeats += 1
        elif trial.status == "ok":
            self.good += 1
            self._rank(trial)
        elif trial.status == "rejected":
            self.turned_away += 1
            self.reasons.update((trial.reason or "").split(JOINT))
        else:
            self.failed += 1
            self.reasons[trial.reason or "no reason given"] += 1

    def _rank(self, trial: Trial) -> None:
        if trial.score is None or trial.fidelity is not None:
            return
        if any(trial.architecture == other.architecture for other in self.top):
            return
        self.top.append(trial)
        self.top.sort(key=lambda t: -(t.score or 0.0))
        del self.top[TOP:]

    @property
    def rate(self) -> float | None:
        """Trials a second, lately; None until it can be told."""
        if not self.marks:
            return None
        (start, first), (end, last) = self.marks[0], self.marks[-1]
        return (last - first) / (end - start) if end - start >= SURE else None

    @property
    def left(self) -> str:
        """`1:47 left`, empty until it can be told."""
        if not self.rate or self.total is None:
            return ""
        seconds = round((self.total - self.done) / self.rate)
        minutes, seconds = divmod(seconds, 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}:{minutes:02}:{seconds:02} left" if hours else f"{minutes}:{seconds:02} left"

    def value(self, trial: Trial) -> str:
        """A trial's first objective, as its metric tells it."""
        return "-" if trial.score is None else number(self.sign * trial.score, 6)

    def outcome(self) -> str:
        """How many were good, turned away and failed, and the commonest reasons."""
        parts = [f"{self.good:,} good", f"{self.turned_away:,} turned away", f"{self.failed:,} failed"]
        parts += [f"{self.repeats:,} seen before"] if self.repeats else []
        why = "; ".join(f"{reason} ({n:,})" for reason, n in self.reasons.most_common(REASONS))
        return ", ".join(parts) + (f": {why}" if why else "")

    def line(self) -> str:
        """Everything in one line, for a pipe."""
        best = (
            f"; best {self.name} {self.value(self.top[0])}, trial {self.top[0].number:,}" if self.top else ""
        )
        left = f", {self.left}" if self.left else ""
        return f"{self.what}: {told(self.done, self.total, self.rate, '')}{left}{best}; {self.outcome()}"


class Board:
    """Shows a state; nothing for work that takes less than two seconds."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.live: Live | None = None
        self.next = time.monotonic() + EVERY

    def see(self, done: int, total: int, trial: Trial) -> None:
        self.state.see(done, total, trial)

    def say(self, message: str) -> None:
        """A sentence for people that stays on the screen."""
        from untrained.apps.cli._guard import tell

        if self.live is None:
            tell(message)
        else:
            self.live.console.print(message, markup=False, highlight=False)


class _Piped(Board):
    def see(self, done: int, total: int, trial: Trial) -> None:
        super().see(done, total, trial)
        if time.monotonic() >= self.next:
            self.next = time.monotonic() + EVERY
            self.say(self.state.line())


class _Shown(Board):
    """A table that is drawn anew four times a second, and gone when the work is done."""

    def __init__(self, state: State) -> None:
        super().__init__(state)
        self.closed, self.lock = False, threading.Lock()
        self.timer = threading.Timer(AFTER, self._open)
        self.timer.daemon = True
        self.timer.start()

    def close(self) -> None:
        self.timer.cancel()
        with self.lock:
            self.closed = True
            if self.live is not None:
                self.live.stop()
                self.live = None

    def _open(self) -> None:
        from rich.console import Console
        from rich.live import Live

        made = Live(
            console=Console(stderr=True, highlight=False),
            get_renderable=lambda: view(self.state),
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        with self.lock:
            if not self.closed:
                made.start()
                self.live = made


@contextmanager
def watching(what: str, name: str, sign: int) -> Iterator[Board]:
    """A board to show every trial to; `name` is the first objective, `sign` +1 where more of it is better."""
    state = State(what, name, sign)
    if sys.stderr is None or not sys.stderr.isatty():
        yield _Piped(state)
        return
    board = _Shown(state)
    try:
        yield board
    finally:
        board.close()


def view(state: State) -> RenderableType:
    """The table of a terminal: how far, how fast, the best, and what was turned away."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    head = Table.grid(padding=(0, 2), expand=True)
    head.add_column(no_wrap=True)
    head.add_column(ratio=1)
    head.add_column(no_wrap=True, justify="right")
    said = "starting" if state.total is None else told(state.done, state.total, state.rate, "")
    head.add_row(state.what, ProgressBar(state.total, state.done), f"{said}  {state.left}".rstrip())
    best = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    others = list(dict.fromkeys(n for t in state.top for n in t.values if n != state.name))[:4]
    for title in ("trial", "best", state.name, *others):
        best.add_column(
            title, justify="left" if title == "best" else "right", no_wrap=True, header_style="bold"
        )
    for trial in list(state.top):
        values = [number(trial.values.get(n), 6) for n in others]
        best.add_row(f"{trial.number:,}", trial.architecture.id, state.value(trial), *values)
    outcome = Text(state.outcome(), no_wrap=True, overflow="ellipsis")
    return Group(head, best, outcome) if state.top else Group(head, outcome)
