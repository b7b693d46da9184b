"""`untrained train STORE --top K`: the best few of a search, trained."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def going_on(out: str) -> Iterator[None]:
    """Says how to go on where somebody stops it."""
    from untrained.apps.cli._guard import tell

    try:
        yield
    except KeyboardInterrupt:
        tell(f"\nkept in {out} up to the last examination; to go on, type the same and --resume")
        raise


def ranking(store: str | None, study: str | None, top: int, asked: dict[str, Any], json: bool) -> None:
    """Trains them and prints who came out where."""
    from untrained.apps.cli._progress import progress
    from untrained.apps.cli._screen import print_records, print_section
    from untrained.core.errors import UsageError

    if store is None or ("://" not in store and not Path(store).expanduser().is_file()):
        raise UsageError(
            "--top needs the store of a search: untrained train study.db --top 3 -o DIR\n"
            "  make one: untrained search gpt_decoder --maximize rank_and_reuse --store study.db"
        )
    with progress("training") as tick, going_on(asked["out"]):
        from untrained.apps.finals import finals
        from untrained.apps.report.training import ranked
        from untrained.studies.store import load

        found = finals(
            load(store, study=study),
            top=top,
            progress=lambda i, n, done, total, line: tick(i * total + done, n * total),
            **asked,
        )
    if json:
        print_records(one.record() for one in found)
        return
    print_section(ranked(found))
    print(f"\nkept:  {shlex.quote(str(asked['out']))}")
