"""HW-GPT-Bench: two CSV files a scale, measured hardware and perplexity, joined by the shape."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

from untrained.benchmarks._csv import BrokenRow, dashed, lines, number, whole
from untrained.benchmarks._data import broken
from untrained.benchmarks._data import folder as data_folder
from untrained.core.architecture import Architecture
from untrained.core.benchmark import Benchmark, File, Row, Table, Target
from untrained.core.errors import InvalidArchitecture, UsageError
from untrained.core.recipe import Recipe
from untrained.core.space import Space

COMMIT = "795cba8"
SHAPE = ("embed_dim", "n_layer", "n_head", "mlp_ratio", "bias")
GPUS = ("P100", "a100", "a40", "a6000", "h100", "rtx2080", "rtx3080", "v100")
CPUS = ("cpu_a6000", "cpu_alldlc", "cpu_meta", "cpu_mlgpu", "cpu_p100", "helix_cpu")
COUNTED = {"params": "params", "flops": "flops_batch", "macs": "macs_batch"}


def _targets() -> dict[str, Target]:
    """By column. Costs span orders of magnitude, so differences of 1 % count, as for perplexity."""
    found = {
        "perplexity": Target("perplexity", "perplexity", "lower", gap=0.01, log=True),
        "accuracy": Target("accuracy", "share of tokens", "higher", gap=0.002),
    }
    for device in (*GPUS, *CPUS):
        found[f"lat_ms_{device}"] = Target(f"latency_{device.lower()}", "ms", "lower", gap=0.01, log=True)
    for device in GPUS:
        found[f"energy_kwh_{device}"] = Target(f"energy_{device.lower()}", "kWh", "lower", gap=0.01, log=True)
    for device in ("a100", "rtx2080"):
        found[f"mem_mib_{device}"] = Target(f"memory_{device}", "MiB", "lower", gap=0.01, log=True)
    return found


TARGETS = _targets()


@runtime_checkable
class ReadsHwGpt(Protocol):
    """A space that knows how HW-GPT-Bench writes a decoder."""

    def from_hw_gpt(self, row: Mapping[str, Any]) -> Architecture:
        """The decoder of a row; raises InvalidArchitecture."""


class HwGpt(Benchmark):
    """What both scales share."""

    space: ClassVar[str] = "gpt_decoder"
    targets: ClassVar[tuple[Target, ...]] = tuple(TARGETS.values())
    recipe: ClassVar[Recipe] = Recipe("not said", length=1_024)
    published_names: ClassVar[tuple[str, ...]] = tuple(COUNTED.values())

    def read(self, folder: Path, space: Space) -> Table:
        """A row for each shape of either file, with the truths that are known of it.

        One of the two files may be missing; it is named in `skipped`, as is every broken line.
        """
        if not isinstance(space, ReadsHwGpt):
            raise UsageError(
                f"{self.name} needs a space with from_hw_gpt, like gpt_decoder; {space.name!r} has none"
            )
        here = data_folder(type(self), folder)
        truths: dict[Architecture, dict[str, float]] = {}
        counts: dict[Architecture, dict[str, float]] = {}
        keys: dict[Architecture, str] = {}
        skipped: list[str] = []
        for file in self.files:
            path = self.find(here, file.name)
            if path is None:
                skipped.append(f"{file.name} is not in {here}: its truths are not known")
                continue
            read, wrong = self._file(path, space)
            skipped += wrong
            for key, arch, truth, counted in read:
                keys.setdefault(arch, key)
                truths.setdefault(arch, {}).update(truth)
                counts.setdefault(arch, {}).update(counted)
        rows = tuple(Row(key, truths[arch], arch, counts[arch]) for arch, key in keys.items())
        return Table(rows, tuple(skipped))

    def _file(
        self, path: Path, space: ReadsHwGpt
    ) -> tuple[list[tuple[str, Architecture, dict[str, float], dict[str, float]]], list[str]]:
        """(key, architecture, truths, counts) of each good line, and a sentence for each of the others."""
        columns, found = lines(path, self.name, SHAPE)
        if not set(TARGETS) & set(columns):
            raise broken(self.name, path, f"the table has no column {_some(TARGETS)}")
        read, skipped, seen = [], [], set()
        for line, cells in found:
            try:
                arch = space.from_hw_gpt(_shape(cells))
                truth = {t.name: v for c, t in TARGETS.items() if (v := number(cells, c, 0.0)) is not None}
                if not truth:
                    raise BrokenRow("it has no measured value")
                if zero := [k for k, v in truth.items() if v == 0]:
                    raise BrokenRow(f"{zero[0]} is 0")
                if arch in seen:
                    raise BrokenRow("its shape comes a second time; the first counts")
                counted = {n: v for c, n in COUNTED.items() if (v := number(cells, c, 0.0)) is not None}
            except (BrokenRow, InvalidArchitecture) as error:
                skipped.append(f"{path.name}: line {line}: {str(error).partition(chr(10))[0]}")
                continue
            seen.add(arch)
            read.append((" ".join(cells[c] for c in SHAPE), arch, truth, counted))
        if not read:
            raise broken(self.name, path, skipped[0] if skipped else "the table has no lines")
        return read, skipped

    @classmethod
    def places(cls, root: Path) -> tuple[Path, ...]:
        """In the folder, or in its sub-folder `hw-gpt-bench`, which both scales share."""
        return root, root / "hw-gpt-bench"


def files(scale: str) -> tuple[File, ...]:
    """The two files of a scale; their authors keep pickles, from which they were taken."""
    source = f"https://github.com/automl/HW-GPT-Bench/tree/{COMMIT}"
    return tuple(File(f"gpt_{scale}_{what}.csv", source, None, "", "Apache-2.0") for what in ("ppl", "hw"))


def _shape(cells: Mapping[str, str]) -> dict[str, Any]:
    numbers = {c: whole(cells, c) for c in ("embed_dim", "n_layer", "bias")}
    return numbers | {c: dashed(cells, c) for c in ("n_head", "mlp_ratio")}


def _some(names: Iterable[str]) -> str:
    return f"{', '.join(repr(n) for n in list(names)[:3])} or the like"
