"""The one progress bar: on stderr, with rate and time left, for work of more than two seconds."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, Task
    from rich.text import Text

AFTER = 2.0  # seconds of work from which a bar is shown

Tick = Callable[[int, int | None], None]


@contextmanager
def progress(what: str, *, unit: str = "", quiet: bool = False) -> Iterator[Tick]:
    """A function to call with (done, total); it shows nothing unless stderr is a terminal.

    `quiet` is for commands that print to the same terminal while they work.
    """
    if quiet or sys.stderr is None or not sys.stderr.isatty():
        yield lambda done, total: None
        return
    bar = _Bar(what, unit)
    try:
        yield bar.tick
    finally:
        bar.close()


class _Bar:
    """Appears by itself after two seconds, also where the first step takes that long."""

    def __init__(self, what: str, unit: str) -> None:
        self.what, self.unit = what, unit
        self.done = 0
        self.total: int | None = None
        self.shown: Progress | None = None
        self.closed = False
        self.lock = threading.Lock()
        self.timer = threading.Timer(AFTER, self._open)
        self.timer.daemon = True
        self.timer.start()

    def tick(self, done: int, total: int | None) -> None:
        self.done, self.total = done, total
        if self.shown is not None:
            self.shown.update(self.shown.task_ids[0], completed=done, total=total)

    def close(self) -> None:
        self.timer.cancel()
        with self.lock:
            self.closed = True
            if self.shown is not None:
                self.shown.stop()

    def _open(self) -> None:
        made = _made(self.unit)
        with self.lock:
            if not self.closed:
                made.add_task(self.what, total=self.total, completed=self.done)
                made.start()
                self.shown = made


def _made(unit: str) -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Told(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(told(task.completed, task.total, task.speed, unit))

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        Told(),
        TimeRemainingColumn(compact=True),
        TextColumn("left"),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=False,  # what is printed meanwhile is for stdout, whoever reads that
        redirect_stderr=False,
    )


def told(done: float, total: float | None, speed: float | None, unit: str) -> str:
    """Where the work is, for people: `12 of 125, 3.4/s`, or `1.5 of 2.0 MB, 0.8 MB/s`."""
    if unit == "bytes":
        whole = "" if total is None else f" of {total / 1e6:.1f}"
        return f"{done / 1e6:.1f}{whole} MB" + (f", {speed / 1e6:.1f} MB/s" if speed else "")
    whole = "" if total is None else f" of {total:,.0f}"
    rate = "" if not speed else f", {speed:.1f}/s" if speed >= 1 else f", {1 / speed:.1f} s each"
    return f"{done:,.0f}{whole}{rate}"
