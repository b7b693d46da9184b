"""The trained encoders: one JSON list with an object a network, its recipe and its GLUE scores."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from untrained.benchmarks._data import broken

TASKS = ("cola", "mnli", "mrpc", "qnli", "qqp", "rte", "sst", "sts")
GLUE = "glue"


class BrokenRecord(Exception):
    """A record that cannot be used; the text says why."""


@dataclass(frozen=True)
class Trained:
    """One network, as far as the benchmark needs it."""

    id: int
    """by which other tables know it"""
    recipe: Mapping[str, Any]
    """hidden_size and nas_config"""
    truth: Mapping[str, float]
    """points by task; a score that is absent, or no number, is not there"""
    failure: str = ""
    """what is wrong with its scores; empty for a good one"""
    seconds: float | None = None
    """of pre-training, where they were written down"""


def read_networks(path: Path, benchmark: str) -> tuple[list[Trained], list[str]]:
    """The networks in the order of the file, and a sentence for each record that is broken."""
    try:
        records = json.loads(path.read_bytes())
    except (ValueError, RecursionError, OSError) as error:
        raise broken(benchmark, path, f"not whole JSON ({error})") from error
    if not isinstance(records, list):
        raise broken(benchmark, path, "not a list of networks")
    networks: list[Trained] = []
    skipped: list[str] = []
    seen: set[int] = set()
    for number, record in enumerate(records, 1):
        try:
            network = _network(record)
            if network.id in seen:
                raise BrokenRecord(f"network {network.id} comes a second time; the first counts")
        except BrokenRecord as error:
            skipped.append(f"{path.name}: record {number}: {error}")
            continue
        seen.add(network.id)
        networks.append(network)
    if not networks:
        raise broken(benchmark, path, skipped[0] if skipped else "the list is empty")
    return networks, skipped


def scored(recipe: Mapping[str, Any], width: int, feed: int) -> dict[str, Any]:
    """The recipe of the network that the study scored: this hidden size and feed-forward width everywhere.

    What is no recipe stays as it is, so that the space says what is wrong with it.
    """
    config = recipe.get("nas_config")
    layers = config.get("encoder_layers") if isinstance(config, Mapping) else None
    if not isinstance(config, Mapping) or not isinstance(layers, list):
        return dict(recipe)
    wide = [
        {**layer, "feed_forward_dimension": feed} if isinstance(layer, Mapping) else layer for layer in layers
    ]
    return {**recipe, "hidden_size": width, "nas_config": {**config, "encoder_layers": wide}}


def _network(record: Any) -> Trained:
    if not isinstance(record, Mapping):
        raise BrokenRecord(f"{record!r:.60} is not an object")
    number = record.get("id")
    if isinstance(number, bool) or not isinstance(number, int):
        raise BrokenRecord(f"its id is {number!r:.60}, not a number")
    recipe: Any = record
    for key in ("hparams", "model_hparam_overrides"):
        recipe = recipe.get(key) if isinstance(recipe, Mapping) else None
    if not isinstance(recipe, Mapping):
        raise BrokenRecord(f"network {number} has no hparams.model_hparam_overrides, so no recipe")
    spent = record.get("time_to_train")
    seconds = float(spent) if isinstance(spent, int | float) and _is_score(spent) and spent >= 0 else None
    return Trained(number, recipe, *_scores(record.get("scores")), seconds)


def _scores(scores: Any) -> tuple[dict[str, float], str]:
    """Points by task, and what is missing. Where GLUE is not given it is the mean, if all tasks are."""
    if not isinstance(scores, Mapping):
        return {}, "no scores"
    truth = {name: float(scores[name]) for name in (GLUE, *TASKS) if _is_score(scores.get(name))}
    if GLUE not in truth and all(task in truth for task in TASKS):
        truth[GLUE] = math.fsum(truth[task] for task in TASKS) / len(TASKS)
    missing = [name for name in (GLUE, *TASKS) if name not in truth]
    return truth, f"no score for {', '.join(missing)}" if missing else ""


def _is_score(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
