"""The figures of a search, each from plain records: front, progress, size, importance, failures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from untrained.apps.report.figures.axes import Axis
from untrained.apps.report.figures.bars import Bar, bars
from untrained.apps.report.figures.marks import figure
from untrained.apps.report.figures.plot import Point, plot
from untrained.apps.report.figures.thin import thinned
from untrained.apps.report.table import Column, Table, number, share, table
from untrained.core.metric import Better

MOST = 3_000  # dots drawn in one plot
ROWS = 40  # of the table below a plot


def pareto(
    points: Sequence[Point], front: Sequence[Point], x: Axis, y: Axis, *, drawn_of: int = 0, front_of: int = 0
) -> str:
    """Everything that was measured, and what nothing beats in both values.

    `drawn_of` and `front_of` say how many there were before the caller thinned them out.
    """
    kept, thin = _thin(points, drawn_of)
    ordered = sorted(front, key=lambda p: (p.x, p.y))
    # Where less of x is better, what is reached by x is level until the next of the front, to the right.
    line = [(p.x, p.y) for p in (ordered if x.better == "lower" else reversed(ordered))]
    unbeaten, whole = front_of or len(front), drawn_of or len(points)
    said = f"{unbeaten:,} of {whole:,} are not beaten in both values{_some(front, front_of)}."
    said += _clicks(front) + thin
    body = plot(kept, x, y, marked=ordered, line=line, steps=True, said=f"{y.name} against {x.name}")
    return figure("What one gets for what", body, said=said, table=_numbers(ordered, x, y))


def _some(front: Sequence[Point], front_of: int) -> str:
    marked = len(front)
    return ": the marked ones" if front_of in (0, marked) else f"; {marked:,} of them are marked"


def _clicks(front: Sequence[Point]) -> str:
    linked = sum(bool(p.href) for p in front)
    which = "one" if linked == len(front) else "a large one"
    return f" A click on {which} leads to its drawing." if linked else ""


def against_size(
    points: Sequence[Point], marked: Sequence[Point], x: Axis, y: Axis, *, said: str, drawn_of: int = 0
) -> str:
    """The score against the size: a score that only counts parameters shows as a line."""
    kept, thin = _thin(points, drawn_of)
    body = plot(kept, x, y, marked=marked, said=f"{y.name} against {x.name}")
    return figure(f"{y.name} against size", body, said=said + thin, table=_numbers(marked, x, y))


def progress(
    scores: Sequence[tuple[int, float]], y: Axis, *, better: Better = "higher", drawn_of: int = 0
) -> str:
    """Every trial's value, and the best so far; (number of the trial, value) in the order of the trials."""
    best = climbed(scores, better)
    x = Axis("trial")
    dots = [Point(n, v, f"trial {n}") for n, v in scores]
    kept, thin = _thin(dots, drawn_of)
    last = scores[-1][0] if scores else 0
    line = [*best, (last, best[-1][1])] if best else []
    said = ""
    if best:
        said = (
            f"The best value was reached at trial {best[-1][0]:,} of {last + 1:,}, "
            f"after {len(best):,} improvement{'s' * (len(best) > 1)}.{thin}"
        )
    rows = [[f"{n:,}", number(v)] for n, v in best[-ROWS:]]
    body = plot(kept, x, y, line=line, steps=True, said=f"{y.name} by trial, and the best so far")
    return figure("Progress", body, said=said, table=table(["trial", f"best {y.name}"], rows))


def climbed(scores: Iterable[tuple[int, float]], better: Better = "higher") -> list[tuple[int, float]]:
    """The (trial, value) at which a new best was found."""
    found: list[tuple[int, float]] = []
    for n, value in scores:
        if not found or (value > found[-1][1] if better == "higher" else value < found[-1][1]):
            found.append((n, value))
    return found


def importance(rows: Sequence[Mapping[str, object]], *, said: str) -> str:
    """How much of the order each choice explains beyond all others; shares from 0 to 1 with intervals.

    A row has `choice`, `gain`, `low`, `high` and `verdict`; see `untrained.core.effects`.
    """
    shown = [
        Bar(
            str(r["choice"]),
            _float(r["gain"]),
            share(max(_float(r["gain"]), 0.0)),
            max(_float(r["low"]), 0.0),
            max(_float(r["high"]), 0.0),
            strong=_float(r["low"]) > 0,
            note=str(r["verdict"]),
        )
        for r in rows
    ]
    titles = [Column("choice", left=True), "beyond the others", "95 %", "alone", Column("", left=True)]
    cells = [
        [
            str(r["choice"]),
            share(_float(r["gain"])),
            f"{share(_float(r['low']))} to {share(_float(r['high']))}",
            share(_float(r["alone"])) if "alone" in r else "",
            str(r["verdict"]),
        ]
        for r in rows
    ]
    body = bars(shown, said="Share of the order that each choice explains")
    return figure("Which choices matter", body, said=said, table=table(titles, cells) if cells else None)


def failures(rejected: Mapping[str, int], failed: Mapping[str, int], trials: int) -> str:
    """How many were turned away by which clause, and how many failed for which reason."""
    rows = [(f"turned away: {why}", n) for why, n in rejected.items()]
    rows += [(f"failed: {why}", n) for why, n in failed.items()]
    rows.sort(key=lambda row: -row[1])
    shown = [Bar(why, n, f"{n:,}", strong=why.startswith("failed")) for why, n in rows[:12]]
    said = f"Of {trials:,} trials. One that breaks two clauses counts under both."
    if not rows:
        return figure("What went wrong", "", said="Nothing failed, and no constraint turned anything away.")
    body = bars(shown, said="Trials by reason")
    cells = [[why, f"{n:,}"] for why, n in rows[:ROWS]]
    return figure(
        "What went wrong", body, said=said, table=table([Column("reason", left=True), "trials"], cells)
    )


def _thin(points: Sequence[Point], drawn_of: int) -> tuple[list[Point], str]:
    kept = [points[i] for i in thinned([p.x for p in points], [p.y for p in points], MOST)]
    whole = drawn_of or len(points)
    return kept, f" Of {whole:,} points {len(kept):,} are drawn." if len(kept) < whole else ""


def _numbers(points: Sequence[Point], x: Axis, y: Axis) -> Table | None:
    if not points:
        return None
    rows = [[p.name, number(p.y), number(p.x)] for p in points[:ROWS]]
    return table([Column("architecture", left=True), y.name, x.name], rows)


def _float(value: object) -> float:
    assert isinstance(value, int | float), "shares are numbers"
    return float(value)
