"""NAS-Bench-NLP: which recurrent cells turned out well."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

from untrained.benchmarks._data import folder as data_folder
from untrained.benchmarks._nlp_logs import Run, read_runs
from untrained.benchmarks._nlp_results import COLUMNS, Result, read_results
from untrained.core.architecture import Architecture
from untrained.core.benchmark import Benchmark, File, Row, Table, Target, benchmark
from untrained.core.errors import InvalidArchitecture, UsageError
from untrained.core.recipe import Recipe
from untrained.core.space import Space

LOGS, RESULTS = "wikitext2_logs.zip", "RNN_results.csv"
NATS = "nats per token"


@runtime_checkable
class ReadsRecipes(Protocol):
    """A space that knows how this benchmark writes a cell."""

    def from_recipe(self, recipe: Any) -> Architecture:
        """The cell of a published recipe; raises InvalidArchitecture."""


@benchmark
class NasBenchNlp(Benchmark):
    """Recurrent cells trained as language models, with the scores that others published for them.

    One row a training log on WikiText-2, joined by the number of its recipe with the cell's loss on Penn
    Treebank and its published metric values; then one row, without architecture, for each further cell
    of that table. The best loss is the smallest validation loss of any epoch; the test loss is the one
    of that epoch. A run that diverged has no WikiText-2 loss.

    The recipe is that of the WikiText-2 runs: AWD-LSTM style, embedding 400, three layers of 600, 600 and
    400 units, tied decoder, dropout .1 output, .25 hidden, .4 input, weight drop .1. For Penn Treebank the
    dropout is .4, .25, .4, embedding .1, weight drop .5; the rest is the same.

    Source:  Klyuchnikov et al. 2020, arXiv:2006.07116 (logs); Serianni & Kalita 2023, ACL (metric values)
    Licence: Apache-2.0 (logs), CC BY 4.0 (metric values)
    Rows:    345 logs; 8,794 cells with Penn Treebank loss and metric values, 275 of them with a log
    Bytes:   about 3 million in two files
    """

    space: ClassVar[str] = "rnn_cell"
    targets: ClassVar[tuple[Target, ...]] = (
        Target("wikitext2_val_loss", NATS, "lower"),
        Target("wikitext2_test_loss", NATS, "lower"),
        Target("ptb_test_loss", NATS, "lower"),
    )
    files: ClassVar[tuple[File, ...]] = (
        File(
            LOGS,
            "https://github.com/fmsnew/nas-bench-nlp-release/raw/a6d90a3/train_logs_wikitext-2/logs.zip",
            None,
            "f5052d6bea6398001e32c986322a243e8cdedffa906caf242eb0a62ee105aa12",
            "Apache-2.0",
        ),
        File(
            RESULTS,
            "https://raw.githubusercontent.com/aaronserianni/training-free-nas/"
            "2d76e01b9586cad7340e8268dadba3056efd070b/data/RNN_results.csv",
            None,
            "4f084a9b437e4f89475ddb2ada896de2d6cb32268c59924e5542dbf017b90852",
            "CC BY 4.0",
        ),
    )
    recipe: ClassVar[Recipe] = Recipe(
        "WikiText-2",
        epochs=50,
        batch=20,
        length=70,
        optimizer="Adam",
        peak_lr=1e-3,
        weight_decay=1.2e-6,
        clip=0.25,
    )
    published_names: ClassVar[tuple[str, ...]] = tuple(COLUMNS.values())
    published_as: ClassVar[Mapping[str, str]] = {"hidden_covariance": "hidden_covariance.layer1"}

    def read(self, folder: Path, space: Space) -> Table:
        """All rows; a file that is missing, a broken log and a diverged run are named in `skipped`."""
        if not isinstance(space, ReadsRecipes):
            raise UsageError(
                f"{self.name} needs a space with from_recipe, like rnn_cell; {space.name!r} has none"
            )
        here = data_folder(type(self), folder)
        runs, results, skipped = self._files(here)
        trained, notes = [], []
        seen: set[str] = set()
        for run in runs:
            try:
                cell = space.from_recipe(run.recipe)
            except InvalidArchitecture as error:
                skipped.append(f"{LOGS}: {run.name}: {str(error).partition(chr(10))[0]}")
                continue
            trained.append(_row(run, cell, results, seen))
            skipped += _left_out(run, trained[-1])
            notes += _unfinished(run, trained[-1])
        bare = [_published(number, result) for number, result in results.items() if str(number) not in seen]
        return Table((*trained, *bare), tuple(skipped), tuple(notes))

    def _files(self, here: Path) -> tuple[list[Run], dict[int, Result], list[str]]:
        """What the two files say; either may be missing, not both."""
        runs: list[Run] = []
        results: dict[int, Result] = {}
        skipped: list[str] = []
        get = f"download: untrained data get {self.name}"
        if logs := self.find(here, LOGS):
            runs, skipped = read_runs(logs, self.name)
        else:
            skipped.append(f"{LOGS} is not in {here}: no architectures, published values only; {get}")
        if table := self.find(here, RESULTS):
            results, wrong = read_results(table, self.name)
            skipped += wrong
        else:
            skipped.append(f"{RESULTS} is not in {here}: no PTB loss, no published values; {get}")
        return runs, results, skipped


def _row(run: Run, cell: Architecture, results: dict[int, Result], seen: set[str]) -> Row:
    """A run with what the table says of its cell; the key is the number of the recipe, once."""
    key = run.name if run.id is None or str(run.id) in seen else str(run.id)
    seen.add(key)
    result = None if run.id is None else results.get(run.id)
    truth = run.truth()
    if result is not None and result.loss is not None:
        truth["ptb_test_loss"] = result.loss
    return Row(key, truth, cell, result.published if result else {}, run.seconds)


def _published(number: int, result: Result) -> Row:
    truth = {} if result.loss is None else {"ptb_test_loss": result.loss}
    return Row(str(number), truth, None, result.published)


def _left_out(run: Run, row: Row) -> list[str]:
    """A sentence where a run has no WikiText-2 truth, or half of it."""
    if run.failure:
        return [f"{LOGS}: {run.name}: {run.failure}; no WikiText-2 loss"]
    if "wikitext2_test_loss" not in row.truth:
        return [f"{LOGS}: {run.name}: no test loss for its best epoch"]
    return []


def _unfinished(run: Run, row: Row) -> list[str]:
    """A sentence where a run was stopped early and its best loss is the best so far."""
    done = len(run.val)
    if "wikitext2_val_loss" not in row.truth or done >= run.epochs:
        return []
    return [f"{LOGS}: {run.name}: stopped after {done} of {run.epochs} epochs; its best loss so far counts"]
