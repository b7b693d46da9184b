"""The training logs of NAS-Bench-NLP: a zip archive with one JSON file a run.

A run's recipe is under the key `recepie` (sic), its losses per epoch under `val_losses` and `test_losses`.
`status` is `OK`, `loss is nan!` (the last epoch is NaN), `KeyboardInterrupt` or `Exception: ...`.
"""

from __future__ import annotations

import json
import math
import re
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile, ZipInfo

from untrained.benchmarks._data import broken

LARGEST = 50_000_000  # bytes; a log has about 5,000, so a member that says more is no log
ID = re.compile(r"log_stats_model_(\d{1,18})_")

# What zipfile lets through when an archive, or one member of it, is damaged, encrypted or of a later version.
DAMAGE = (BadZipFile, EOFError, OSError, RuntimeError, ValueError, struct.error, zlib.error)


class BrokenLog(Exception):
    """A log that cannot be used; the text says why."""


@dataclass(frozen=True)
class Run:
    """One training run, as far as the benchmark needs it."""

    name: str
    """of the log, without folder and suffix"""
    id: int | None
    """number of the recipe, by which other tables know the cell"""
    recipe: str | Mapping[str, Any]
    val: tuple[float, ...]
    """nats per token after each epoch"""
    test: tuple[float, ...]
    status: str
    epochs: int
    """that were to be trained"""
    seconds: float | None = None
    """what the epochs took; None where that was not written down for all of them"""

    @property
    def failure(self) -> str:
        """Why this run has no best loss; empty for a good one."""
        if self.status.startswith(("loss is nan", "Exception")) or not all(map(math.isfinite, self.val)):
            return f"did not train to the end ({self.status or 'a loss is not finite'})"
        return "" if self.val else f"has no validation losses (status {self.status!r})"

    def truth(self) -> dict[str, float]:
        """Best validation loss, and the test loss of the same epoch; empty for a failed run."""
        if self.failure:
            return {}
        best = min(range(len(self.val)), key=self.val.__getitem__)
        found = {"wikitext2_val_loss": self.val[best]}
        if best < len(self.test) and math.isfinite(self.test[best]):
            found["wikitext2_test_loss"] = self.test[best]
        return found


def read_runs(path: Path, benchmark: str) -> tuple[list[Run], list[str]]:
    """The runs of an archive in the order of their names, and a sentence for each log that is broken."""
    runs: list[Run] = []
    skipped: list[str] = []
    try:
        with ZipFile(path) as archive:
            members = sorted(filter(_is_log, archive.infolist()), key=lambda m: _stem(m.filename))
            for member in members:
                try:
                    runs.append(_run(_stem(member.filename), _json(archive, member)))
                except BrokenLog as error:
                    skipped.append(f"{path.name}: {_stem(member.filename)}: {error}")
    except DAMAGE as error:
        raise broken(benchmark, path, f"not a whole zip archive ({error})") from error
    if not members:
        raise broken(benchmark, path, "the archive holds no training log (no .json file)")
    if not runs:
        raise broken(benchmark, path, f"none of its {len(members)} logs can be used; {skipped[0]}")
    return runs, skipped


def _is_log(member: ZipInfo) -> bool:
    """A .json file in any folder, without the shadow files that macOS adds (`__MACOSX/logs/._log.json`)."""
    return member.filename.endswith(".json") and not _stem(member.filename).startswith(".")


def _stem(filename: str) -> str:
    """The name without folders and suffix, with nothing in it that a terminal would obey."""
    name = filename.rpartition("/")[2].removesuffix(".json")
    return "".join(c if c.isprintable() else "?" for c in name)


def _json(archive: ZipFile, member: ZipInfo) -> Mapping[str, Any]:
    """The object in one member of the archive."""
    if member.file_size > LARGEST:
        raise BrokenLog(f"says that it unpacks to {member.file_size:,} bytes; the limit is {LARGEST:,}")
    try:
        text = archive.read(member)  # zipfile never unpacks more than the size that was checked above
    except DAMAGE as error:
        raise BrokenLog(f"cannot be unpacked ({error})") from None
    try:
        record = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BrokenLog(f"not JSON ({error})") from None
    if not isinstance(record, dict):
        raise BrokenLog("not a JSON object")
    return record


def _run(name: str, record: Mapping[str, Any]) -> Run:
    recipe = record.get("recepie")
    if not isinstance(recipe, str | dict):
        raise BrokenLog("has no recipe (key 'recepie')")
    return Run(
        name,
        _id(name, record),
        recipe,
        _losses(record, "val_losses"),
        _losses(record, "test_losses"),
        str(record.get("status", "OK")),
        epochs if isinstance(epochs := record.get("epochs"), int) else 0,
        _seconds(record),
    )


def _seconds(record: Mapping[str, Any]) -> float | None:
    """Of all epochs together; a log whose times are odd has none, as nobody needs them for a truth."""
    times, losses = record.get("wall_times"), record.get("val_losses")
    if not isinstance(times, list) or not isinstance(losses, list) or len(times) != len(losses):
        return None
    good = all(isinstance(t, int | float) and not isinstance(t, bool) and 0 <= t < 1e9 for t in times)
    return math.fsum(times) if good and times else None


def _id(name: str, record: Mapping[str, Any]) -> int | None:
    """`recepie_id`, else the number in the name of the log."""
    number = record.get("recepie_id")
    if isinstance(number, int) and not isinstance(number, bool):
        return number
    return int(match[1]) if (match := ID.search(name)) else None


def _losses(record: Mapping[str, Any], key: str) -> tuple[float, ...]:
    losses = record.get(key)
    if not isinstance(losses, list):
        raise BrokenLog(f"has no list of losses under {key!r}")
    if wrong := [x for x in losses if isinstance(x, bool) or not isinstance(x, int | float)]:
        raise BrokenLog(f"{key!r} holds {wrong[0]!r:.40}, which is not a number")
    try:
        return tuple(map(float, losses))
    except OverflowError:
        raise BrokenLog(f"{key!r} holds a number too large to be a loss") from None
