"""Files that commands write: checked before the work, there as a whole or not at all."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from untrained.core.errors import UntrainedError, UsageError


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

    A device or a pipe (`/dev/stdout`) is written to directly.
    """
    if _special(path):
        yield path
        return
    real = path.resolve()  # a link stays one
    try:
        handle, name = tempfile.mkstemp(prefix=f".{real.name}.", suffix=".part", dir=real.parent)
        os.close(handle)
        part = Path(name)
        try:
            yield part
            part.chmod(real.stat().st_mode if real.exists() else 0o666 & ~_umask())
            os.replace(part, real)
        finally:
            with suppress(OSError):
                part.unlink(missing_ok=True)
    except OSError as error:
        raise UntrainedError(
            f"{path} cannot be written: {error.strerror}; nothing was changed there"
        ) from error


def _special(path: Path) -> bool:
    return path.exists() and not stat.S_ISREG(path.stat().st_mode)


def _umask() -> int:
    """The bits that new files go without; there is no way to ask but to set them."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
