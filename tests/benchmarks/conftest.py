"""Tiny files in the published layout of NAS-Bench-NLP, and a space that reads a recipe without torch."""

import csv
import json
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from untrained.benchmarks._nlp_results import COLUMNS
from untrained.core.architecture import Architecture
from untrained.core.errors import InvalidArchitecture
from untrained.core.space import Space

RECIPE = {
    "f": {"op": "linear", "input": ["x", "h_prev_0"]},
    "h_new_0": {"op": "activation_tanh", "input": ["f"]},
}


class FakeCells(Space):
    """Takes any recipe that has an h_new_0, and calls the sorted names of its nodes the cell."""

    name = "fake_cells"

    def from_recipe(self, recipe: Any) -> Architecture:
        nodes = json.loads(recipe) if isinstance(recipe, str) else recipe
        if "h_new_0" not in nodes:
            raise InvalidArchitecture("the recipe has no node 'h_new_0'\n  a second line")
        return Architecture.of(self.name, nodes=sorted(nodes))

    def build(self, arch, *, scale="paper", generator=None):
        raise NotImplementedError


@pytest.fixture
def cells() -> FakeCells:
    return FakeCells()


def log(number: int = 7, **changed: Any) -> dict[str, Any]:
    """A good training log of three epochs; a key that is changed to None is left out."""
    record = {
        "recepie_id": number,
        "recepie": json.dumps(RECIPE),
        "epochs": 3,
        "val_losses": [6.0, 5.0, 5.5],
        "test_losses": [5.9, 4.9, 4.8],
        "status": "OK",
    } | changed
    return {k: v for k, v in record.items() if v is not None}


def log_name(number: int) -> str:
    return f"log_stats_model_{number}_2020-05-05_22-47-26_999929401.json"


def write_archive(folder: Path, members: dict[str, Any]) -> Path:
    """`wikitext2_logs.zip` with these members; what is not text or bytes is written as JSON."""
    path = folder / "wikitext2_logs.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in members.items():
            archive.writestr(name, body if isinstance(body, str | bytes) else json.dumps(body))
    return path


def line(number: int, loss: Any = 5.25, **changed: Any) -> dict[str, Any]:
    """A good line of the published table: metric number i has the value i."""
    values: dict[str, Any] = {column: float(i) for i, column in enumerate(COLUMNS)}
    head = {"log name": log_name(number), "loss": loss, "perplexity": 190.6, "bits per word": 7.6}
    return head | values | changed


def write_table(folder: Path, lines: Iterable[dict[str, Any]], *, without: str = "") -> Path:
    """`RNN_results.csv` with these lines."""
    path = folder / "RNN_results.csv"
    fields = [name for name in line(0) if name != without]
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, fields, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(lines)
    return path


@pytest.fixture
def files() -> Any:
    """The writers above, for tests that ask for them as one thing."""

    class Files:
        log: Callable[..., dict[str, Any]] = staticmethod(log)
        log_name: Callable[[int], str] = staticmethod(log_name)
        archive: Callable[..., Path] = staticmethod(write_archive)
        line: Callable[..., dict[str, Any]] = staticmethod(line)
        table: Callable[..., Path] = staticmethod(write_table)

    return Files


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    """A folder with three runs and three lines; cells 7 and 8 are in both files."""
    runs = {log_name(n): log(n) for n in (7, 8, 9)}
    write_archive(tmp_path, runs)
    write_table(tmp_path, [line(7, 5.1), line(8, 5.2), line(1000, 5.3)])
    return tmp_path
