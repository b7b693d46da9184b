"""What a search found, and how far to believe it: the sections of its report."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from untrained.apps.report.best import space_of, trial_record, trial_table
from untrained.apps.report.command import command, metric_name
from untrained.apps.report.counts import Counts, count, number_of_trials
from untrained.apps.report.document import Section
from untrained.apps.report.table import Column, Table, table
from untrained.core import registry
from untrained.core.errors import UntrainedError
from untrained.core.metric import METRIC_KINDS
from untrained.core.study import Question, Study, Trial
from untrained.studies.overview import Overview

Found = Study | Overview

BEST = 10  # architectures shown
FRONT = 30  # points of the front shown
REASONS = 12  # clauses and reasons shown


def title(study: Found) -> str:
    return f"Search of {study.question.space}"


def sections(study: Found) -> list[Section]:
    """The whole report, from the question to the command that asks it again."""
    return [
        asked(study),
        happened(count(study)),
        best(study),
        *front(study),
        *winner(study),
        worth(study.question),
        again(study),
    ]


def record(study: Found) -> dict[str, Any]:
    """The whole report as one JSON object."""
    return {
        **outcome(study),
        "worth": {name: _worth(name) for name in _metrics(study.question)},
        "command": command(study.question, number_of_trials(study)),
    }


def outcome(study: Found) -> dict[str, Any]:
    """What was asked and found, without what has to be looked up elsewhere."""
    question = study.question
    return {
        "store": study.store,
        "question": asdict(question) | {"objectives": [list(pair) for pair in question.objectives]},
        "counts": asdict(count(study)),
        "best": [trial_record(study, t) for t in _leaders(study)],
        "front": [trial_record(study, t) for t in _front(study)[0]] if len(question.objectives) > 1 else [],
    }


def asked(study: Found) -> Section:
    """The question, in the words of the command line."""
    q = study.question
    rows = [("maximize" if better == "higher" else "minimize", name) for name, better in q.objectives]
    rows += [
        ("where", q.where or "(no constraint)"),
        ("strategy", q.strategy),
        ("seed", str(q.seed)),
        ("scale", f"{q.scale} (proxies; costs are those at paper scale)"),
        ("text", f"SHA-256 {q.text}" if q.text else "English that Python ships"),
        ("also", ", ".join(q.also)),
        ("store", study.store),
        ("version", q.version),
    ]
    return Section("The question", table=_words([row for row in rows if row[1]]))


def happened(counts: Counts) -> Section:
    """How many trials came to what, by clause and by reason."""
    rows = [("turned away", what, n) for what, n in counts.clauses.items()]
    rows += [("failed", what, n) for what, n in counts.reasons.items()]
    rows += [("without a value", what, n) for what, n in counts.noted.items()]
    shown = [[what, f"{n:,}", why] for what, why, n in rows[:REASONS]]
    if len(rows) > REASONS:
        shown.append(
            ["others", f"{sum(n for _, _, n in rows[REASONS:]):,}", f"{len(rows) - REASONS} more reasons"]
        )
    titles = [Column("", left=True), Column("how many"), Column("why", left=True, wraps=True)]
    return Section("What happened", (f"{counts}.",), table(titles, shown) if shown else None)


def best(study: Found) -> Section:
    """The best few by the first objective, with their values."""
    found = _leaders(study)
    if not found:
        return Section("The best", ("No trial was good: loosen the constraint, or try more of them.",))
    name, better = study.question.objectives[0]
    said = f"By {name}, {better} is better. {_scale(study.question)}"
    return Section(f"The best {len(found)}", (said,), trial_table(study, found))


def front(study: Found) -> list[Section]:
    """What no other architecture beats in every objective; nothing for a single objective."""
    if len(study.question.objectives) < 2:
        return []
    found, size = _front(study)
    if not found:
        return []
    left = size - FRONT
    said = f"{size:,} architectures that no other beats in every objective."
    more = f" The first {FRONT} are shown; all of them: --json." if left > 0 else ""
    return [Section("The front", (said + more,), trial_table(study, found[:FRONT]))]


def winner(study: Found) -> list[Section]:
    """The best architecture, ready to be copied; as its space's published recipe too where it has one."""
    if study.best is None:
        return []
    code = [study.best.to_json()]
    space = space_of(study)
    said = [f"{study.best.id}; save the line to a file and give it to: untrained score --arch FILE"]
    if space is not None and hasattr(space, "to_recipe"):
        code.append(json.dumps(space.to_recipe(study.best)))
        said.append("The second line is the same network as a published recipe.")
    return [Section("The best architecture", tuple(said), code=tuple(code))]


def worth(question: Question) -> Section:
    """How well the objectives are known to order trained networks: the cards' own words."""
    said = []
    for name in _metrics(question):
        known = _worth(name)
        said.append(f"{name}: {known or 'its card states no measured worth.'}")
    if tables := _benchmarks(question.space):
        names = ",".join(_metrics(question))
        others = f" (other tables: {', '.join(tables[1:])})" if tables[1:] else ""
        said.append(f"Measure it yourself: untrained correlate {tables[0]} --proxy {names}{others}")
    said.append(
        "A score orders untrained networks by what it sees in them. Train the best few, not only the first."
    )
    return Section("How far to trust the order", tuple(said))


def again(study: Found) -> Section:
    """The command that repeats the search; the same seed gives the same trials."""
    text = study.question.text
    said = (f"FILE is the text with the SHA-256 {text}.",) if text else ()
    return Section("To repeat it", said, code=(command(study.question, number_of_trials(study)),))


def _leaders(study: Found) -> list[Trial]:
    return (study.distinct() if isinstance(study, Study) else study.leaders)[:BEST]


def _front(study: Found) -> tuple[list[Trial], int]:
    """Trials of the front as far as they were read, and how many it has."""
    if isinstance(study, Overview):
        return study.points, study.front_size
    found = study.front()
    return found, len(found)


def _words(rows: list[tuple[str, str]]) -> Table:
    return table([Column("", left=True), Column("", left=True, wraps=True)], [list(row) for row in rows])


def _scale(question: Question) -> str:
    return f"Proxies saw networks of {question.scale} scale; params are those at paper scale."


def _metrics(question: Question) -> list[str]:
    """The proxies among the objectives, else all of them: a count of parameters needs no trust."""
    names = list(dict.fromkeys(metric_name(label) for label, _ in question.objectives))
    return [n for n in names if n in registry.names("proxy")] or names


def _worth(name: str) -> str | None:
    """The `Worth` section of a metric's card; None where there is none, or no such metric here."""
    for kind in METRIC_KINDS:
        if name in registry.names(kind):
            try:
                card: dict[str, str] = registry.get(kind, name).card
            except UntrainedError:
                return None
            return " ".join(card.get("Worth", "").split()) or None
    return None


def _benchmarks(space: str) -> list[str]:
    name = space.partition(":")[0]
    return [b for b in registry.names("benchmark") if registry.get("benchmark", b).space == name]
