"""`untrained reduce`: which choices matter, and a smaller space that keeps the best."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from untrained.apps.cli._options import Data, Json, StudyName

if TYPE_CHECKING:
    from untrained.apps.reducing import Reduction
    from untrained.apps.report.table import Table

PAIRS, OPTIONS = 5, 40  # rows shown

LEGEND = (
    "beyond: share of the order that a choice tells beyond all others, on architectures that were not seen;"
    " alone: by itself; 95 %: bootstrap over architectures. Of an option: places in the order, of a hundred,"
    " between none of it and all of it, as it is and with the other choices held where they are."
)


def reduce(
    what: Annotated[
        str,
        typer.Argument(
            metavar="BENCHMARK|STORE", help="A table of truths, or what search was given as --store."
        ),
    ],
    output: Annotated[
        str | None,
        typer.Option(
            "-o", "--output", metavar="FILE.json", help="Write the smaller space; search and sample take it."
        ),
    ] = None,
    keep: Annotated[
        str, typer.Option("--keep", metavar="SHARE", help="The best share that the smaller space is to hold.")
    ] = "10%",
    lose: Annotated[
        str, typer.Option("--lose", metavar="SHARE", help="The share of those that may be lost.")
    ] = "5%",
    fix: Annotated[
        bool, typer.Option("--fix", help="Fix choices that do not matter at their cheapest option.")
    ] = False,
    target: Annotated[
        str | None,
        typer.Option("--target", metavar="TRUTH", help="Which truth of the benchmark.  [default: its first]"),
    ] = None,
    space: Annotated[
        str | None,
        typer.Option(
            "--space",
            "-s",
            metavar="SPACE",
            help="The space to narrow, with its options; else the benchmark's.",
        ),
    ] = None,
    data: Data = None,
    study: StudyName = None,
    json: Json = False,
) -> None:
    """Find out which choices matter, and leave out what is never among the best.

    On a benchmark by its truth, in a study by its first objective. A choice matters if it tells something
    about the order of architectures that were not seen beyond all other choices. The smaller space is tried
    on a fifth of the architectures that had no part in it, five times. It may find nothing, and says so.

    With --json: one object with everything.

    \b
    untrained reduce nas_bench_bert --data DIR
    untrained reduce nas_bench_bert --data DIR --keep 10% -o space.json
    untrained search space.json --maximize rank_and_reuse
    """
    from untrained.apps import reducing
    from untrained.apps.cli._guard import tell
    from untrained.apps.cli._outputs import replaced
    from untrained.apps.cli._outputs import target as checked
    from untrained.apps.cli._screen import print_record
    from untrained.core.errors import UntrainedError, UsageError

    shares = {name: _share(name, typed) for name, typed in (("keep", keep), ("lose", lose))}
    if output is not None and not output.endswith(".json"):
        raise UsageError(f"-o {output}: a space is written as JSON.\n  name a file like space.json")
    path = None if output is None else checked("-o", output)
    known = reducing.known(what, data=data, target=target, space=space, study=study)
    found = reducing.reduce(known, keep=shares["keep"], lose=shares["lose"], fix=fix)
    if json:
        print_record(found.record())
    else:
        _print(found)
    if path is None:
        return
    if found.space is None:
        raise UntrainedError(f"no smaller space was found, so {output} was not written")
    with replaced(path) as part:
        part.write_text(found.to_json(), encoding="utf-8")
    tell(f"written: {path}\nsearch it: untrained search {shlex.quote(str(output))} --store study.db")


def _share(name: str, typed: str) -> float:
    """`10%` or `0.1` as a number."""
    from untrained.core.errors import UsageError

    text = typed.strip()
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1 or (name == "keep" and value == 0):
        raise UsageError(f"--{name} {typed!r} is not a share above 0 and below 100 %.\n  write: --{name} 10%")
    return value


def _print(found: Reduction) -> None:
    from untrained.apps.cli._screen import print_heading, print_notes, print_table, print_text
    from untrained.apps.report.html import importance_said
    from untrained.apps.report.table import number, share

    known = found.known
    print_heading(f"{known.what}: {known.target}, {len(known.archs):,} different architectures")
    print_text(importance_said(found.effects, known.target))
    print()
    print_table(choices(found))
    if found.effects.pairs and found.effects.found:
        print()
        print_heading("Two choices together, beyond what each does")
        print_table(pairs(found))
    print()
    print_heading("Options")
    print_table(options(found))
    print_text(LEGEND)
    print()
    print_heading(f"The smaller space: the best {share(found.keep)}")
    for line in smaller(found):
        print_text(line)
    print_notes([*found.notes, f"Mean of all: {number(found.held_out.mean)} {known.unit}".strip()], most=8)


def choices(found: Reduction) -> Table:
    """A row a choice, most first."""
    from untrained.apps.report.table import Column, share, table

    titles = [Column("choice", left=True), "beyond", "95 %", Column("alone", spare=1), Column("", left=True)]
    rows = [
        [
            e.title,
            share(e.gain),
            f"{share(e.low)}..{share(e.high)}",
            share(e.alone),
            found.effects.verdict(e.choice),
        ]
        for e in found.effects.choices
    ]
    return table(titles, rows)


def pairs(found: Reduction) -> Table:
    """The few that tell most."""
    from untrained.apps.report.table import Column, share, table

    rows = [
        [e.choice, share(e.gain), f"{share(e.low)}..{share(e.high)}", e.verdict]
        for e in found.effects.pairs[:PAIRS]
    ]
    return table([Column("choices", left=True), "beyond", "95 %", Column("", left=True)], rows)


def options(found: Reduction) -> Table:
    """A row an option, those of the choices that tell most first."""
    from untrained.apps.report.table import Column, share, table

    order = {e.choice: i for i, e in enumerate(found.effects.choices)}
    told = sorted(found.effects.options, key=lambda o: order[o.choice])[:OPTIONS]
    rows = [
        [
            o.choice,
            o.option,
            share(o.share),
            f"{round(o.raw):+d}",
            f"{round(o.adjusted):+d}",
            f"{round(o.low):+d}..{round(o.high):+d}",
        ]
        for o in told
    ]
    titles = [Column("choice", left=True), Column("option", left=True), Column("share", spare=2)]
    return table([*titles, Column("as it is", spare=1), "others held", "95 %"], rows)


def smaller(found: Reduction) -> list[str]:
    """Sentences about the smaller space: what is left, how large it is, what one loses."""
    from untrained.apps.report.table import number, share

    out, known = found.held_out, found.known
    if found.space is None:
        return ["Nothing was found that could be left out: search the whole space."]
    left = [f"{k}: {', '.join(map(_said, v))}" for k, v in found.options.items() if k not in found.fixed]
    left += [f"{k}: {low:g} to {high:g}" for k, (low, high) in found.limits.items()]
    left += [f"{k}: {_said(v[0])} (fixed)" for k, v in found.fixed.items()]
    said = ["; ".join(left) + "."]
    if found.size is not None and found.whole:
        said.append(f"{_large(found.size)} of {_large(found.whole)} architectures ({_percent(found.share)}).")
    else:
        said.append(f"{_percent(found.share)} of random architectures lie in it.")
    said.append(
        f"Tried on what it had not seen: {out.kept} of the best {out.best} lie in it"
        f" [{share(out.kept_low)} to {share(out.kept_high)}], and {share(out.inside)} of all."
        + (
            f" Their mean is {number(out.mean_inside)} {known.unit}".rstrip()
            if out.mean_inside is not None
            else ""
        )
        + (
            " and the best one is among them."
            if out.loss == 0
            else f"; the best of all is {number(out.loss)} better than theirs."
        )
    )
    return said


def _said(value: object) -> str:
    return " + ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _large(value: int) -> str:
    return f"{value:,}" if value < 10**12 else f"{value:.2e}"


def _percent(value: float | None) -> str:
    if value is None:
        return "fewer than 0.1 %"
    return f"{100 * value:.3g} %"
