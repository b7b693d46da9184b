"""Trials as records that other programs read: JSON lines and CSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from untrained.core.study import Study, Trial


def records(study: Study) -> Iterator[dict[str, Any]]:
    """One object a trial, in order; `architecture` can be given to `--arch` and to `rank`.

    A repeat has the numbers of the trial that it repeats. What a trial does not have is left out.
    """
    for trial in study.trials:
        yield {
            "trial": trial.number,
            "arch": trial.architecture.id,
            "status": trial.status,
            "values": dict(trial.values),
            **_more(trial),
            "architecture": json.loads(trial.architecture.to_json()),
        }


def write_jsonl(study: Study, path: Path) -> None:
    """One JSON object a line."""
    with path.open("w", encoding="utf-8") as file:
        for record in records(study):
            file.write(json.dumps(record, allow_nan=False) + "\n")


def write_csv(study: Study, path: Path) -> None:
    """One row a trial and one column a value, objectives first; the architecture is JSON in the last one.

    A cell is empty where a trial has no such value.
    """
    measured = {name for trial in study.trials for name in trial.values}
    objectives = [name for name, _ in study.question.objectives]
    values = [*objectives, *sorted(measured - set(objectives))]
    told = ["fidelity", "draw", "same_as", "violation", "reason", "note"]
    with path.open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file)
        out.writerow(["trial", "arch", "status", *values, *told, "architecture"])
        for trial in study.trials:
            more = _more(trial)
            if "note" in more:
                more["note"] = json.dumps(more["note"])
            out.writerow(
                [
                    trial.number,
                    trial.architecture.id,
                    trial.status,
                    *(trial.values.get(name, "") for name in values),
                    *(more.get(name, "") for name in told),
                    trial.architecture.to_json(),
                ]
            )


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
