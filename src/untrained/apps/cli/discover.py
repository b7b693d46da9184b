"""`untrained discover`: formulas that nobody wrote, judged on networks that had no part in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from untrained.apps.cli._options import Data, Json, Scale, Seed, Text

if TYPE_CHECKING:
    from untrained.apps.discovering import Discovery

LEGEND = (
    "training: tau-a (no credit for ties) with the truth on the half of the architectures that was searched"
    " with; held out: on the other half, looked at once at the end; rival: the hand-made proxy with the"
    " largest tau-a on the training half; minus rival: the difference on the held-out half, with its 95 %"
    " paired bootstrap interval."
)


def discover(
    benchmarks: Annotated[
        list[str], typer.Argument(metavar="BENCHMARK...", help="Tables of truths; the first truth counts.")
    ],
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE.json", help="Where the best formula goes.")
    ],
    trials: Annotated[int, typer.Option("--trials", metavar="N", min=1, help="Formulas to judge.")] = 5_000,
    seed: Seed = 0,
    data: Data = None,
    log: Annotated[
        str | None,
        typer.Option("--log", metavar="FILE.jsonl", help="Keeps what was judged; a stopped run goes on."),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", metavar="N", min=2, help="Only the first N architectures of each benchmark."),
    ] = None,
    rivals: Annotated[
        list[str] | None,
        typer.Option(
            "--rival", metavar="METRIC,...", help="Hand-made proxies to compare with; else eight of ours."
        ),
    ] = None,
    cache: Annotated[
        str | None,
        typer.Option("--cache", metavar="DIR", help="Keeps what was seen of the networks, for other runs."),
    ] = None,
    scale: Scale = "probe",
    text: Text = None,
    json: Json = False,
) -> None:
    """Find a formula that orders networks, by genetic programming.

    It is fitted to half of the architectures, chosen by their ids, and told on the other half. The file
    serves wherever a proxy does: --proxy formula.json. With --json: one record a formula and benchmark.

    \b
    untrained discover nas_bench_nlp nas_bench_bert -o formula.json
    untrained score --recipe lstm --proxy formula.json
    """
    from untrained.apps.cli._guard import tell
    from untrained.apps.cli._outputs import replaced, target
    from untrained.apps.cli._progress import progress
    from untrained.apps.cli._screen import print_records

    path = target("--output", output)
    book = None if log is None else target("--log", log)
    with progress("discovering") as tick:
        from untrained.apps.discovering import HAND_MADE
        from untrained.apps.discovering import discover as run

        found = run(
            benchmarks,
            trials=trials,
            seed=seed,
            data=data,
            log=book,
            limit=limit,
            rivals=rivals or HAND_MADE,
            cache=cache,
            text=text,
            scale=scale,
            progress=tick,
        )
    with replaced(path) as part:
        found.save(part)
    tell(f"written: {path}")
    if found.rate:
        tell(f"{found.rate:,.0f} formulas a second")
    if json:
        print_records(found.records)
    else:
        _print(found)


def _print(found: Discovery) -> None:
    from untrained.apps.cli._screen import print_heading, print_notes, print_table, print_text
    from untrained.apps.report.table import Column, table

    titles: list[Any] = [Column("benchmark", left=True), "training", "held out", Column("rival", left=True)]
    titles += [Column("training", spare=2), "held out", "minus rival", "95 %"]
    for rank in dict.fromkeys(r["rank"] for r in found.records):
        rows = [r for r in found.records if r["rank"] == rank]
        print_heading(f"{rank}. {rows[0]['formula']}")
        print_table(table(titles, [_row(r) for r in rows]))
        print()
    print_text(found.verdict)
    print()
    print_text(LEGEND)
    print_notes(found.notes, most=8)


def _row(r: dict[str, Any]) -> list[str]:
    row = [r["benchmark"], f"{r['tau_a_training']:.3f}", f"{r['tau_a_held_out']:.3f}"]
    if r["rival"] is None:
        return [*row, "", "", "", "", ""]
    return [
        *row,
        r["rival"],
        f"{r['rival_tau_a_training']:.3f}",
        f"{r['rival_tau_a_held_out']:.3f}",
        f"{r['minus_rival']:+.3f}",
        f"{r['minus_rival_low']:+.3f}..{r['minus_rival_high']:+.3f}",
    ]
