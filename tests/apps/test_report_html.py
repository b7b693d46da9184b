"""The report as a page: what is in it, of every state that a study may be in, and that names stay names."""

import json
import random
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from untrained.apps import api
from untrained.apps.report.findings import FRONT, along, from_store, from_study
from untrained.apps.report.html import html
from untrained.core.architecture import Architecture
from untrained.core.study import Question, Study, Trial
from untrained.studies.events import question_body, trial_body
from untrained.studies.store import Store

NASTY = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
VOID = {"meta", "br", "wbr", "img", "hr", "input", "link"}


class Page(HTMLParser):
    """Every element of a page; raises AssertionError where they are not nested rightly."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def encoder(
    rng: random.Random, number: int, status: str = "ok", reason: str | None = None, goals: int = 2
) -> Trial:
    """An encoder whose score is its depth and width, with some noise."""
    arch = api.space("bert_encoder").sample(rng)
    size = float(arch.layers * arch.hidden * 1_000)
    score = arch.layers + arch.hidden / 128 + rng.random() / 10
    good = status == "ok"
    values = {"magic": score, "params": size} if good else {}
    scores = (score, -size)[:goals] if good else ()
    return Trial(number, arch, status, values, score if good else None, scores, reason)


def study(n: int = 60, objectives=(("magic", "higher"), ("params", "lower")), **asked) -> Study:
    rng = random.Random(0)
    trials = [encoder(rng, i, goals=len(objectives)) for i in range(n)]
    return Study(Question("bert_encoder", objectives, version="9", **asked), trials, "there.db")


def test_a_page_holds_what_was_asked_and_found():
    found = from_study(study(where="params <= 8e6", seed=7))
    said = html(found)
    page = Page(said)
    text = re.sub(r"<[^>]+>", "", said)
    for words in (
        "Asked for much magic and little params, where params &lt;= 8e6.",
        "The winner",
        "What one gets for what",
        "Progress",
        "Which choices matter",
        "magic against size",
        "What went wrong",
        "How far to trust the order",
        "untrained search bert_encoder --maximize magic --minimize params --where",
        "--seed 7",
    ):
        assert words in text
    ids = {e.get("id") for e in page.all("section")}
    links = [a["href"] for a in page.all("a") if (a["href"] or "").startswith("#a-")]
    assert links
    assert all(link[1:] in ids for link in links)
    front = {f"#a-{t.architecture.id}" for t in found.front}
    assert front <= set(links)
    assert len(page.all("h1")) == 1
    assert page.all("html")[0]["lang"] == "en"
    assert found.effects is not None
    assert found.effects.decide()[:2] == ["layers", "hidden"]


def test_nothing_is_fetched_and_the_file_is_small():
    said = html(from_study(study(300)))
    assert len(said) < 5_000_000
    page = Page(said)
    assert not page.all("link")
    assert not page.all("img")
    assert not [s for s in page.all("script") if "src" in s]
    assert not re.search(r"url\(|@import|https?://(?!www\.w3\.org)", said)
    policy = next(m["content"] for m in page.all("meta") if "http-equiv" in m)
    assert "default-src 'none'" in (policy or "")


def test_names_stay_names():
    asked = Question(NASTY, ((NASTY, "higher"),), where="", strategy=NASTY, version=NASTY)
    trials = [
        Trial(
            i, Architecture.of(NASTY, **{NASTY: f"{NASTY}{i}"}), "ok", {NASTY: 1.0 * i}, 1.0 * i, (1.0 * i,)
        )
        for i in range(30)
    ]
    trials += [Trial(30, Architecture.of(NASTY, x=NASTY), "failed", reason=NASTY)]
    found = from_study(Study(asked, trials, NASTY))
    found.name = NASTY
    page = Page(html(found))
    assert not page.all("img")
    assert len([s for s in page.all("script") if not s]) == 1  # ours
    assert all(s["type"] == "application/json" for s in page.all("script") if s)


def test_an_empty_study_and_one_of_failures_only():
    empty = html(from_study(Study(Question("bert_encoder", (("magic", "higher"),)), [], "there.db")))
    Page(empty)
    assert "No trial was good" in empty
    assert "0 good architectures are too few to tell" in empty
    rng = random.Random(1)
    bad = [encoder(rng, i, "failed", f"magic: no {i % 2}") for i in range(40)]
    said = html(from_study(Study(Question("bert_encoder", (("magic", "higher"),)), bad, "there.db")))
    Page(said)
    assert "failed: magic: no 1" in said
    assert "There is nothing to draw: no trial was good." in said


def test_one_objective_has_no_front():
    found = from_study(study(objectives=(("magic", "higher"),)))
    assert found.front == []
    assert "What one gets for what" not in html(found)


def test_a_long_front_is_drawn_at_equal_distances():
    assert along(np.arange(100) * 2, 4) == [0, 66, 132, 198]
    assert along(np.arange(3), 30) == [0, 1, 2]
    assert along(np.empty(0, np.int64)) == []
    rng = random.Random(2)
    trials = [encoder(rng, i) for i in range(400)]
    flat = [
        Trial(
            t.number,
            t.architecture,
            "ok",
            {"magic": 1.0 * i, "params": 1.0 * i},
            1.0 * i,
            (1.0 * i, -1.0 * i),
        )
        for i, t in enumerate(trials)
    ]
    study = Study(Question("bert_encoder", (("magic", "higher"), ("params", "lower"))), flat)
    found, whole = from_study(study), len(study.front())
    assert whole > 200
    assert len(found.front) == FRONT
    assert {found.front[0].number, found.front[-1].number} == {399, study.front()[-1].number}
    said = html(found)
    assert f"{whole} of {whole} are not beaten in both values; " in said
    assert "A click on a large one leads to its drawing." in said
    assert f"{FRONT} of them, evenly along it, are listed and drawn" in said


def test_a_score_that_counts_parameters_is_said_to():
    trials = [t for t in study().trials if t.score is not None]
    only = [
        Trial(t.number, t.architecture, "ok", {"magic": t.values["params"], "params": t.values["params"]},
              t.values["params"], (t.values["params"],))
        for t in trials
    ]  # fmt: skip
    said = html(from_study(Study(Question("bert_encoder", (("magic", "higher"),)), only, "there.db")))
    assert "1.00 (1: it only counts them" in said


def test_a_study_that_is_being_written_is_read(tmp_path, run):
    path, out = tmp_path / "busy.db", tmp_path / "report.html"
    with Store(path, write=True) as log:
        log.append("question", question_body(study().question))
        log.flush()
        run("report", path, "-o", out, "--draws", 0)
        assert "No trial was good" in out.read_text()
        for trial in study(30).trials:
            log.append("trial", trial_body(trial))
        log.flush()
        run("report", path, "-o", out, "--draws", 0)
        assert "<dt>trials</dt><dd>30</dd>" in out.read_text()
    in_memory, stored = from_study(study(30)), from_store(path)
    assert in_memory.points.numbers.tolist() == stored.points.numbers.tolist()
    assert in_memory.effects == stored.effects
    assert [t.architecture for t in in_memory.front] == [t.architecture for t in stored.front]


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("searched") / "study.db"
    goals = {"maximize": "depth_width_rank", "minimize": "params"}
    api.search("bert_encoder", trials=40, seed=1, strategy="random_search", store=path, **goals)
    return path


def test_the_winner_has_its_spread(run, searched, tmp_path):
    out = tmp_path / "report.html"
    api.search("rnn_cell", trials=3, seed=1, store=tmp_path / "cells.db")
    result = run("report", tmp_path / "cells.db", "-o", out, "--draws", 2)
    assert result.stderr == f"written: {out}\n"
    assert len(re.findall(r"<dt>over 2 draws</dt><dd>[\d.]+ ± [\d.e-]+</dd>", out.read_text())) >= 3
    run("report", searched, "-o", out, "--draws", 0)
    assert "draws</dt>" not in out.read_text()


def test_another_text_gives_no_spread(run, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("the cat sat on the mat and looked at the dog " * 300)
    api.search("rnn_cell", trials=2, seed=1, store=tmp_path / "cells.db", text=text)
    out = tmp_path / "report.html"
    assert "name it: --text FILE" in run("report", tmp_path / "cells.db", "-o", out).stderr
    run("report", tmp_path / "cells.db", "-o", out, "--text", text, "--draws", 2)
    assert "over 2 draws" in out.read_text()


def test_every_format(run, searched, tmp_path):
    record = json.loads(run("report", searched, "--format", "json").stdout)
    assert record == json.loads(run("report", searched, "--json").stdout)
    assert run("report", searched, "--format", "md").stdout.startswith("# Search of bert_encoder\n")
    page = run("report", searched, "--format", "html", "--draws", 0).stdout
    assert page.startswith("<!doctype html>")
    run("report", searched, "-o", tmp_path / "all.JSON")
    assert json.loads((tmp_path / "all.JSON").read_text()) == record
    run("report", searched, "-o", tmp_path / "plain.txt", "--format", "html", "--draws", 0)
    assert (tmp_path / "plain.txt").read_text() == page


def test_a_picture(run, searched, tmp_path):
    pytest.importorskip("matplotlib")
    run("report", searched, "-o", tmp_path / "report.png")
    data = (tmp_path / "report.png").read_bytes()
    assert data.startswith(b"\x89PNG")
    assert len(data) > 20_000


def test_no_permission(wrong, searched, tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: False)  # root may write everywhere
    assert "nothing may be written there" in wrong("report", searched, "-o", tmp_path / "report.html")


def test_what_cannot_be_reported_on(wrong, searched, tmp_path):
    assert "mkdir -p" in wrong("report", searched, "-o", tmp_path / "nowhere" / "report.html")
    assert "there is no store" in wrong("report", tmp_path / "no.db", "-o", tmp_path / "report.html")
    other = tmp_path / "other.db"
    other.write_text("not a database")
    assert "is not a database" in wrong("report", other, "-o", tmp_path / "report.html")
    assert "has no study 'b'" in wrong("report", searched, "--study", "b", "-o", tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()
