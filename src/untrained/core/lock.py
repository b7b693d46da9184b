"""Locks that the operating system takes back when a process dies, however it dies."""

from __future__ import annotations

import sys

if sys.platform == "win32":
    import msvcrt

    def take(handle: int) -> None:
        """Locks an open file for this handle alone, without waiting; OSError where it is held."""
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def take(handle: int) -> None:
        """Locks an open file or folder for this handle alone, without waiting; OSError where it is held."""
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
