"""Texts with labels, from JSON lines or CSV, part of them held out."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from untrained.core.errors import BadText
from untrained.nn.batch import Batch
from untrained.training.data.tokenizer import Ids, Tokenizer

TEXT, LABEL = "text", "label"
FORM = 'JSON lines {"text": ..., "label": ...}, or a CSV with the columns text and label'

Row = tuple[str, str]
"""(text, label)"""


@dataclass(frozen=True)
class Labelled:
    """What a classifier is trained on, and what it is examined on; labels in alphabetical order."""

    train: tuple[Row, ...]
    held_out: tuple[Row, ...]
    tokenizer: Tokenizer
    source: str

    @cached_property
    def labels(self) -> list[str]:
        return sorted({label for _, label in (*self.train, *self.held_out)})

    @cached_property
    def fingerprint(self) -> str:
        """Of all rows; a training goes on only with the same ones."""
        digest = hashlib.sha256(self.tokenizer.name.encode())
        for part in (self.train, self.held_out):
            digest.update(json.dumps(part).encode())
        return digest.hexdigest()[:16]

    def check(self) -> None:
        """Raises BadText unless there is something to learn and something to examine."""
        if len(self.labels) < 2:
            raise BadText(f"{self.source} has the one label {self.labels[0]!r}; telling takes two or more")
        if not self.train or not self.held_out:
            raise BadText(
                f"{self.source} is too short: {len(self.train)} rows to train on,"
                f" {len(self.held_out)} held out"
            )
        if unseen := sorted({b for _, b in self.held_out} - {b for _, b in self.train}):
            raise BadText(
                f"{self.source}: the label {unseen[0]!r} is held out and never trained on.\n"
                "  give more rows with it, or a smaller part to examine: --held-out 0.05"
            )

    def batch(self, step: int, batch: int, length: int, seed: int) -> Batch:
        """The texts of an update, which depend on these numbers alone; each pass takes all rows once."""
        places = (divmod(step * batch + i, len(self.train)) for i in range(batch))
        return self._padded([self.train[self._order(epoch, seed)[row]] for epoch, row in places], length)

    def exam(self, batch: int, length: int, most: int = 0) -> Iterator[Batch]:
        """The held-out texts in their order; the first `most` of them if not 0."""
        rows = self.held_out[:most] if most else self.held_out
        for i in range(0, len(rows), batch):
            yield self._padded(rows[i : i + batch], length)

    def _padded(self, rows: Sequence[Row], length: int) -> Batch:
        """Tokens (B, T), -1 where a text has ended, and the numbers of the labels (B,).

        They begin with the tokenizer's first special token, where it has one: some heads read its place.
        """
        first = [] if self.tokenizer.bos is None else [self.tokenizer.bos]
        ids = [[*first, *self.tokenizer.encode(text).tolist()][:length] for text, _ in rows]
        tokens = np.full((len(ids), max(1, *map(len, ids), 1)), -1, dtype=np.int64)
        for row, own in zip(tokens, ids, strict=True):
            row[: len(own)] = own
        number = {label: i for i, label in enumerate(self.labels)}
        return Batch(torch.from_numpy(tokens), torch.tensor([number[label] for _, label in rows]))

    def _order(self, epoch: int, seed: int) -> Ids:
        if (epoch, seed) not in self._orders:
            while len(self._orders) > 1:  # a batch reaches over two passes at most, but for tiny files
                self._orders.pop(next(iter(self._orders)))
            self._orders[epoch, seed] = np.random.Generator(np.random.PCG64([seed, epoch])).permutation(
                len(self.train)
            )
        return self._orders[epoch, seed]

    @cached_property
    def _orders(self) -> dict[tuple[int, int], Ids]:
        return {}


def from_rows(
    rows: Sequence[Row],
    tokenizer: Tokenizer,
    *,
    source: str,
    validation: Sequence[Row] | None = None,
    held_out: float = 0.1,
) -> Labelled:
    """Rows with a share of them held out, in an order of its own: files are often sorted by label."""
    if validation is not None:
        return Labelled(tuple(rows), tuple(validation), tokenizer, source)
    order = np.random.Generator(np.random.PCG64(0)).permutation(len(rows))
    cut = len(rows) - max(1, round(len(rows) * held_out))
    mixed = [rows[int(i)] for i in order]
    return Labelled(tuple(mixed[:cut]), tuple(mixed[cut:]), tokenizer, source)


def read(path: str | Path) -> list[Row]:
    """The rows of a .csv, else of a file of JSON lines; raises BadText with the line that is wrong."""
    file = Path(path).expanduser()
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            lines = csv.DictReader(opened) if file.suffix.lower() == ".csv" else _json_lines(opened, file)
            found = [_row(record, f"{file}, row {i}") for i, record in enumerate(lines, 1)]
    except OSError as error:
        raise BadText(f"cannot read {file}: {error.strerror}.\n  give {FORM}") from None
    except UnicodeDecodeError as error:
        raise BadText(f"{file} is not UTF-8: {error.reason} at {error.start}.\n  give {FORM}") from None
    except csv.Error as error:
        raise BadText(f"{file} is no CSV that can be read: {error}.\n  give {FORM}") from None
    if not found:
        raise BadText(f"{file} holds no rows.\n  give {FORM}")
    return found


def rows_of(records: Iterable[Mapping[str, Any]], source: str) -> list[Row]:
    """Rows of a data set; labels that are numbers are taken as their text."""
    return [_row(record, f"{source}, row {i}") for i, record in enumerate(records, 1)]


def _json_lines(lines: Iterable[str], file: Path) -> Iterator[Mapping[str, Any]]:
    for i, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            raise BadText(f"{file}, line {i}: not JSON: {error}.\n  give {FORM}") from None
        if not isinstance(record, dict):
            raise BadText(f"{file}, line {i}: a JSON {type(record).__name__}.\n  give {FORM}")
        yield record


def _row(record: Mapping[str, Any], place: str) -> Row:
    if record.get(TEXT) is None or record.get(LABEL) is None:
        has = ", ".join(map(str, list(record)[:5])) or "nothing"
        raise BadText(f"{place}: text or label is missing (it has: {has}).\n  give {FORM}")
    return str(record[TEXT]), str(record[LABEL])
