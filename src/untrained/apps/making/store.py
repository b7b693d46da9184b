"""The rows that there are: a file that only grows, a line a run, each safe on the disk before the next."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from untrained.core import runs as form
from untrained.core.errors import BadData, UntrainedError, UsageError
from untrained.core.files import write_whole
from untrained.core.runs import Run


class Store:
    """The runs of one benchmark, and the design that they follow."""

    def __init__(self, path: Path, benchmark: str, space: str, design: Mapping[str, Any], *, resume: bool):
        """Opens the file, or makes it. A torn last line, which a kill leaves, is cut off.

        Raises UsageError for a file that is there and is not to go on, or that another design has made.
        """
        self.path, self.benchmark, self.design = path, benchmark, design
        self.runs: list[Run] = []
        if not path.exists():
            self._append(form.head(benchmark, design))
            return
        if not resume:
            raise UsageError(
                f"{path} exists.\n  go on with it: the same command with --resume\n  or name another file"
            )
        had, self.runs = form.parsed(benchmark, space, path, torn=True)
        if differs := _differences(had, dict(design)):
            raise UsageError(
                f"{path} was made with another recipe, and rows of two recipes make no table:\n"
                + "".join(f"  {line}\n" for line in differs)
                + "  name another file: --store FILE"
            )
        self._mend()

    def add(self, run: Run) -> None:
        """One more row; UntrainedError where the disk says no, with the file as it was."""
        self._append(run.line())
        self.runs.append(run)

    def publish(self, path: Path) -> None:
        """Writes the rows in an order of their own: by band, smallest first, then by network and seed."""
        place = {name: i for i, name in enumerate(self.design["bands"])}  # well-known networks have none
        lines = [r.line() for r in sorted(self.runs, key=lambda r: (place.get(r.band, -1), *r.key))]
        write_whole(path, "\n".join([form.head(self.benchmark, self.design), *lines, ""]))

    def _append(self, line: str) -> None:
        before = self.path.stat().st_size if self.path.exists() else 0
        try:
            with self.path.open("ab") as file:
                try:
                    file.write(f"{line}\n".encode())
                    file.flush()
                    os.fsync(file.fileno())
                except OSError:
                    os.truncate(self.path, before)
                    raise
        except OSError as error:
            raise UntrainedError(
                f"{self.path} cannot be written: {error.strerror}; the rows before are safe.\n"
                "  make room, then go on: the same command with --resume"
            ) from error

    def _mend(self) -> None:
        """Cuts off a last line that has no end."""
        try:
            whole = self.path.read_bytes()
            os.truncate(self.path, whole.rfind(b"\n") + 1)
        except OSError as error:
            raise BadData(f"{self.path} cannot be mended: {error.strerror}") from error


def _differences(had: Any, wanted: Any, where: str = "") -> list[str]:
    """What two designs do not have in common, a line each."""
    if isinstance(had, dict) and isinstance(wanted, dict):
        names = sorted({*had, *wanted})
        return [
            line
            for n in names
            for line in _differences(had.get(n), wanted.get(n), f"{where}.{n}" if where else n)
        ]
    return [] if had == wanted else [f"{where}: {had} there, {wanted} here"]
