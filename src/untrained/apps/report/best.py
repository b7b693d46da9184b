"""The trials worth looking at, as a table and as records."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from untrained.apps.report.table import Column, Table, number, table
from untrained.core.errors import UsageError
from untrained.core.metric import metric
from untrained.core.named import construct
from untrained.core.space import Space
from untrained.core.study import Question, Study, Trial
from untrained.core.where import Where
from untrained.studies.overview import Overview

SIZE = "params"


def space_of(study: Study | Overview) -> Space | None:
    """The space of a study; None where the package that has it is not installed.

    Where a file that narrowed it is gone, the space itself, whose architectures these are.
    """
    best = study.best
    for name in [study.question.space, *([best.space] if best else [])]:
        try:
            found: Space = construct("space", name)
        except UsageError:
            continue
        return found
    return None


def value_names(question: Question) -> list[str]:
    """What one wants to see of a trial: objectives, size, what is constrained, what was recorded besides."""
    objectives = [name for name, _ in question.objectives]
    return list(dict.fromkeys([*objectives, SIZE, *Where.parse(question.where).names, *question.also]))


def value(trial: Trial, name: str, space: Space | None) -> float | None:
    """A value of a trial; the size is counted where the search did not need it."""
    if name in trial.values:
        return trial.values[name]
    choice = dict(trial.architecture.choices).get(name)
    if isinstance(choice, int | float):
        return float(choice)
    return _size(trial, space) if name == SIZE and space is not None else None


def trial_table(study: Study | Overview, trials: Sequence[Trial]) -> Table:
    """One row a trial: its place, number, id and values; columns that nobody has are left out."""
    space = space_of(study)
    values = {n: [value(t, n, space) for t in trials] for n in value_names(study.question)}
    known = {n: column for n, column in values.items() if any(v is not None for v in column)}
    titles = [Column("rank"), Column("trial", spare=9), Column("id", left=True)]
    titles += [Column(name, spare=i if i > 1 else 0) for i, name in enumerate(known)]
    rows = [
        [str(i + 1), str(t.number), t.architecture.id, *(number(column[i], 6) for column in known.values())]
        for i, t in enumerate(trials)
    ]
    return table(titles, rows)


def trial_record(study: Study | Overview, trial: Trial) -> dict[str, Any]:
    """A trial as JSON says it; what is under `architecture` can be given to `--arch`."""
    return {
        "arch": trial.architecture.id,
        "trial": trial.number,
        "values": dict(trial.values),
        SIZE: value(trial, SIZE, space_of(study)),
        "architecture": json.loads(trial.architecture.to_json()),
    }


def _size(trial: Trial, space: Space | None) -> float | None:
    """Parameters at paper scale: in closed form, else of the network that is built for it."""
    if space is None:
        return None
    counted = space.count(trial.architecture, scale="paper").get(SIZE)
    if counted is not None:
        return float(counted)
    from untrained.apps.probing import Lab

    return Lab(space).measure(trial.architecture, [metric(SIZE)])[SIZE].value
