"""`untrained studies`: what a store holds, and how it leaves it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from untrained.apps.cli._options import Json, StudyName

if TYPE_CHECKING:
    from untrained.core.study import Study
    from untrained.studies.overview import Overview

Store = Annotated[str, typer.Argument(metavar="STORE", help="What search was given as --store.")]
FORMATS = ("jsonl", "csv", "optuna")


def list_studies(store: Store, json: Json = False) -> None:
    """List the studies of a store: question, number of trials, best."""
    from untrained.apps.cli._screen import print_records, print_table
    from untrained.apps.report.command import in_a_line
    from untrained.apps.report.table import Column, number, table
    from untrained.studies.overview import overviews

    found = overviews(store)
    if json:
        print_records(map(_record, found))
        return
    rows = []
    for one in found:
        name, _ = one.question.objectives[0]
        value = one.leaders[0].values.get(name) if one.leaders else None
        best = one.best.id if one.best else "-"
        rows.append([one.study, f"{one.trials:,}", best, number(value), in_a_line(one.question)])
    titles = [Column("study", left=True), Column("trials"), Column("best", left=True, spare=1)]
    print_table(table([*titles, Column("value"), Column("question", left=True, wraps=True)], rows))


def show_study(store: Store, study: StudyName = None, json: Json = False) -> None:
    """Show a study: the question, what became of its trials, the best, the front.

    Quick also for a million trials, and while the search runs.

    With --json: the same as one object, with the whole front.
    """
    from untrained.apps.cli._screen import print_record, width
    from untrained.apps.report.counts import count
    from untrained.apps.report.document import as_text
    from untrained.apps.report.study import BEST, FRONT, asked, best, front, happened, outcome, title
    from untrained.studies.overview import overview

    found = overview(store, study=study, best=BEST, front=None if json else FRONT)
    if json:
        print_record({"study": found.study} | outcome(found))
        return
    parts = [asked(found), happened(count(found)), best(found), *front(found)]
    print(as_text(f"{title(found)}: {found.study}", parts, min(width(), 100)), end="")


def delete(
    store: Store,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The study; see: untrained studies list STORE")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    json: Json = False,
) -> None:
    """Delete a study with all its trials; it cannot be brought back.

    The others stay. A store that somebody writes to is left alone.
    """
    from untrained.apps.cli._screen import print_record
    from untrained.core.errors import UsageError
    from untrained.studies.store import forget, names

    if not yes and name in names(store):
        if not _asks():
            raise UsageError(f"nobody is here to be asked whether to delete {name!r}.\n  if so, add: --yes")
        if not typer.confirm(f"Delete the study {name!r} of {store} with all its trials?", err=True):
            raise typer.Exit(1)
    forget(store, name)
    if json:
        print_record({"store": store, "deleted": name})
    else:
        print(f"deleted: {name}")


def export_study(
    store: Store,
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="|".join(FORMATS),
            help="JSON lines, a table, or a storage that Optuna and its dashboard open.",
        ),
    ],
    output: Annotated[
        str,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="What to write. For Optuna a SQLite file, a journal (FILE.log), or the URL of a storage.",
        ),
    ],
    study: StudyName = None,
    force: Annotated[bool, typer.Option("--force", help="Replace what is there.")] = False,
    json: Json = False,
) -> None:
    """Write the trials of a study to a file for other programs.

    One record a trial, in order: status, values, reason, architecture.

    \b
    untrained studies export study.db --to csv -o trials.csv
    untrained studies export study.db --to optuna -o optuna.db
    untrained studies export study.db --to optuna -o optuna.log   (faster)
    """
    from untrained.apps.cli._guard import tell
    from untrained.apps.cli._outputs import replaced, target
    from untrained.apps.cli._screen import print_record
    from untrained.core.errors import UnknownName, UsageError
    from untrained.studies.place import Place
    from untrained.studies.store import load, named

    if to not in FORMATS:
        raise UnknownName("format", to, FORMATS, more="untrained studies export --help")
    url = "://" in output
    if url and to != "optuna":
        raise UsageError(f"-o {output}: {to} is written to a file.\n  name one: -o trials.{to}")
    name = named(store, study)
    mine, theirs = Place.of(store).path, Place.of(output).path
    if mine is not None and theirs is not None and mine.resolve() == theirs.expanduser().resolve():
        raise UsageError(f"-o {output}: this is the store itself.\n  name another file")
    if url:
        found = load(store, study=name)
        _to_optuna(found, output, name, force)
    else:
        path = target("-o", output)
        if path.is_file() and not force:
            raise UsageError(f"{path} is there already.\n  replace it: --force, or name another file")
        found = load(store, study=name)
        with replaced(path) as part:
            _write(found, to, part, name, journal=path.suffix in (".log", ".journal"))
    if json:
        print_record({"store": found.store, "study": name, "trials": len(found.trials), "output": output})
    else:
        tell(f"written: {output} ({len(found.trials):,} trials)")


def _asks() -> bool:
    """Whether somebody is here who can answer."""
    return sys.stdin is not None and sys.stdin.isatty()


def _write(study: Study, to: str, path: Path, name: str, *, journal: bool) -> None:
    from untrained.studies.export import write_csv, write_jsonl

    if to == "optuna":
        _to_optuna(study, f"{'journal' if journal else 'sqlite'}:///{path}", name, force=False)
    elif to == "csv":
        write_csv(study, path)
    else:
        write_jsonl(study, path)


def _to_optuna(study: Study, url: str, name: str, force: bool) -> None:
    from untrained.apps.cli._progress import progress
    from untrained.apps.optuna import export

    with progress("writing for Optuna") as tick:
        export(study, url, name=name, replace=force, progress=tick)


def _record(found: Overview) -> dict[str, Any]:
    """What the list has to say, as JSON says it."""
    from untrained.apps.report.best import trial_record

    return {
        "study": found.study,
        "trials": found.trials,
        "space": found.question.space,
        "objectives": [list(pair) for pair in found.question.objectives],
        "where": found.question.where,
        "strategy": found.question.strategy,
        "seed": found.question.seed,
        "best": trial_record(found, found.leaders[0]) if found.leaders else None,
    }
