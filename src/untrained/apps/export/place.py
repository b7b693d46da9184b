"""Where a model directory is to be: free, with room, and there as a whole or not at all.

It is written into a hidden folder beside its place, which is locked meanwhile. What a killed process leaves
there is not locked, and the next export to the same place removes it.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from safetensors import SafetensorError

from untrained.core.errors import UntrainedError, UsageError
from untrained.core.lock import take

ROOM = 1.02  # of the weights' bytes, for all that is beside them


def free(out: str | Path) -> Path:
    """The path of the new directory; raises UsageError where something is there or nothing can be.

    What exports to that place have left that were killed is removed.
    """
    place = Path(out).expanduser()
    place = place.parent.resolve() / place.name if place.name else place.resolve()
    if place.is_symlink() or place.exists():
        what = "a file" if place.is_file() else "there already"
        raise UsageError(
            f"{out} is {what}, and a model takes a new folder.\n  name another: -o {place.name}-2"
        )
    if not place.parent.is_dir():
        raise UsageError(f"there is no folder {place.parent}.\n  make it: mkdir -p {place.parent}")
    if not os.access(place.parent, os.W_OK):
        raise UsageError(f"nothing may be written in {place.parent}.\n  name another folder: -o DIR")
    _clear(place)
    return place


def check_room(place: Path, size: float) -> None:
    """Raises UntrainedError where the disk has less room than the weights take."""
    free = shutil.disk_usage(place.parent).free
    if size * ROOM > free:
        raise UntrainedError(
            f"the model takes {size / 2**20:,.0f} MiB, and {place.parent} has"
            f" {free / 2**20:,.0f} MiB free.\n"
            "  make room, or name a folder on another disk: -o DIR"
        )


@contextmanager
def beside(place: Path) -> Iterator[Path]:
    """A folder that takes the name `place` when the block has ended well, and else is gone."""
    part: Path | None = None
    lock: int | None = None
    try:
        part, lock = _begun(place)
        yield part
        part.chmod(0o755)
        part.rename(place)
    except OSError as error:
        raise _unwritten(place, error.strerror or str(error)) from error
    except SafetensorError as error:
        full = f"os error {errno.ENOSPC}" in str(error) or f"code: {errno.ENOSPC}" in str(error)
        raise _unwritten(place, os.strerror(errno.ENOSPC) if full else str(error)) from error
    finally:
        if part is not None and part.exists():
            shutil.rmtree(part, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _begun(place: Path) -> tuple[Path, int | None]:
    """A hidden folder of this process alone, and its lock."""
    while True:
        part = Path(tempfile.mkdtemp(prefix=f".{place.name}.", suffix=".part", dir=place.parent))
        with suppress(BlockingIOError, FileNotFoundError):  # another export took it for one that was left
            lock = _lock(part)
            if part.exists():
                return part, lock
            if lock is not None:
                os.close(lock)


def _lock(part: Path) -> int | None:
    """The lock of a folder, None where the system has no such; BlockingIOError where another holds it."""
    try:
        handle = os.open(part, os.O_RDONLY)
    except PermissionError:  # Windows opens no folders
        return None
    try:
        take(handle)
    except OSError as error:
        os.close(handle)
        if isinstance(error, BlockingIOError):
            raise
        return None
    return handle


def _clear(place: Path) -> None:
    """Removes the hidden folders of exports to that place that have no process any more."""
    own = re.compile(rf"\.{re.escape(place.name)}\.[a-z0-9_]{{8}}\.part")  # as mkdtemp names them
    for part in place.parent.iterdir():
        if own.fullmatch(part.name) and part.is_dir() and not part.is_symlink():
            with suppress(OSError):
                lock = _lock(part)
                if lock is not None:
                    shutil.rmtree(part, ignore_errors=True)
                    os.close(lock)


def _unwritten(place: Path, why: str) -> UntrainedError:
    return UntrainedError(
        f"{place} cannot be written: {why}; nothing is left there.\n  make room, or name another: -o DIR"
    )
