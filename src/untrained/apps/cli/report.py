"""`untrained report`: what a search found, and how far to believe it."""

from __future__ import annotations

from typing import Annotated

import typer

from untrained.apps.cli._options import Json


def report(
    store: Annotated[str, typer.Argument(metavar="STORE", help="What search was given as --store.")],
    output: Annotated[
        str | None, typer.Option("-o", "--output", metavar="FILE.md", help="Write it as Markdown too.")
    ] = None,
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
    from untrained.apps.report.study import record, sections, title
    from untrained.core.errors import UsageError
    from untrained.studies.store import load

    if output is not None and output.lower().endswith((".html", ".htm", ".pdf")):
        raise UsageError(f"-o {output}: a report is written as Markdown.\n  name a file like report.md")
    path = None if output is None else target("-o", output)
    study = load(store)
    parts = sections(study)
    if json:
        print_record(record(study))
    else:
        print(as_text(title(study), parts, min(width(), 100)), end="")
    if path is not None:
        with replaced(path) as part:
            part.write_text(as_markdown(title(study), parts), encoding="utf-8")
        tell(f"written: {path}")
