"""The command `untrained`. Each file that is not private holds one command, or two that belong together."""

from __future__ import annotations

import sys


def main() -> None:
    """The console script; ends the process with 0 (good), 1 (failed work), 2 (wrong use) or 130 (Ctrl-C)."""
    from untrained.apps.cli._guard import forgiving, stopped

    try:
        forgiving(sys.stdout)
        from untrained.apps.cli.app import app

        app()
    except KeyboardInterrupt:  # before or after a command's own guard
        raise SystemExit(stopped()) from None
