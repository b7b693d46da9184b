"""The command line in this process, and small files for it."""

import csv
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from typer.testing import CliRunner

from untrained.apps.cli.app import app
from untrained.core import registry
from untrained.spaces.rnn_cell import RnnCell

NUMBERS = {"lstm": 1, "gru": 2, "rnn": 3}  # of recipes in the tiny benchmark


@pytest.fixture
def run() -> Callable[..., Any]:
    """Runs a command and checks its exit code; what it printed is in `.stdout` and `.stderr`."""

    def run(*words: object, code: int = 0, stdin: str | bytes | None = None) -> Any:
        result = CliRunner().invoke(app, [str(w) for w in words], input=stdin)
        assert result.exit_code == code, f"exit code {result.exit_code}\n{result.output}"
        assert "Traceback" not in result.output
        return result

    return run


@pytest.fixture
def wrong(run: Callable[..., Any]) -> Callable[..., str]:
    """Runs a command that is used wrongly; what it says on stderr, having printed nothing on stdout."""

    def wrong(*words: object, stdin: str | bytes | None = None) -> str:
        result = run(*words, code=2, stdin=stdin)
        assert result.stdout == ""
        return str(result.stderr)

    return wrong


@pytest.fixture(scope="session")
def space() -> RnnCell:
    found: RnnCell = registry.get("space", "rnn_cell")()
    return found


@pytest.fixture
def cells(tmp_path: Path, space: RnnCell) -> Path:
    """Five cells as JSON lines."""
    rng = Random(1)
    path = tmp_path / "cells.jsonl"
    path.write_text("".join(f"{space.sample(rng).to_json()}\n" for _ in range(5)))
    return path


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory, space: RnnCell) -> Path:
    """Eight trained cells in the published layout of NAS-Bench-NLP; two of them are the same cell."""
    folder = tmp_path_factory.mktemp("data")
    rng = Random(2)
    archs = [space.classic(name) for name in NUMBERS] + [space.sample(rng) for _ in range(4)]
    recipes = [space.to_recipe(a) for a in [*archs, archs[0]]]
    with zipfile.ZipFile(folder / "wikitext2_logs.zip", "w") as archive:
        for i, recipe in enumerate(recipes, 1):
            archive.writestr(f"log_stats_model_{i}_2020.json", json.dumps(_log(i, recipe)))
    _write_table(folder / "RNN_results.csv", len(recipes))
    return folder


def _log(number: int, recipe: dict[str, Any]) -> dict[str, Any]:
    loss = 5.0 + number / 10
    return {
        "recepie_id": number,
        "recepie": json.dumps(recipe),
        "epochs": 2,
        "val_losses": [loss + 1, loss],
        "test_losses": [loss + 1, loss - 0.1],
        "status": "OK",
    }


def _write_table(path: Path, rows: int) -> None:
    from untrained.benchmarks._nlp_results import COLUMNS

    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["log name", "loss", "perplexity", "bits per word", *COLUMNS])
        for i in range(1, rows + 1):
            name = f"log_stats_model_{i}_2020.json"
            out.writerow([name, 5 + i / 10, 190.6, 7.6, *(float((i * k) % 7) for k in range(len(COLUMNS)))])
