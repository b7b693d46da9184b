"""The pages in the repository are those that the command makes."""

import os
import re
from pathlib import Path

import pytest

from untrained.apps.leaderboard.whole import Leaderboard

DOCS = Path(__file__).parents[2] / "docs"
SMALL = Path(__file__).parents[1] / "golden" / "leaderboard_small.md"
DATA = Path(__file__).parents[3] / "shared" / "data"
SIZE = 300_000  # bytes of the records behind the page, at most

BOARDS = "nas_bench_nlp,nas_bench_bert"
PROXIES = "fading_memory,hidden_covariance,swap,l2_norm,params_attention,rank_and_reuse"
NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?")


def test_the_page_in_the_docs_is_made_from_its_records():
    source = DOCS / "leaderboard.json"
    found = Leaderboard.load(source)
    assert found.markdown() == (DOCS / "leaderboard.md").read_text(encoding="utf-8")
    assert found.json() == source.read_text(encoding="utf-8")
    assert source.stat().st_size < SIZE


def test_the_records_hold_statistics_and_no_table():
    boards = Leaderboard.load(DOCS / "leaderboard.json").boards
    assert boards
    for board in boards:
        assert not any(isinstance(v, list) and len(v) > 100 for v in board.values())
        assert all(isinstance(v, str | int | float | None) for r in board["records"] for v in r.values())


def _room(number, text):
    """How far a number may be off: rounding moves the last digits, and shares by two of a hundred."""
    if "." in number.group():
        return 0.02
    return 2.0 if text.startswith(" %", number.end()) or number.group()[0] in "+-" else 0.0


def apart(page):
    """A page as its words, and its numbers with how far each may be off; seconds are left out."""
    lines = []
    for line in page.splitlines():
        head, _, seconds = line.removesuffix("|").rpartition("|")
        lines.append(head if head.count("|") > 10 and NUMBER.fullmatch(seconds.strip()) else line)
    text = "\n".join(lines)
    numbers = [(float(m.group().replace(",", "")), _room(m, text)) for m in NUMBER.finditer(text)]
    return NUMBER.sub("#", text), numbers


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason="the published tables are not beside the checkout")
def test_the_small_page_is_what_the_command_makes(run, tmp_path):
    page, text = tmp_path / "page.md", DATA / "text"
    words = ["correlate", BOARDS, "-p", PROXIES, "--limit", 24, "--workers", 1, "--data", DATA, "-o", page]
    run(*words, "--text", text / "wikitext2_valid.txt", "--other-text", text / "tinyshakespeare.txt")
    if os.environ.get("UNTRAINED_PIN") == "1":
        SMALL.write_text(page.read_text(encoding="utf-8"), encoding="utf-8")
    (said, numbers), (wanted, pinned) = map(apart, (page.read_text("utf-8"), SMALL.read_text("utf-8")))
    assert said == wanted
    assert len(numbers) == len(pinned) > 300
    off = [(a, b) for (a, room), (b, _) in zip(numbers, pinned, strict=True) if abs(a - b) > room + 1e-9]
    assert not off


def test_the_comparison_of_pages_would_notice():
    page = SMALL.read_text(encoding="utf-8")
    words, numbers = apart(page)
    row = next(line for line in page.splitlines() if line.startswith("| fading_memory") and "yes" in line)
    assert apart(page.replace(row, row.replace(" yes ", " no ")))[0] != words
    worse = apart(page.replace(row, row.replace(" 0.", " 0.9", 1)))
    assert worse[0] == words
    assert any(abs(a - b) > room for (a, room), (b, _) in zip(worse[1], numbers, strict=True))
    slower = apart(page.replace(row, re.sub(r"\d+\.\d+ \|$", "9.999 |", row)))
    assert slower == (words, numbers)
