"""What a notebook shows of our values: the figures of the report, in a box with colours of its own."""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch
from html import escape
from typing import Any

from untrained.apps.correlation import Correlation
from untrained.apps.leaderboard.page import sections
from untrained.apps.leaderboard.whole import Leaderboard
from untrained.apps.ranking import Ranking
from untrained.apps.report import html as pieces
from untrained.apps.report.best import trial_table
from untrained.apps.report.figures.architecture import drawing
from untrained.apps.report.figures.look import scoped_css
from untrained.apps.report.figures.marks import html_table, tag
from untrained.apps.report.findings import Findings, from_study
from untrained.apps.report.table import Column, Table, number, share, table
from untrained.core.architecture import Architecture
from untrained.core.errors import UsageError
from untrained.core.named import construct
from untrained.core.space import Space
from untrained.core.study import Study
from untrained.studies.overview import Overview

MOST = 20  # rows of a table


@singledispatch
def html(value: object) -> str | None:
    """The HTML of a value; None for what is not drawn."""
    return None


@html.register
def _architecture(value: Architecture) -> str:
    """Id and drawing."""
    head = tag("p", tag("b", escape(value.space)), " ", tag("span", value.id, class_="id"))
    return box(head, drawing(value, _space(value.space)))


@html.register
def _ranking(value: Ranking) -> str:
    """The first places with their values, and the first one drawn."""
    if not value.places:
        return box(tag("p", "An empty ranking."))
    names = list(value.values(value.places[0]))
    rows = [
        [str(i), p.architecture.id, *(number(v, 6) for v in value.values(p).values())]
        for i, p in enumerate(value.places[:MOST], 1)
    ]
    said = tag("p", f"{len(value):,} architectures, best first by {escape(names[0])}.{_more(len(value))}")
    best = value.best
    drawn = drawing(best, _space(best.space)) if best is not None else ""
    return box(said, html_table(table(["rank", Column("id", left=True), *names], rows), "Ranking"), drawn)


@html.register
def _study(value: Study) -> str:
    """Counts, the best, the front or the score against size, progress, and the winner drawn."""
    return box(*_searched(from_study(value, matter=False)))


@html.register
def _overview(value: Overview) -> str:
    """Counts and the best of a study that was not read whole."""
    said = tag("p", f"{value.trials:,} trials of {escape(value.question.space)} in {escape(value.store)}.")
    best = html_table(trial_table(value, value.leaders), "The best") if value.leaders else ""
    return box(said, best)


@html.register
def _correlation(value: Correlation) -> str:
    """A table for each truth, the best score first."""
    parts = []
    for target in value.benchmark.targets:
        found = sorted((r for r in value.records if r["target"] == target.name), key=lambda r: -r["tau"])
        if found:
            head = f"{value.benchmark.name}: {target.name} ({target.unit}, {target.better} is better)"
            parts.append(tag("h3", escape(head)) + html_table(_agreement(found), head))
    return box(*parts)


@html.register
def _leaderboard(value: Leaderboard) -> str:
    """The sections of its page."""
    parts = []
    for section in sections(value.about, value.boards, value.left_out):
        parts += [tag("h3", escape(section.title)), *(tag("p", escape(t)) for t in section.text)]
        parts += [html_table(section.table, section.title)] if section.table else []
    return box(*parts)


def box(*inside: str) -> str:
    """HTML in colours of its own, which leave the notebook around it alone."""
    return tag("div", tag("style", scoped_css()), *inside, class_="untrained-view")


def _searched(found: Findings) -> Sequence[str]:
    counts = tag("p", escape(f"Search of {found.question.space}. {found.counts}."))
    if not found.leaders:
        return [counts, tag("p", "No trial was good.")]
    best = html_table(trial_table(found.study, found.leaders), "The best")
    winner = found.leaders[0].architecture
    return [
        counts,
        best,
        *pieces.figures(found, linked=False),
        tag("h3", "The winner"),
        drawing(winner, found.space),
    ]


def _agreement(records: Sequence[dict[str, Any]]) -> Table:
    rows = []
    for r in records:
        pairs = r.get("hard_pairs")
        rows.append(
            [
                r["proxy"],
                f"{r['n']:,}",
                f"{r['tau']:.2f}",
                "-" if r["tau_low"] is None else f"{r['tau_low']:.2f}..{r['tau_high']:.2f}",
                f"{r['rho']:.2f}",
                share(pairs),
                {True: "yes", False: "no", None: ""}[r.get("beats_size")],
            ]
        )
    titles = [Column("score", left=True), "n", "tau", "95 %", "rho", "hard pairs", "beats size"]
    return table(titles, rows)


def _more(n: int) -> str:
    return f" The first {MOST} are shown." if n > MOST else ""


def _space(name: str) -> Space | None:
    try:
        found: Space = construct("space", name)
    except UsageError:
        return None
    return found
