"""One writer per file, by a lock that the operating system takes back when a process dies."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from untrained.core.errors import BadStore
from untrained.core.lock import take

TRIES = 5  # to take a lock that somebody may only be looking at
PAUSE = 0.02  # seconds between them


@contextmanager
def only_writer(path: Path) -> Iterator[None]:
    """Holds `<path>.lock` while the block runs; raises BadStore where another process holds it.

    The lock lies beside the database and not on it: SQLite loses its own locks when anybody in the
    process closes the file. A file that a killed process leaves behind is not locked and does not matter.
    """
    real = path.resolve()  # a link to the file has the same lock
    beside = real.with_name(real.name + ".lock")
    handle = _acquire(path, beside)
    try:
        yield
    finally:
        if sys.platform == "win32":  # an open file cannot be removed there
            os.close(handle)
            with suppress(OSError):
                beside.unlink()
        else:  # removed while still locked, so that nobody's new lock is removed
            with suppress(OSError):
                beside.unlink()
            os.close(handle)


def held(path: Path) -> bool:
    """Whether a process holds the lock of that file now; a killed one's lock file does not count."""
    real = path.resolve()
    try:
        handle = os.open(real.with_name(real.name + ".lock"), os.O_RDWR)
    except OSError:
        return False
    try:
        take(handle)  # for a moment; `_acquire` waits as long
    except OSError:
        return True
    finally:
        os.close(handle)
    return False


def _acquire(path: Path, beside: Path) -> int:
    tries = TRIES
    while True:
        handle = os.open(beside, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            take(handle)
            # The holder before us may have removed the file between our two calls.
            if beside.exists() and os.path.samestat(os.fstat(handle), os.stat(beside)):
                return handle
        except (BlockingIOError, PermissionError):
            os.close(handle)
            if tries := tries - 1:
                time.sleep(PAUSE)
                continue
            raise BadStore(
                f"another process is writing to {path}.\n"
                "  wait until it ends, or name another store: --store NAME.db"
            ) from None
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)
