"""`untrained data`: the files of benchmarks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from untrained.apps.cli._options import Data, Json

if TYPE_CHECKING:
    from untrained.core.benchmark import Benchmark, File

Name = Annotated[str, typer.Argument(metavar="NAME", help="A benchmark; see: untrained data list")]


def list_files(data: Data = None, json: Json = False) -> None:
    """List the files of every benchmark, and whether they are here."""
    from untrained.apps.cli._screen import print_records, print_table
    from untrained.apps.report.table import Column, table
    from untrained.core import registry

    found = [_record(registry.get("benchmark", name), data) for name in registry.names("benchmark")]
    records = [{"benchmark": name, **file} for name, files in found for file in files]
    if json:
        print_records(records)
        return
    rows = [[r["benchmark"], r["file"], r["licence"], r["path"] or "not here"] for r in records]
    titles = [
        Column("benchmark", left=True),
        Column("file", left=True),
        Column("licence", left=True, spare=1),
    ]
    print_table(table([*titles, Column("where", left=True, wraps=True)], rows))
    if any(r["path"] is None for r in records):
        print("\ndownload: untrained data get NAME")


def get(name: Name, data: Data = None, json: Json = False) -> None:
    """Download the files of a benchmark from its authors and check their SHA-256."""
    from untrained.apps.cli._progress import progress
    from untrained.apps.cli._screen import print_records
    from untrained.benchmarks import get as fetch
    from untrained.core import registry

    found: type[Benchmark] = registry.get("benchmark", name)
    with progress(f"downloading {name}", unit="bytes") as tick:

        def step(file: File, done: int, total: int | None) -> None:
            tick(done, total)

        paths = fetch(found, None if data is None else Path(data).expanduser(), step)
    if json:
        print_records({"benchmark": name, "file": p.name, "path": str(p)} for p in paths)
        return
    for path in paths:
        print(path)


def verify(name: Name, data: Data = None, json: Json = False) -> None:
    """Compare the files of a benchmark with the SHA-256 that was published; exit code 1 if one is not it."""
    from untrained.apps.cli._screen import print_records
    from untrained.benchmarks import verify as check
    from untrained.core import registry
    from untrained.core.errors import UntrainedError

    found: type[Benchmark] = registry.get("benchmark", name)
    checks = check(found, _root(found, data))
    if json:
        print_records(
            {
                "benchmark": name,
                "file": c.file.name,
                "status": c.status,
                "path": str(c.path),
                "sha256_published": c.file.sha256,
                "sha256_found": c.sha256,
                "bytes": c.bytes,
            }
            for c in checks
        )
    for c in [] if json else checks:
        print(f"{c.status:8} {c.path}" + ("" if c.bytes is None else f" ({c.bytes:,} bytes)"))
        print(f"         published {c.file.sha256 or '(in another form only)'}")
        print(f"         found     {c.sha256 or '(no file)'}")
    if bad := [c for c in checks if c.status not in {"ok", "unchecked"}]:
        said = ", ".join(f"{c.file.name} {'is missing' if c.status == 'missing' else 'differs'}" for c in bad)
        part = any(c.status == "differs" for c in bad)
        raise UntrainedError(
            f"{name}: {said}.\n"
            f"  download what was published: untrained data get {name}"
            + ("\n  correlate reads what differs too, if it has the same layout" if part else "")
        )


def _root(benchmark: type[Benchmark], data: str | None) -> Path:
    """The folder that is looked at: the one named, else the first that has a file, else the cache."""
    from untrained.benchmarks import cache, folder
    from untrained.core.errors import BadData

    if data is not None:
        return Path(data).expanduser()
    try:
        return folder(benchmark)
    except BadData:
        return cache()


def _record(benchmark: type[Benchmark], data: str | None) -> tuple[str, list[dict[str, Any]]]:
    """The files of one benchmark, with the path of those that are here."""
    root = _root(benchmark, data)
    files = [
        {
            "file": file.name,
            "licence": file.licence,
            "url": file.url,
            "sha256": file.sha256,
            "path": None if (path := benchmark.find(root, file.name)) is None else str(path),
        }
        for file in benchmark.files
    ]
    return benchmark.name, files
