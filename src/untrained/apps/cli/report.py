"""`untrained report`: what a search found, and how far to believe it."""

from __future__ import annotations

from typing import Annotated

import typer

from untrained.apps.cli._options import Json, StudyName


def report(
    store: Annotated[str, typer.Argument(metavar="STORE", help="What search was given as --store.")],
    output: Annotated[
        str | None, typer.Option("-o", "--output", metavar="FILE.md", help="Write it as Markdown too.")
    ] = None,
    study: StudyName = None,
    json: Json = False,
) -> None:
    """Report on a search, also while it runs.

    The question, the counts, the best, the front, and how far to believe them.

    With --json: the same as one object.

    \b
    untrained report study.db -o report.md
    """
    from untrained.apps.cli._guard import tell
    from untrained.apps.cli._outputs import replaced, target
    from untrained.apps.cli._screen import print_record, width
    from untrained.apps.report.document import as_markdown, as_text
    from untrained.apps.report.study import BEST, FRONT, record, sections, title
    from untrained.core.errors import UsageError
    from untrained.studies.overview import overview

    if output is not None and output.lower().endswith((".html", ".htm", ".pdf")):
        raise UsageError(f"-o {output}: a report is written as Markdown.\n  name a file like report.md")
    path = None if output is None else target("-o", output)
    found = overview(store, study=study, best=BEST, front=None if json else FRONT)
    parts = sections(found)
    if json:
        print_record(record(found))
    else:
        print(as_text(title(found), parts, min(width(), 100)), end="")
    if path is not None:
        with replaced(path) as part:
            part.write_text(as_markdown(title(found), parts), encoding="utf-8")
        tell(f"written: {path}")
