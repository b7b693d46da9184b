"""Files that are there as a whole or not at all, whatever kills the process or fills the disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import get_ident

from untrained.core.errors import UntrainedError


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A name to write to; when the block has ended well, what is there is on the disk under the name `path`.

    Raises UntrainedError where it cannot be written; what was there before is then as it was.
    """
    try:
        with _placed(path, path.with_name(f".{path.name}.part")) as part:
            yield part
    except OSError as error:
        raise unwritten(path, error) from error


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """The same where several may write at once: each has a name of its own, and one of them is there whole.

    Raises UntrainedError where it cannot be written, with what was there unchanged.
    """
    try:
        with _placed(path, path.with_name(f".{path.name}.{os.getpid()}-{get_ident()}.part")) as part:
            yield part
    except OSError as error:
        raise UntrainedError(
            f"{path} cannot be written: {error.strerror}; nothing was changed there"
        ) from error


def write_whole(path: Path, text: str) -> None:
    """The text under that name; see `replaced`."""
    with replaced(path) as part:
        part.write_text(text, encoding="utf-8")


@contextmanager
def _placed(path: Path, part: Path) -> Iterator[Path]:
    """Gives `part` to write to, and it the name `path` when the block has ended well; OSError.

    It gets the mode of what was there, else that of new files; some writers make theirs private.
    """
    try:
        part.touch()
        mode = (path if path.exists() else part).stat().st_mode
        yield part
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.chmod(mode)
        os.replace(part, path)
        _keep(path.parent)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def unwritten(path: Path, error: OSError) -> UntrainedError:
    """What is said where a file cannot be written."""
    why = error.strerror or str(error)
    return UntrainedError(
        f"{path} cannot be written: {why}; what was there before is as it was.\n"
        "  make room or name another place, then go on where it stopped: the same command with --resume"
    )


def _keep(folder: Path) -> None:
    """Makes the new name survive a loss of power; not every system lets a folder be opened."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
