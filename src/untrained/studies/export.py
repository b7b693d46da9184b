"""Trials as records that other programs read: JSON lines and CSV, a few thousand in memory at a time."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from untrained.core.study import Study, Trial

TOLD = ("fidelity", "draw", "same_as", "violation", "reason", "note")  # what not every trial has
AT_ONCE = 1_000  # trials in one piece of text


def records(trials: Iterable[Trial]) -> Iterator[dict[str, Any]]:
    """One object a trial, in order; `architecture` can be given to `--arch` and to `rank`.

    A repeat has the numbers of the trial that it repeats. What a trial does not have is left out.
    """
    for trial in trials:
        yield {
            "trial": trial.number,
            "arch": trial.architecture.id,
            "status": trial.status,
            "values": dict(trial.values),
            **_more(trial),
            "architecture": json.loads(trial.architecture.to_json()),
        }


def jsonl(trials: Iterable[Trial]) -> Iterator[str]:
    """One JSON object a line, in pieces of many lines."""
    lines = (json.dumps(record, allow_nan=False) + "\n" for record in records(trials))
    while piece := "".join(islice(lines, AT_ONCE)):
        yield piece


def csv_text(trials: Iterable[Trial], values: Sequence[str]) -> Iterator[str]:
    """A head, one row a trial and one column a value, in pieces; the architecture is JSON in the last one.

    A cell is empty where a trial has no such value.
    """
    text = io.StringIO(newline="")
    out = csv.writer(text)
    out.writerow(["trial", "arch", "status", *values, *TOLD, "architecture"])
    rows = (_row(trial, values) for trial in trials)
    while True:
        out.writerows(islice(rows, AT_ONCE))
        if not text.tell():
            return
        yield text.getvalue()
        text.seek(0)
        text.truncate()


def write_jsonl(study: Study, path: Path) -> None:
    """One JSON object a line."""
    _write(jsonl(study.trials), path)


def write_csv(study: Study, path: Path) -> None:
    """One row a trial and one column a value, objectives first."""
    measured = {name for trial in study.trials for name in trial.values}
    objectives = [name for name, _ in study.question.objectives]
    _write(csv_text(study.trials, [*objectives, *sorted(measured - set(objectives))]), path)


def _write(pieces: Iterable[str], path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        file.writelines(pieces)


def _row(trial: Trial, values: Sequence[str]) -> list[Any]:
    more = _more(trial)
    if "note" in more:
        more["note"] = json.dumps(more["note"])
    return [
        trial.number,
        trial.architecture.id,
        trial.status,
        *(trial.values.get(name, "") for name in values),
        *(more.get(name, "") for name in TOLD),
        trial.architecture.to_json(),
    ]


def _more(trial: Trial) -> dict[str, Any]:
    """What not every trial has."""
    more = {
        "fidelity": trial.fidelity,
        "draw": trial.draw or None,
        "same_as": trial.same_as,
        "violation": trial.violation or None,
        "reason": trial.reason,
        "note": trial.note,
    }
    return {name: value for name, value in more.items() if value is not None}
