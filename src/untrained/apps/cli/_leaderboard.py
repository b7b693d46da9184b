"""`untrained correlate all -o PAGE`: the part of the command that makes a leaderboard."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from untrained.apps.leaderboard.whole import Leaderboard


def leaderboard(
    boards: Sequence[str],
    names: Sequence[str],
    output: str | None,
    scores: str | None,
    json: bool,
    **given: Any,
) -> None:
    """Checks where the page goes, measures, writes it, and says in a few lines what is in it."""
    from untrained.apps.cli._guard import tell
    from untrained.apps.cli._outputs import target
    from untrained.apps.cli._progress import progress
    from untrained.core.errors import UsageError

    if output is None:
        raise UsageError("several benchmarks make a page.\n  name it: -o leaderboard.md, .html or .json")
    from untrained.apps.leaderboard.whole import form_of

    form_of(output)
    path = target("-o", output)
    kept = Path(scores).expanduser() if scores else path.with_name(f"{path.stem}.scores")
    tell(f"scores are kept in: {kept}")
    try:
        with progress("measuring") as tick:
            from untrained.apps.leaderboard.whole import leaderboard as compared

            found = compared(boards, names, scores=kept, progress=tick, **given)
    except KeyboardInterrupt:
        tell(f"\nwhat was measured is in {kept}; the same command goes on from there")
        raise
    found.save(path)
    tell(f"written: {path}")
    if json:
        print(found.json(), end="")
    else:
        _print(found)


def _print(found: Leaderboard) -> None:
    """Each benchmark with its best score and what beats size there; then what was left out."""
    from untrained.apps.cli._screen import print_notes, print_table
    from untrained.apps.report.table import Column, table

    titles = [Column("benchmark", left=True), Column("networks", spare=2), Column("best plain", left=True)]
    titles += [
        Column("tau-a"),
        Column("best score", left=True),
        Column("tau-a"),
        Column("beat size", spare=1),
    ]
    rows = []
    for board in found.boards:
        own = [r for r in board["records"] if not r["plain"]]
        size = next(r for r in board["records"] if r["proxy"] == board["best_size"])
        best = max(own, key=lambda r: r["tau_a"], default=None)
        beaten = f"{sum(r['beats_size'] for r in own)} of {len(own)}"
        shown = ["-", "-"] if best is None else [best["proxy"], f"{best['tau_a']:.2f}"]
        rows.append([board["name"], f"{board['networks']:,}", size["proxy"], f"{size['tau_a']:.2f}", *shown])
        rows[-1].append(beaten)
    print_table(table(titles, rows))
    print_notes([f"left out: {name}: {why}" for name, why in found.left_out.items()], most=20)
