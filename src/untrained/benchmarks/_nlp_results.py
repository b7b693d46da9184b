"""The published scores of untrained NAS-Bench-NLP cells, with their loss on Penn Treebank: one CSV file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from untrained.benchmarks._csv import by_id, finite
from untrained.benchmarks._nlp_logs import ID

# Published column -> the name of our own proxy of the same idea. A part of a metric follows a point.
COLUMNS = {
    "Activation Distance": "activation_distance",
    "Synaptic Saliency": "synaptic_saliency",
    "Jacobian Covariance": "jacobian_covariance",
    "Jacobian Cosine": "jacobian_cosine",
    "Large Noise Jacobian": "large_noise_jacobian_covariance",
    "Large Noise Jacobian Cosine": "large_noise_jacobian_cosine",
    "More Noised Jacobian": "more_noised_jacobian_covariance",
    "More Noised Jacobian Cosine": "more_noised_jacobian_cosine",
    "Hidden Synaptic Saliency": "hidden_synaptic_saliency",
    "Layer 1 Hidden Covariance": "hidden_covariance.layer1",
    "Layer 2 Hidden Covariance": "hidden_covariance.layer2",
    "Layer 3 Hidden Covariance": "hidden_covariance.layer3",
}
NAME, LOSS = "log name", "loss"


@dataclass(frozen=True)
class Result:
    """One line of the table: what it says about one cell."""

    loss: float | None
    """nats per token on the PTB test split; None where the authors give none"""
    published: Mapping[str, float]
    """metric name -> value; what is not finite is absent"""


def read_results(path: Path, benchmark: str) -> tuple[dict[int, Result], list[str]]:
    """The lines by recipe id in their order, and a sentence for each line of which something is left out."""
    return by_id(path, benchmark, (NAME, LOSS, *COLUMNS), _id, _result)


def _id(line: Mapping[str, str]) -> tuple[int | None, str]:
    match = ID.search(line[NAME])
    if match is None:
        return None, f"{line[NAME]!r:.60} is not the name of a log (log_stats_model_ID_...)"
    return int(match[1]), f"cell {match[1]}"


def _result(line: Mapping[str, str]) -> tuple[Result | None, str]:
    """One line, and what is wrong with it; None for a line with a cell that is no number at all."""
    values, problem = finite(line, (LOSS, *COLUMNS))
    if values is None:
        return None, problem
    published = {name: values[column] for column, name in COLUMNS.items() if column in values}
    return Result(values.get(LOSS), published), problem
