"""`untrained make-benchmark`: trains the networks of a benchmark of our own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from untrained.apps.cli._options import Device, Json

if TYPE_CHECKING:
    from untrained.core.runs import Run


def make_benchmark(
    benchmark: Annotated[
        str, typer.Argument(metavar="FAMILY", help="bench_rnn, bench_decoder or bench_encoder")
    ],
    store: Annotated[
        str, typer.Option("--store", metavar="FILE", help="Where each row is kept as soon as it is known.")
    ] = "",
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="DIR",
            help="Folder with the text: wikitext2_valid.txt and wikitext2_test.txt; else UNTRAINED_DATA, else"
            " the user's cache.",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with what is in the store; by the same recipe only.")
    ] = False,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="ID", help="Only this architecture. May be repeated."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", min=1, help="End after N new rows.")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option("--minutes", metavar="M", help="Begin no training after M minutes.")
    ] = None,
    workers: Annotated[
        int, typer.Option("--workers", metavar="K", min=1, help="Networks that are trained at once.")
    ] = 1,
    device: Device = "cpu",
    output: Annotated[
        str | None,
        typer.Option("-o", "--output", metavar="TABLE.jsonl", help="Write the rows in order, as released."),
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Only print which networks there are.")] = False,
    json: Json = False,
) -> None:
    """Train the networks of a benchmark of ours, and keep one row for each training.

    Kill it anywhere: --resume goes on, also in the middle of a training. See docs/benchmark.md for what the
    benchmarks are. With --json: one record for each row that is there.

    \b
    untrained make-benchmark bench_decoder --plan
    untrained make-benchmark bench_decoder --store rows.jsonl --data text --workers 2
    untrained correlate bench_decoder:table=rows.jsonl -p fading_memory,params
    """
    from untrained.apps.cli._guard import tell
    from untrained.apps.cli._outputs import target
    from untrained.core.errors import UsageError

    if plan:
        _plan(benchmark, json)
        return
    if not store:
        raise UsageError("the rows need a file to be kept in: --store FILE")
    path = target("--store", store)
    out = None if output is None else target("-o", output)
    from untrained.apps.making.making import make

    def said(done: int, whole: int, run: Run) -> None:
        tell(f"{done} of {whole}: {_told(run)}")

    try:
        found = make(
            benchmark,
            store=path,
            data=data,
            resume=resume,
            only=only or (),
            limit=limit,
            minutes=minutes,
            workers=workers,
            device=device,
            progress=said,
        )
    except KeyboardInterrupt:
        tell(f"\nwhat was trained is in {path}; go on: the same command with --resume")
        raise
    if out is not None:
        found.publish(out)
        tell(f"written: {out}")
    if json:
        from untrained.apps.cli._screen import print_records

        print_records(_record(run) for run in found.runs)
        return
    print(f"{len(found.runs):,} rows in {path}")


def _told(run: Run) -> str:
    ended = f"loss {run.loss:.4f}" if run.loss is not None else f"diverged ({run.reason})"
    return f"{run.arch.id} seed {run.seed} band {run.band}: {ended}, {run.seconds:.0f} s"


def _record(run: Run) -> dict[str, Any]:
    return {
        "arch": run.arch.id,
        "band": run.band,
        "seed": run.seed,
        "status": run.status,
        "loss": run.loss,
        "seconds": run.seconds,
    }


def _plan(benchmark: str, json: bool) -> None:
    """A line a training: architecture, band, seed and learning rate."""
    from untrained.apps.cli._screen import print_records
    from untrained.apps.making.families import family
    from untrained.apps.making.plan import plan

    jobs = plan(family(benchmark))
    if json:
        print_records({"arch": j.arch.id, "band": j.band, "seed": j.seed, "peak_lr": j.peak_lr} for j in jobs)
        return
    for job in jobs:
        print(f"{job.arch.id}  band {job.band}  seed {job.seed}  peak_lr {job.peak_lr:g}")
