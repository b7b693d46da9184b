"""What the study of BERT-like encoders published for its untrained networks: one CSV file.

Its parameter count, like all of its metric values, is that of networks of hidden size 256 with feed-forward
layers of 1,024, whatever the recipe says. `scorer_parameters` is that count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from untrained.benchmarks._csv import by_id, finite

ID, GLUE = "ID", "GLUE Score"
METRICS = (
    "Synaptic Diversity",
    "Synaptic Saliency",
    "Activation Distance",
    "Jacobian Score",
    "Head Importance",
    "Head Confidence",
    "Head Softmax Confidence",
)
# Published column -> snake-case name. "Normalized" means: over the number of tensors that were summed.
COLUMNS = {
    column: column.lower().replace(" ", "_")
    for metric in METRICS
    for column in (metric, f"{metric} Normalized")
} | {"Number of Parameters": "params"}

WIDTH, FEED = 256, 1024  # hidden size and feed-forward width of every network that was scored
VOCABULARY, EMBEDDING, POSITIONS, TOKEN_TYPES = 30_522, 128, 512, 2


@dataclass(frozen=True)
class Result:
    """One line of the table."""

    glue: float | None
    """points; None where the authors give none"""
    published: Mapping[str, float]
    """metric name -> value; what is not finite is absent"""


def scorer_parameters(layers: Sequence[Mapping[str, Any]]) -> int:
    """Parameters of the network that the study scored for a recipe's `encoder_layers`.

    Formula: embedding (words, positions, token types, norm, projection) + sum over layers of mixer and
             feed-forward part, all at width 256 and 1,024. Attention: four square maps and a norm, and for
             WMA one more without bias. Transforms: one square map alone. Convolution: query, key, value and
             convolved values of half the width, a separable convolution, the kernels, a square map, a norm
    Source:  worked out from the published column, which it gives exactly for every row
    """
    tables = (VOCABULARY + POSITIONS + TOKEN_TYPES) * EMBEDDING
    embedding = tables + 2 * EMBEDDING + _linear(EMBEDDING, WIDTH)
    return embedding + sum(_mixer(layer) + _feed(int(layer["num_feed_forward"])) for layer in layers)


def _mixer(layer: Mapping[str, Any]) -> int:
    square, norm = _linear(WIDTH, WIDTH), 2 * WIDTH
    kind, parameter = layer["operation_type"], layer["operation_parameter"]
    if kind == "SA":
        return 4 * square + norm + (WIDTH * WIDTH if parameter == "WMA" else 0)
    if kind == "LT":
        return square
    half, heads, kernel = WIDTH // 2, int(layer["num_operation_heads"]) // 2, int(parameter)
    separable = WIDTH * kernel + WIDTH * half + half
    return 4 * _linear(WIDTH, half) + separable + _linear(half, heads * kernel) + square + norm


def _feed(depth: int) -> int:
    return _linear(WIDTH, FEED) + (depth - 1) * _linear(FEED, FEED) + _linear(FEED, WIDTH) + 2 * WIDTH


def _linear(ins: int, outs: int) -> int:
    return ins * outs + outs


def read_results(path: Path, benchmark: str) -> tuple[dict[int, Result], list[str]]:
    """The lines by id in their order, and a sentence for each line of which something is left out."""
    return by_id(path, benchmark, (ID, GLUE, *COLUMNS), _id, _result)


def _id(line: Mapping[str, str]) -> tuple[int | None, str]:
    name = line[ID].strip()
    if not name.isdecimal() or len(name) > 18:
        return None, f"{name!r:.60} is not the number of a network"
    return int(name), f"network {int(name)}"


def _result(line: Mapping[str, str]) -> tuple[Result | None, str]:
    """One line, and what is wrong with it; None for a line with a cell that is no number at all."""
    values, problem = finite(line, (GLUE, *COLUMNS))
    if values is None:
        return None, problem
    published = {name: values[column] for column, name in COLUMNS.items() if column in values}
    return Result(values.get(GLUE), published), problem
