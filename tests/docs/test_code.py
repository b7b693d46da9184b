"""Every python and sh block of README and docs runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from blocks import ROOT, Block, blocks, commands, pages, run, smaller

from untrained.core import registry

DATA = ROOT.parent / "shared" / "data"
WITH_BLOCKS = [page for page in pages() if blocks(page)]


@pytest.fixture
def _like_a_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """In an empty folder; what a page adds to the registry leaves it again."""
    before = set(registry._added)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("UNTRAINED_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    yield
    for kind, name in set(registry._added) - before:
        if name not in registry.files(kind):
            del registry._added[kind, name]


def run_all(found: list[Block], data: Path | None) -> None:
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in found:
        run(block, names, data)


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.usefixtures("_like_a_reader")
@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", WITH_BLOCKS, ids=named)
def test_what_a_page_shows_runs(page: Path) -> None:
    run_all([b for b in blocks(page) if not b.needs], None)


@pytest.mark.slow
@pytest.mark.usefixtures("_like_a_reader")
@pytest.mark.skipif(not DATA.is_dir(), reason="needs the tables at hand")
@pytest.mark.parametrize(
    "page",
    [p for p in WITH_BLOCKS if any(b.needs in ("data", "slow") or "DIR" in b.text for b in blocks(p))],
    ids=named,
)
def test_what_needs_the_tables_runs_too(page: Path) -> None:
    run_all([b for b in blocks(page) if b.needs != "skip"], DATA)


def test_marks_are_known_and_a_skip_says_why() -> None:
    for page in pages():
        for block in blocks(page):
            assert block.needs in ("", "skip", "data", "slow"), block.where
            assert block.needs != "skip" or block.mark.partition(",")[2].strip(), f"{block.where}: why?"


def test_the_finder_finds_and_the_runner_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len([b for p in pages() for b in blocks(p)]) > 25
    assert smaller("untrained search x --trials 500 --workers 2") == "untrained search x --trials 30"
    assert (
        smaller("train x -r causal_lm:steps=300 -o y") == "train x -r causal_lm:steps=4,eval_windows=8 -o y"
    )
    assert (
        smaller("search x --where 'latency < 5' --trials 500") == "search x --where 'latency < 5' --trials 8"
    )
    assert commands("a --b \\\n  c  # said\n# no\n\nd '#e'") == ["a --b    c", "d '#e'"]
    monkeypatch.chdir(tmp_path)
    for language, text in (("sh", "untrained lisst"), ("sh", "rm x"), ("python", "1 / 0")):
        with pytest.raises((AssertionError, ZeroDivisionError)):
            run(Block(ROOT / "README.md", 1, language, text, ""), {}, None)
