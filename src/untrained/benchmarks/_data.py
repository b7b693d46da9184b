"""Where the files of a benchmark lie: looked up, fetched from their authors, checked.

Three places, in this order: a folder that the user names (`--data DIR`), the environment variable
UNTRAINED_DATA, the user's cache. In each the files lie in the folder itself or in its sub-folder with the
name of the benchmark (`nas-bench-nlp`). Our own tables lie in the package, and are found there last.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from untrained.core.benchmark import Benchmark, File
from untrained.core.cache import user_cache
from untrained.core.errors import BadData

VARIABLE = "UNTRAINED_DATA"

Progress = Callable[[File, int, int | None], None]
"""called with the file, the bytes received so far, and their number in all where it is known"""


@dataclass(frozen=True)
class Check:
    """What became of comparing one file on disk with what its authors publish."""

    file: File
    status: Literal["ok", "missing", "differs", "unchecked"]
    """`unchecked`: it is there, and there is no published checksum of that form"""
    path: Path
    """where it lies, or would lie"""
    sha256: str | None = None
    """of the file found; `file.sha256` is the published one"""
    bytes: int | None = None
    """size of the file found"""


def cache() -> Path:
    """The folder that `get` writes to unless told otherwise: UNTRAINED_DATA, else the user's cache."""
    return _variable() or user_cache()


def place(benchmark: type[Benchmark], root: Path) -> Path:
    """Where in `root` a benchmark's files lie, or would lie if there are none."""
    for candidate in benchmark.places(root):
        if any(benchmark.within(candidate, f.name) for f in benchmark.files):
            return candidate
    own = {p.name for p in benchmark.places(root)[1:]}
    return root if root.name in own else benchmark.places(root)[1]


def folder(benchmark: type[Benchmark], data: str | Path | None = None) -> Path:
    """The folder that holds a benchmark's files. Raises BadData with where it looked and what to type."""
    roots = [Path(data).expanduser()] if data is not None else [r for r in (_variable(), user_cache()) if r]
    for root in roots:
        found = place(benchmark, root)
        if any(benchmark.within(found, f.name) for f in benchmark.files):
            return found
    if benchmark.shipped is not None:
        return benchmark.shipped
    raise BadData(
        f"{benchmark.name}: its files are not there.\n"
        f"  looked for: {' or '.join(f.name for f in benchmark.files)}\n"
        f"  looked in:  {', '.join(_described(p) for root in roots for p in benchmark.places(root)[:2])}\n"
        f"  download:   untrained data get {benchmark.name}\n"
        f"  or name the folder that has them: --data DIR, or {VARIABLE}=DIR"
    )


def verify(benchmark: type[Benchmark], root: Path) -> list[Check]:
    """Compares each file in `root` with the published SHA-256; a part of the whole `differs`, and may."""
    here = place(benchmark, root)
    return [_checked(file, benchmark.find(root, file.name) or here / file.name) for file in benchmark.files]


def get(benchmark: type[Benchmark], into: Path | None = None, progress: Progress | None = None) -> list[Path]:
    """Downloads the files that are not there yet, or differ; returns where all of them lie.

    Our own tables are in the package, and nothing is downloaded.

    A file appears under its name only when its checksum is right. Raises BadData for a wrong checksum,
    UntrainedError where the network or the disk says no.
    """
    if benchmark.shipped is not None:
        return [benchmark.shipped / file.name for file in benchmark.files]
    from untrained.benchmarks._download import download  # urllib loads for 50 ms; listing needs none of it

    here = place(benchmark, into or cache())
    if unpublished := [f for f in benchmark.files if not f.sha256 and not benchmark.find(here, f.name)]:
        raise _no_download(benchmark.name, unpublished)
    for file in benchmark.files:
        if file.sha256 and _checked(file, here / file.name).status != "ok":
            download(benchmark.name, file, here / file.name, progress or _silent)
    return [benchmark.find(here, file.name) or here / file.name for file in benchmark.files]


def broken(benchmark: str, path: Path, what: str) -> BadData:
    """The error for a file that is there and cannot be used."""
    return BadData(
        f"{path}: {what}\n"
        f"  check it:     untrained data verify {benchmark}\n"
        f"  get it again: untrained data get {benchmark}"
    )


def _checked(file: File, path: Path) -> Check:
    try:
        with path.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
            size = stream.tell()
    except (FileNotFoundError, NotADirectoryError):
        return Check(file, "missing", path)
    except OSError as error:
        raise BadData(f"{path} cannot be read: {error.strerror}") from error
    if not file.sha256:
        return Check(file, "unchecked", path, found, size)
    return Check(file, "ok" if found == file.sha256 else "differs", path, found, size)


def _no_download(name: str, files: list[File]) -> BadData:
    """The error for files that exist in our layout only, so that nobody publishes them."""
    return BadData(
        f"{name}: {', '.join(f.name for f in files)} cannot be downloaded: the authors publish another form"
        " (YAML or pickle), and there is no published checksum of the CSV.\n"
        f"  the authors' files: {files[0].url}\n"
        f"  the columns:        untrained show {name}\n"
        f"  name the folder that has the CSV: --data DIR, or {VARIABLE}=DIR"
    )


def _variable() -> Path | None:
    """The folder in UNTRAINED_DATA; empty counts as not set."""
    text = os.environ.get(VARIABLE, "")
    return Path(text).expanduser() if text else None


def _described(path: Path) -> str:
    return str(path) if path.is_dir() else f"{path} ({'a file' if path.exists() else 'no such folder'})"


def _silent(file: File, done: int, total: int | None) -> None:
    """No progress is shown."""
