"""Files that are there as a whole or not at all, whenever the process is killed."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from untrained.core.errors import UntrainedError


def write_whole(path: Path, text: str) -> None:
    """The text under that name; UntrainedError where the disk says no, with what was there unchanged."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        try:
            part.write_text(text, encoding="utf-8")
            os.replace(part, path)
        finally:
            with suppress(OSError):
                part.unlink(missing_ok=True)
    except OSError as error:
        raise UntrainedError(
            f"{path} cannot be written: {error.strerror}; nothing was changed there"
        ) from error
