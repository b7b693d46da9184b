"""Where this user's files lie that can be made or fetched again."""

from __future__ import annotations

import os
from pathlib import Path

from untrained.core.errors import UsageError


def user_cache() -> Path:
    """XDG_CACHE_HOME/untrained, else ~/.cache/untrained; raises UsageError where there is no home."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(base):  # the XDG specification says that a relative one is to be ignored
        return Path(base) / "untrained"
    try:
        return Path.home() / ".cache" / "untrained"
    except RuntimeError:
        raise UsageError(
            "this user has no home folder to keep data in.\n"
            "  name one: UNTRAINED_DATA=DIR, or XDG_CACHE_HOME=DIR"
        ) from None
