"""The random decoders of LiteTransformerSearch: one CSV file a set, read for the benchmarks `lts_*`."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

from untrained.benchmarks._csv import BrokenRow, lines, number, whole
from untrained.benchmarks._data import broken
from untrained.benchmarks._data import folder as data_folder
from untrained.core.architecture import Architecture
from untrained.core.benchmark import Benchmark, File, Row, Table, Target
from untrained.core.errors import InvalidArchitecture, UsageError
from untrained.core.space import Space

COMMIT = "af79c739e04cec045cf5a5cedd01f354aa3463d1"
NUMBERS = ("n_layer", "d_model", "d_embed", "div_val", "n_token", "tgt_len")
LISTS = ("n_head", "d_inner", "cutoffs")
PARAMETERS = {  # column -> what a space calls it
    "params_total": "params",
    "params_nonembedding": "params_nonembedding",
    "params_Attn": "params_attention",
    "params_FFN": "params_ffn",
    "params_AdaEmb": "params_embedding",
}
TRUTHS = ("valid_ppl", "test_ppl", "ppl")


@runtime_checkable
class ReadsLts(Protocol):
    """A space that knows how LiteTransformerSearch writes a decoder."""

    def from_lts(self, row: Mapping[str, Any]) -> Architecture:
        """The decoder of a row; raises InvalidArchitecture."""


class Lts(Benchmark):
    """What the sets share; each is a class of its own that says `model`, `corpus` and `files`."""

    space: ClassVar[str] = "gpt_decoder"
    model: ClassVar[Literal["gpt2", "transformer_xl"]]
    corpus: ClassVar[Literal["wt103", "lm1b"]]
    homogeneous: ClassVar[bool] = False
    targets: ClassVar[tuple[Target, ...]] = tuple(
        Target(name, "perplexity", "lower", gap=0.01, log=True) for name in TRUTHS
    )
    published_names: ClassVar[tuple[str, ...]] = tuple(PARAMETERS.values())

    def read(self, folder: Path, space: Space) -> Table:
        """All rows; a line that is broken, or says no perplexity, is named in `skipped`.

        A line whose parameter columns are not those of its shape is read, and named in `notes`.
        """
        if not isinstance(space, ReadsLts):
            raise UsageError(
                f"{self.name} needs a space with from_lts, like gpt_decoder; {space.name!r} has none"
            )
        file = self.files[0].name
        path = self.find(folder, file) or self.find(data_folder(type(self), folder), file)
        assert path is not None, "data_folder raises where there is no file"
        columns, found = lines(path, self.name, (*NUMBERS, *LISTS))
        if not set(TRUTHS) & set(columns):
            raise broken(self.name, path, f"the table has no column {', '.join(map(repr, TRUTHS))}")
        rows: dict[str, Row] = {}
        skipped: list[str] = []
        notes: list[str] = []
        for line, cells in found:
            try:
                row = self._row(line, cells, space, taken=rows)
            except (BrokenRow, InvalidArchitecture) as error:
                said = str(error).partition("\n")[0]
                skipped.append(f"{path.name}: line {line} ({cells.get('name') or 'no name'}): {said}")
                continue
            rows[row.key] = row
            notes += [f"{path.name}: {row.key}: {said}" for said in _miscounted(row, space)]
        if not rows:
            raise broken(self.name, path, skipped[0] if skipped else "the table has no lines")
        return Table(tuple(rows.values()), tuple(skipped), tuple(notes))

    def _row(self, line: int, cells: Mapping[str, str], space: ReadsLts, taken: Mapping[str, Row]) -> Row:
        shape: dict[str, Any] = {"model": self.model, "d_head": whole(cells, "d_head", -1)}
        shape |= {column: whole(cells, column) for column in NUMBERS}
        shape |= {column: _list(cells, column) for column in LISTS}
        truth = {t: value for t in TRUTHS if (value := number(cells, t, least=1.0)) is not None}
        if not truth:
            raise BrokenRow("it has no perplexity")
        counts = {
            name: value
            for c, name in PARAMETERS.items()
            if (value := number(cells, c, least=0.0)) is not None
        }
        name = cells.get("name") or f"line {line}"
        key = name if name not in taken else f"{name} (line {line})"
        seconds = number(cells, "train_elapsed", least=0.0)
        return Row(key, truth, space.from_lts(shape), counts, seconds)

    @classmethod
    def places(cls, root: Path) -> tuple[Path, ...]:
        """In the folder, or in its sub-folder `lts`, which all sets share."""
        return root, root / "lts"

    @classmethod
    def within(cls, folder: Path, name: str) -> Path | None:
        """The file of that name, else the one CSV file whose name says the same set in other words."""
        if exact := super().within(folder, name):
            return exact
        if not folder.is_dir():
            return None
        alike = [p for p in sorted(folder.glob("*.csv")) if p.is_file() and cls._means(p.stem)]
        return alike[0] if len(alike) == 1 else None

    @classmethod
    def _means(cls, stem: str) -> bool:
        words = re.sub(r"[^a-z0-9]", "", stem.lower())
        model = "gpt2" if "gpt2" in words else "transformer_xl" if _XL.search(words) else None
        corpus = "lm1b" if "lm1b" in words else "wt103" if _WT103.search(words) else None
        same = (model, corpus, "homog" in words) == (cls.model, cls.corpus, cls.homogeneous)
        return same and "pareto" not in words


_XL = re.compile(r"trans(former)?xl|txl|memtransformer")
_WT103 = re.compile(r"wt103|wikitext103")


def file(name: str) -> File:
    """One set; its authors keep it as a folder of YAML files."""
    folder = f"https://github.com/microsoft/archai/tree/{COMMIT}/archai/nlp/nas/saved_logs/{name}"
    return File(f"{name}.csv", folder, None, "", "MIT")


def _list(cells: Mapping[str, str], column: str) -> list[int] | int:
    """A list in brackets; a homogeneous set may have one number for all layers."""
    cell = cells[column].strip()
    found: Any
    try:
        found = json.loads(cell)
    except (ValueError, RecursionError):
        found = None  # which is no number either
    items: list[Any] = found if isinstance(found, list) else [found]
    if not all(isinstance(x, int) and not isinstance(x, bool) for x in items):
        raise BrokenRow(f"{column} is {cell!r:.40}, not a list of whole numbers")
    if not isinstance(found, list) and column == "cutoffs":
        raise BrokenRow(f"cutoffs is {cell!r:.40}, not a list")
    kept: list[int] | int = found
    return kept


def _miscounted(row: Row, space: Space) -> list[str]:
    assert row.architecture is not None
    counts = space.count(row.architecture)
    wrong = [
        n for n, v in row.published.items() if n in counts and not math.isclose(v, counts[n], abs_tol=0.5)
    ]
    return [f"{n} is {row.published[n]:,.0f}, and its shape gives {counts[n]:,}" for n in wrong]
