"""Files that commands write: checked before the work, there as a whole or not at all."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from untrained.core import files
from untrained.core.errors import UsageError


def target(option: str, typed: str) -> Path:
    """The path of an output, or UsageError now rather than after hours of work."""
    path = Path(typed).expanduser()
    if path.is_dir():
        raise UsageError(f"{option} {typed}: this is a folder.\n  name a file in it: {path / 'result'}")
    folder = path.resolve().parent
    if not folder.is_dir():
        raise UsageError(f"{option} {typed}: there is no folder {folder}.\n  make it: mkdir -p {folder}")
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise UsageError(f"{option} {typed}: nothing may be written there.\n  name another file")
    if not _special(path) and not os.access(folder, os.W_OK):
        raise UsageError(f"{option} {typed}: nothing may be written in {folder}.\n  name another file")
    return path


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A name to write to; what is there gets the name `path` when the block has ended well.

    A link stays one. A device or a pipe (`/dev/stdout`) is written to directly.
    """
    if _special(path):
        yield path
        return
    with files.replaced(path.resolve()) as part:
        yield part


def _special(path: Path) -> bool:
    return path.exists() and not stat.S_ISREG(path.stat().st_mode)
