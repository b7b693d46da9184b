"""Where a model directory is to be: free, with room, and there as a whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from untrained.core.errors import UntrainedError, UsageError

ROOM = 1.02  # of the weights' bytes, for all that is beside them


def free(out: str | Path) -> Path:
    """The path of the new directory; raises UsageError where something is there or nothing can be."""
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
    try:
        part = Path(tempfile.mkdtemp(prefix=f".{place.name}.", suffix=".part", dir=place.parent))
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


def _unwritten(place: Path, why: str) -> UntrainedError:
    return UntrainedError(
        f"{place} cannot be written: {why}; nothing is left there.\n  make room, or name another: -o DIR"
    )
