"""What each page shows, as plain records for its template."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

from untrained.apps.dashboard.live import Live
from untrained.apps.dashboard.pages import ready
from untrained.apps.dashboard.shelf import Shelf
from untrained.apps.dashboard.state import state
from untrained.apps.dashboard.views import address, climb, deep_figures, figures, leaders, overlay
from untrained.apps.report.best import space_of
from untrained.apps.report.command import command, in_a_line
from untrained.apps.report.figures.architecture import drawing
from untrained.apps.report.table import number
from untrained.core.study import Question

Record = dict[str, Any]

DRAWS = 100  # measurements of one architecture that are listed
OUTCOMES = (
    ("phase", "state"),
    ("trials", "trials"),
    ("good", "good"),
    ("rejected", "turned away"),
    ("failed", "failed"),
    ("repeats", "repeats"),
    ("best", "best value"),
)


def studies(shelf: Shelf) -> Record:
    """The list of all studies that hold a question."""
    found = [live for live in shelf.studies.values() if live.question is not None]
    rows = []
    for live in found:
        assert live.question is not None
        rows.append(
            {
                "name": live.name,
                "href": address("study", study=live.name),
                "question": in_a_line(live.question),
                **state(live),
            }
        )
    rows.sort(key=lambda row: (not row["running"], row["name"]))
    return {"rows": rows, "watch": ""}


def study(shelf: Shelf, name: str) -> Record:
    """One study: where it is, the best, the figures, and how to ask the same again."""
    live = shelf.get(name)
    assert live.question is not None
    titles, rows = leaders(live)
    wanted = live.status.wanted or live.trials
    return {
        "name": name,
        "question": in_a_line(live.question),
        "goal": live.question.objectives[0][0],
        "better": live.question.objectives[0][1],
        "titles": titles,
        "rows": [(address("trial", study=name, number=r[0]), r) for r in rows],
        "figures": {k: ready(v) for k, v in (figures(live) | deep_figures(live)).items()},
        "command": command(live.question, live.trials),
        "suggested": max(2 * wanted, 1),
        "downloads": {kind: address("download", study=name, format=kind) for kind in ("csv", "jsonl")},
        "others": [n for n, one in shelf.studies.items() if n != name and one.question is not None],
        "watch": address("events", study=name),
        "behind": live.is_behind("figures", "deep", "overview"),
        **state(live),
    }


def trial(shelf: Shelf, name: str, at: int) -> Record:
    """One architecture: its drawing, and every measurement of it."""
    live = shelf.get(name)
    assert live.question is not None
    found = live.trial(at)
    arch = found.architecture
    numbers = live.draws(arch.id)
    measured = live.read(numbers[:DRAWS]) if numbers else []
    shown = measured or [found]
    names = list(dict.fromkeys(n for t in shown for n in t.values))
    rank = live.rank(numbers[0]) if numbers else None
    return {
        "name": name,
        "number": at,
        "id": arch.id,
        "status": found.status,
        "reason": found.reason,
        "same_as": found.same_as,
        "rank": rank,
        "of": len(live.points().numbers),
        "drawing": ready(drawing(arch, space_of(live.overview()), name=arch.id)),
        "names": names,
        "draws": [
            (t.number, t.draw, [number(t.values[n], 8) if n in t.values else "-" for n in names])
            for t in shown
        ],
        "left_out": len(numbers) - len(measured),
        "json": json.dumps(json.loads(arch.to_json()), indent=1),
        "line": arch.to_json(),
        "space": live.question.space,
        "proxies": ",".join(name for name, _ in live.question.objectives),
        "watch": "",
    }


def compare(shelf: Shelf, a: str, b: str) -> Record:
    """Two studies side by side; empty names: only the choice of the two."""
    known = [n for n, live in shelf.studies.items() if live.question is not None]
    chosen = [shelf.get(n) for n in (a, b) if n]
    record: Record = {"known": known, "a": a, "b": b, "rows": [], "figures": [], "same": 0, "watch": ""}
    if len(chosen) == 2:
        one, other = chosen
        record["rows"] = _beside(one, other)
        record["figures"] = [ready(f) for f in overlay(one, other)]
        record["same"] = one.in_common(other)
    return record


def _beside(one: Live, other: Live) -> list[tuple[str, str, str]]:
    """(what, of one, of the other): questions as far as they matter or differ, then outcomes."""
    assert one.question is not None
    assert other.question is not None
    rows = [
        (f.name, _said(one.question, f.name), _said(other.question, f.name))
        for f in fields(Question)
        if f.name in ("space", "objectives", "strategy")
        or getattr(one.question, f.name) != getattr(other.question, f.name)
    ]
    here, there = state(one), state(other)
    rows += [(title, here[key], there[key]) for key, title in OUTCOMES]
    rows.append(("best found at trial", _when(one), _when(other)))
    rows.append(("best architecture", _best(one), _best(other)))
    return rows


def _when(live: Live) -> str:
    steps = climb(live)
    return f"{steps[-1][0]:,}" if steps else "-"


def _best(live: Live) -> str:
    best = live.overview().best
    return best.id if best else "-"


def _said(question: Question, name: str) -> str:
    found = getattr(question, name)
    if name in ("objectives", "fidelities"):
        return ", ".join(f"{'max' if better == 'higher' else 'min'} {label}" for label, better in found)
    return ", ".join(found) if isinstance(found, tuple) else str(found) or "-"
