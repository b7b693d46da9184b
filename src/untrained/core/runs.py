"""The form of our own tables: one JSON object a line, the first for the design, then one a training run.

    {"format": "untrained-bench", "version": 1, "benchmark": "bench_decoder", "design": {...}}
    {"id": ..., "arch": {...}, "band": "64k", "seed": 0, "status": "ok", "loss": 4.2, "curve": [...], ...}

A store of `untrained make-benchmark` has the same form; its last line may be torn off by a kill.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from untrained.core.architecture import Architecture
from untrained.core.errors import BadData, InvalidArchitecture

FORMAT, VERSION = "untrained-bench", 1
OK, DIVERGED = "ok", "diverged"
DECIMALS = 6  # of losses


@dataclass(frozen=True, kw_only=True)
class Run:
    """One network, trained once."""

    arch: Architecture
    band: str
    """networks of one band have one size"""
    seed: int
    """of weights, order of the text and masks"""
    params_nonembedding: int
    tokens: int
    """that it was trained on"""
    status: str
    """ok, or diverged"""
    loss: float | None
    """on the held-out text at the end, in nats a token; None where it diverged"""
    curve: tuple[float, ...]
    """the same at even distances, before the first update and at the end included"""
    learning: tuple[float, ...]
    """mean loss on the text that it learned from, between those"""
    reason: str = ""
    """why it diverged, and when"""
    seconds: float
    device: str
    versions: Mapping[str, str]

    @property
    def key(self) -> tuple[str, int]:
        """What makes a run: which network, which seed."""
        return self.arch.id, self.seed

    def after(self, part: int) -> float:
        """The held-out loss after one `part`th of the tokens."""
        return self.curve[(len(self.curve) - 1) // part]

    def line(self) -> str:
        """As the table has it."""
        record = {"id": self.arch.id, **asdict(self), "arch": json.loads(self.arch.to_json())["choices"]}
        return json.dumps(record, allow_nan=False, separators=(",", ":"))


def rounded(values: Sequence[float]) -> tuple[float, ...]:
    """Losses as the table has them."""
    return tuple(round(v, DECIMALS) for v in values)


def head(benchmark: str, design: Mapping[str, Any]) -> str:
    """The first line."""
    return json.dumps({"format": FORMAT, "version": VERSION, "benchmark": benchmark, "design": design})


def parsed(benchmark: str, space: str, path: Path, *, torn: bool = False) -> tuple[dict[str, Any], list[Run]]:
    """The design and the runs of a file; `torn` forgives a last line without an end.

    Raises BadData for another benchmark, a damaged line, or a run that is there twice.
    """
    try:
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise BadData(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadData(f"{path} is damaged: byte {error.start:,} is not UTF-8") from None
    first, *lines = text.split("\n")
    if lines and lines.pop() and not torn:
        raise BadData(f"{path} is damaged: its last line has no end")
    design = _design(benchmark, path, first)
    runs: dict[tuple[str, int], Run] = {}
    for number, line in enumerate(lines, start=2):
        run = _run(space, path, number, line)
        if run.key in runs:
            raise BadData(f"{path}: line {number}: {run.arch.id} with seed {run.seed} is there twice")
        runs[run.key] = run
    return design, list(runs.values())


def sha256(path: Path) -> str:
    """Of the bytes of a file; BadData where it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise BadData(f"{path} cannot be read: {error.strerror}") from error


def _design(benchmark: str, path: Path, line: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
        if record["format"] != FORMAT:
            raise ValueError
        named, version, design = record["benchmark"], record["version"], record["design"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise BadData(
            f"{path} is no table of ours: its first line does not say {FORMAT!r}\n"
            f"  make one: untrained make-benchmark {benchmark} --store FILE"
        ) from None
    if version != VERSION:
        raise BadData(f"{path} is of version {version!r}; this release reads {VERSION}")
    if named != benchmark or not isinstance(design, dict):
        raise BadData(f"{path} is a table of {named!r}, not of {benchmark}")
    return design


def _run(space: str, path: Path, number: int, line: str) -> Run:
    try:
        record = json.loads(line)
        given = record.pop("id")
        arch = Architecture.from_json({"space": space, "choices": record.pop("arch")})
        fields: Any = {k: tuple(v) if isinstance(v, list) else v for k, v in record.items()}
        run = Run(arch=arch, **fields)
        wrong = _wrong(run)
    except (ValueError, TypeError, KeyError, RecursionError, AttributeError, InvalidArchitecture) as error:
        said = str(error).partition("\n")[0]
        raise BadData(f"{path}: line {number} is damaged ({type(error).__name__}: {said})") from None
    if given != arch.id:
        wrong = f"it says the id {given!r}, and its architecture has {arch.id}"
    if wrong:
        raise BadData(f"{path}: line {number}: {wrong}")
    return run


def _wrong(run: Run) -> str:
    """What is wrong with a run, or nothing."""
    if run.status not in (OK, DIVERGED):
        return f"no status is called {run.status!r}; there are {OK} and {DIVERGED}"
    losses = [*run.curve, *run.learning, *([] if run.loss is None else [run.loss])]
    if not all(isinstance(v, int | float) and math.isfinite(v) for v in losses):
        return "a loss is not a number"
    if (run.loss is None) != (run.status == DIVERGED):
        return f"status {run.status} with the loss {run.loss}"
    return ""
