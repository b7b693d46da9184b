"""What our own tables share: shipped in the package, checked byte by byte, with the noise of their truths."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from untrained.benchmarks import SHIPPED
from untrained.core import runs as form
from untrained.core.benchmark import Benchmark, File, Row, Table, Target
from untrained.core.errors import BadData, InvalidArchitecture
from untrained.core.recipe import Recipe
from untrained.core.runs import Run
from untrained.core.space import Space

LICENCE = "CC BY 4.0"
EARLY = 4  # the early loss is that after this part of the tokens: a fourth


class Bench(Benchmark):
    """A table of ours; each is a class of its own that names its space and its file."""

    targets: ClassVar[tuple[Target, ...]] = (
        Target("loss", "nats per token", "lower", gap=0.01),
        Target("loss_early", "nats per token", "lower", gap=0.01),
    )
    shipped: ClassVar[Path | None] = SHIPPED

    def __init__(self, *, table: str = "") -> None:
        """`table` is another file of the same form: a store of `untrained make-benchmark`."""
        self.table = table

    def read(self, folder: Path, space: Space) -> Table:
        """One row a training; one that diverged has no truth, and is named in `skipped`.

        Raises BadData for a shipped table that is not, byte for byte, the one that was released.
        """
        path = Path(self.table).expanduser() if self.table else self.find(folder, self.files[0].name)
        if path is None:
            raise BadData(f"{self.name}: there is no {self.files[0].name} in {folder}")
        if not self.table:
            self._check(path)
        _, runs = form.parsed(self.name, self.space, path, torn=bool(self.table))
        skipped = []
        for run in runs:
            try:
                space.validate(run.arch)
            except InvalidArchitecture as error:
                raise BadData(
                    f"{path}: {run.arch.id} is no network of the space {space.name}:"
                    f" {str(error).partition(chr(10))[0]}"
                ) from None
            if run.status != form.OK:
                skipped.append(f"{run.arch.id} with seed {run.seed} diverged: {run.reason}")
        rows = [_row(run) for run in runs]
        if not rows:
            raise BadData(f"{path}: the table has no runs")
        return Table(tuple(rows), tuple(skipped))

    def _check(self, path: Path) -> None:
        """Raises BadData unless the file is the released one."""
        released, found = self.files[0].sha256, form.sha256(path)
        if found != released:
            raise BadData(
                f"{path} is not the released table of {self.name}.\n"
                f"  SHA-256 of the release: {released}\n"
                f"  SHA-256 of the file:    {found}\n"
                "  install the package again; a table of your own is read as"
                f" {self.name}:table={path.name}"
            )


def _row(run: Run) -> Row:
    truth = {} if run.loss is None else {"loss": run.loss, "loss_early": run.after(EARLY)}
    return Row(f"{run.arch.id} seed {run.seed}", truth, run.arch, seconds=run.seconds, band=run.band)


def recipe(*, steps: int, batch: int, peak_lr: float) -> Recipe:
    """How the networks of a table were trained; `peak_lr` is one band's, docs/benchmark.md has all."""
    return Recipe(
        "WikiText-2, validation and test part",
        steps=steps,
        batch=batch,
        length=64,
        optimizer="AdamW",
        peak_lr=peak_lr,
        schedule="cosine",
        warmup=0.05,
        weight_decay=0.1,
        beta1=0.9,
        beta2=0.95,
        clip=1.0,
    )


def file(name: str, size: int, sha256: str) -> File:
    """The table of a release."""
    return File(name, f"https://pypi.org/project/untrained/ ({name})", size, sha256, LICENCE)
