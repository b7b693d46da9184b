"""`untrained report`: what a search found, and how far to believe it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from untrained.apps.cli._options import Json, StudyName, Text

if TYPE_CHECKING:
    from untrained.apps.report.findings import Findings
    from untrained.core.text import Corpus

FORMATS = ("html", "md", "json", "png")
ENDINGS = {".html": "html", ".htm": "html", ".md": "md", ".markdown": "md", ".json": "json", ".png": "png"}


def report(
    store: Annotated[str, typer.Argument(metavar="STORE", help="What search was given as --store.")],
    output: Annotated[
        str | None,
        typer.Option(
            "-o", "--output", metavar="FILE", help="Write it to a file; its ending says in what form."
        ),
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="|".join(FORMATS),
            help="One page that opens offline, Markdown, records, or the main figures as a picture."
            "  [default: by the ending of FILE, else md]",
        ),
    ] = None,
    study: StudyName = None,
    draws: Annotated[
        int,
        typer.Option(
            "--draws",
            metavar="K",
            min=0,
            help="For html: measure the best again in K draws, for their spread; 0: do not.",
        ),
    ] = 5,
    text: Text = None,
    json: Json = False,
) -> None:
    """Report on a search, also while it runs.

    The question, the counts, the best, the front, and how far to believe them; as a page also figures,
    which choices matter, and the architectures drawn.

    With --json: the same as one object.

    \b
    untrained report study.db -o report.html
    untrained report study.db -o report.md
    untrained report study.db -o report.png
    """
    from untrained.apps.cli._guard import tell
    from untrained.apps.cli._outputs import replaced, target
    from untrained.apps.cli._screen import print_record, width
    from untrained.apps.report.document import as_text
    from untrained.apps.report.study import BEST, FRONT, record, sections, title
    from untrained.studies.overview import overview

    kind = _form(form, output)
    path = None if output is None else target("-o", output)
    corpus = _corpus(text)
    if json:
        print_record(record(overview(store, study=study, best=BEST)))
    elif output is None and form is None:
        found = overview(store, study=study, best=BEST, front=FRONT)
        print(as_text(title(found), sections(found), min(width(), 100)), end="")
    if path is not None:
        with replaced(path) as part:
            _write(part, kind, store, study, draws, corpus)
        tell(f"written: {path}")
    elif form is not None and not json:
        print(_text(kind, store, study, draws, corpus), end="")


def _form(form: str | None, output: str | None) -> str:
    """In which form to write; UnknownName or UsageError for one that there is not."""
    from untrained.core.errors import UnknownName, UsageError

    if form is not None and form not in FORMATS:
        raise UnknownName("format", form, FORMATS, more="untrained report --help")
    ending = Path(output).suffix.lower() if output else ""
    if output and form is None and ending and ending not in ENDINGS:
        raise UsageError(
            f"-o {output}: a report is no {ending} file.\n"
            "  name a file like report.html, or say what to write: --format html"
        )
    if form == "png" and output is None:
        raise UsageError("a picture needs a file: -o report.png")
    return form or ENDINGS.get(ending, "md")


def _corpus(text: str | None) -> Corpus | None:
    if text is None:
        return None
    from untrained.core.text import load

    return load(text)


def _findings(store: str, study: str | None, draws: int, corpus: Corpus | None) -> Findings:
    from untrained.apps.cli._guard import tell
    from untrained.apps.report.findings import from_store
    from untrained.apps.report.spread import again

    # A spread needs two draws; fewer say nothing.
    return from_store(store, study=study, again=again(draws, corpus, tell) if draws > 1 else None)


def _write(path: Path, kind: str, store: str, study: str | None, draws: int, corpus: Corpus | None) -> None:
    if kind == "png":
        from untrained.apps.report.plots import picture

        picture(_findings(store, study, 0, None), path)
    else:
        path.write_text(_text(kind, store, study, draws, corpus), encoding="utf-8")


def _text(kind: str, store: str, study: str | None, draws: int, corpus: Corpus | None) -> str:
    from json import dumps

    from untrained.apps.report.document import as_markdown
    from untrained.apps.report.study import BEST, FRONT, record, sections, title
    from untrained.studies.overview import overview

    if kind == "html":
        from untrained.apps.report.html import html

        return html(_findings(store, study, draws, corpus))
    found = overview(store, study=study, best=BEST, front=None if kind == "json" else FRONT)
    if kind == "json":
        return dumps(record(found), indent=2, allow_nan=False) + "\n"
    return as_markdown(title(found), sections(found))
