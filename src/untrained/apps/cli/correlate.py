"""`untrained correlate`: how well scores order networks whose training is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from untrained.apps.cli._options import Data, Device, Json, Proxies, Scale, Seeds, Text, Workers

if TYPE_CHECKING:
    from untrained.apps.correlation import Correlation
    from untrained.apps.report.table import Table

Record = dict[str, Any]

LEGEND = (
    "tau: Kendall's tau-b, with its 95 % bootstrap interval over distinct networks; tau-a: without credit for"
    " ties; rho: Spearman's; half: tau in"
    " the better half; top 10%: share of the true best tenth found in the best tenth by score; hard pairs:"
    " networks of equal size (5 %) and different truth that are put in the right order; partial: rho with"
    " the size held fixed; beats size: tau-a is surely above that of the best plain size, named beside it"
    " (blank for the sizes themselves)."
)


def correlate(
    benchmark: Annotated[
        str,
        typer.Argument(
            metavar="BENCHMARK", help="A table of truths; see: untrained list benchmark. 'all' makes a page."
        ),
    ],
    proxy: Proxies = ["all"],  # noqa: B006  (typer makes a new list for each call)
    data: Data = None,
    scale: Scale = "probe",
    text: Text = None,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit",
            metavar="N",
            min=3,
            help="Only the first N networks that can be built; for a page those with the smallest ids, 1000.",
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "-o", "--output", metavar="PAGE", help="One page of all benchmarks named: .md, .html or .json."
        ),
    ] = None,
    scores: Annotated[
        str | None,
        typer.Option(
            "--scores",
            metavar="FILE.csv|DIR",
            help="Write one line a network: id, key, scores, truths. For a page a folder where scores are"
            " kept, else PAGE.scores: what is there is not measured again.",
        ),
    ] = None,
    other_text: Annotated[
        str | None,
        typer.Option(
            "--other-text", metavar="FILE", help="For a page: how scores agree between this text and --text."
        ),
    ] = None,
    seeds: Seeds = 1,
    versus: Annotated[
        str | None,
        typer.Option(
            "--versus", metavar="METRIC", help="Show each tau minus that of this one, with its interval."
        ),
    ] = None,
    combine: Annotated[
        list[str] | None,
        typer.Option(
            "--combine",
            metavar="mean_rank|log_rank|borda",
            help="One more row: all the scores asked for together, by the ranks that each gives. May be"
            " repeated.",
        ),
    ] = None,
    kept: Annotated[
        bool, typer.Option("--kept", help="For a page: measure nothing, take what is kept in --scores.")
    ] = False,
    workers: Workers = None,
    device: Device = "cpu",
    json: Json = False,
) -> None:
    """Compare scores with a benchmark's truth.

    The plain sizes stand among the rows: a score that does not beat them says no more than they do.

    published:NAME, or published:all, takes values that the benchmark's authors printed; nothing is scored
    then. With --json: a list with one record per score and truth.

    \b
    untrained correlate nas_bench_nlp --proxy fading_memory,hidden_covariance
    untrained correlate nas_bench_nlp --proxy published:all
    untrained correlate nas_bench_nlp -p swap,fading_memory --combine log_rank
    untrained correlate all --proxy all -o leaderboard.html
    """
    from untrained.apps.cli._guard import tell
    from untrained.apps.cli._outputs import replaced, target
    from untrained.apps.cli._progress import progress
    from untrained.apps.cli._screen import print_records
    from untrained.apps.names import split_names
    from untrained.core.errors import UsageError

    names = split_names(proxy)
    boards = split_names(benchmark) if benchmark.strip() else [benchmark]
    if output is not None or len(boards) > 1 or boards == ["all"]:
        _page(boards, versus, combine, seeds)
        from untrained.apps.cli._leaderboard import leaderboard

        given: dict[str, Any] = {} if limit is None else {"limit": limit}
        given |= {"data": data, "scale": scale, "text": text, "other_text": other_text, "measure": not kept}
        leaderboard(boards, names, output, scores, json, workers=workers, device=device, **given)
        return
    if other_text is not None or kept:
        option = "--kept" if kept else "--other-text"
        raise UsageError(f"{option} goes with a page\n  name one: -o leaderboard.md")
    path = None if scores is None else target("--scores", scores)
    with progress("correlating") as tick:
        from untrained.apps import api

        found = api.correlate(
            benchmark,
            names,
            data=data,
            scale=scale,
            text=text,
            limit=limit,
            seeds=seeds,
            versus=versus,
            combine=split_names(combine) if combine else (),
            workers=workers,
            device=device,
            progress=tick,
        )
    if path is not None:
        with replaced(path) as part:
            found.save_scores(part)
        tell(f"written: {path}")
    if json:
        print_records(found.records)
    else:
        _print(found, versus)
    _end(found, names)


def _page(boards: list[str], versus: str | None, combine: list[str] | None, seeds: int) -> None:
    """Raises UsageError for what only the table of one benchmark has."""
    from untrained.core.errors import UsageError

    asked = {"--versus": versus is not None, "--combine": bool(combine), "--seeds": seeds != 1}
    for option in (name for name, given in asked.items() if given):
        raise UsageError(f"{option} goes with one benchmark and no page, not with {', '.join(boards)}")


def _print(found: Correlation, versus: str | None) -> None:
    """A table per truth, best tau first; then what has to be known to read them."""
    from untrained.apps.cli._screen import print_heading, print_notes, print_table, print_text, tell_left_out

    left_out: list[str] = []
    for target in found.benchmark.targets:
        records = sorted((r for r in found.records if r["target"] == target.name), key=lambda r: -r["tau"])
        if records:
            print_heading(f"{target.name} ({target.unit}, {target.better} is better)")
            left_out += print_table(_table(records, versus), told=False)
            if records[0]["ceiling_tau"] is not None:
                print_text(_ceiling(records[0]))
            print()
    tell_left_out(left_out)
    print_text(LEGEND + (f" Versus: tau minus that of {versus}, with its interval." if versus else ""))
    print_notes(found.notes, most=8)


def _table(records: list[Record], versus: str | None) -> Table:
    from untrained.apps.report.table import Column, share, table

    titles = [Column("score", left=True), Column("n", spare=6), "tau", "95 %"]
    titles += ["versus", "95 %"] if versus else []
    titles += [
        Column("tau-a", spare=7),
        Column("rho", spare=8),
        Column("half", spare=2),
        Column("top 10%", spare=3),
    ]
    titles += [Column("hard pairs", spare=4), Column("partial", spare=9), Column("s/arch", spare=5)]
    titles += [Column("beats size", spare=1), Column("best size", left=True, spare=7)]
    rows = []
    for r in records:
        row = [r["proxy"], f"{r['n']:,}", _two(r["tau"]), _interval(r["tau_low"], r["tau_high"])]
        if versus:
            row += [_two(r["minus_versus"]), _interval(r["minus_versus_low"], r["minus_versus_high"])]
        pairs = f"{share(r['hard_pairs'])} of {r['hard_pairs_n']:,}" if r["hard_pairs_n"] else ""
        row += [
            _two(r["tau_a"]),
            _two(r["rho"]),
            _two(r["tau_better_half"]),
            share(r["top10_overlap"]),
            pairs,
        ]
        row += ["" if r["partial_rho"] is None else _two(r["partial_rho"])]
        row += [f"{r['seconds_per_arch']:.4f}" if r["seconds_per_arch"] else ""]
        beats = {True: "yes", False: "no", None: ""}[r["beats_size"]]
        rows.append([*row, beats, r["best_size"] or ""])
    return table(titles, rows)


def _ceiling(record: Record) -> str:
    """What noise leaves of a perfect score, in a sentence."""
    pairs = record["ceiling_hard_pairs"]
    hard = "" if pairs is None else f" and {100 * pairs:.0f}% of the hard pairs"
    return (
        f"noise ceiling: a perfect score would have tau {_two(record['ceiling_tau'])}{hard};"
        f" {record['retested']} networks were trained more than once, and the first two trainings agree with"
        f" tau {_two(record['retest_tau'])}."
    )


def _two(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _interval(low: float | None, high: float | None) -> str:
    return "-" if low is None else f"{_two(low)}..{_two(high)}"


def _end(found: Correlation, names: list[str]) -> None:
    """Raises UntrainedError where no score that was asked for has a number."""
    from untrained.apps.correlation import PUBLISHED
    from untrained.apps.probing import resolve
    from untrained.core.errors import UntrainedError

    built = {m.label for m in resolve([n for n in names if not n.startswith(PUBLISHED)])}
    asked = [c for name, c in found.columns.items() if name in built or name.startswith(PUBLISHED)]
    if not any(value is not None for column in asked for value in column):
        reason = found.notes[1] if len(found.notes) > 1 else "no reason is known"
        raise UntrainedError(
            f"none of these scores has a number for any network: {', '.join(names)}.\n  {reason}"
        )
