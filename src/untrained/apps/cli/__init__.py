"""The command `untrained`. Each file that is not private holds one command, or two that belong together."""

from __future__ import annotations

import sys


def main() -> None:
    """The console script; ends the process with 0 (good), 1 (failed work), 2 (wrong use) or 130 (Ctrl-C)."""
    try:
        from untrained.apps.cli._guard import forgiving
        from untrained.apps.cli.app import app

        forgiving(sys.stdout)
        app()
    except KeyboardInterrupt:  # before or after a command's own guard
        if sys.stderr is not None:
            print("\nstopped", file=sys.stderr)
        raise SystemExit(130) from None
