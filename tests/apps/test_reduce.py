"""`untrained reduce`: planted effects are found and kept, nothing is found where there is nothing."""

import json
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from untrained.apps import api
from untrained.apps.reducing import wilson
from untrained.core.architecture import Architecture
from untrained.core.named import construct
from untrained.core.strategy import Ask
from untrained.core.study import Question
from untrained.studies import events
from untrained.studies.events import Outcome
from untrained.studies.store import Store, load

DATA = Path(__file__).parents[2] / ".." / "shared" / "data"


def stored(
    path: Path, score: Callable[[Architecture, Random], float], n: int = 160, name: str = "bert_encoder"
) -> Path:
    """A study with scores of our own."""
    rng, space = Random(0), construct("space", name)
    question = Question(name, (("magic", "higher"),), strategy="random_search")
    with Store(path, write=True) as log:
        log.append("question", events.question_body(question))
        for i in range(n):
            arch = space.sample(rng)
            outcome = Outcome("ok", {"magic": score(arch, rng)})
            log.append("trial", events.trial_body(events.judge(question, i, Ask(arch), outcome)))
    return path


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Only layers and hidden size decide."""
    path = tmp_path_factory.mktemp("planted") / "study.db"
    return stored(path, lambda a, rng: a.layers + a.hidden / 128 + rng.gauss(0, 0.2))


def test_it_finds_what_was_planted(run, planted):
    said = run("reduce", planted).stdout
    table = said[said.index("\nchoice ") : said.index("\nTwo choices")]
    verdicts = {line.split()[0]: line for line in table.strip().splitlines()}
    assert verdicts["layers"].endswith("  matters")
    assert verdicts["hidden"].endswith("  matters")
    assert verdicts["operation"].endswith("does not matter")
    assert "layers: 4; hidden: 256." in said
    assert "5,308,416 of 10,621,440 architectures (50 %)" in said
    assert "16 of the best 16 lie in it" in said
    assert "magic is a score of untrained networks, not their truth." in said
    assert max(map(len, said.splitlines()[1:])) <= 80  # the first has the path


def test_what_it_writes_is_searched(run, planted, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = run("reduce", planted, "-o", "space.json").stderr
    assert "search it: untrained search space.json" in told
    file = json.loads((tmp_path / "space.json").read_text())
    assert file["options"] == {"layers": [4], "hidden": [256]}
    assert file["from"]["held_out"]["kept"] == 16
    drawn = [json.loads(line) for line in run("sample", "space.json", "-n", 5).stdout.splitlines()]
    assert {(a["choices"]["layers"], a["choices"]["hidden"]) for a in drawn} == {(4, 256)}
    goal = ["--maximize", "depth_width_rank", "--strategy", "random_search"]
    run("search", "space.json", *goal, "--trials", 4, "--store", "again.db")
    study = load("again.db")
    assert {t.architecture.layers for t in study.trials} == {4}
    assert {t.architecture.space for t in study.trials} == {"bert_encoder"}
    run("search", "space.json", *goal, "--trials", 6, "--store", "again.db", "--resume")
    assert len(load("again.db").trials) == 6
    (tmp_path / "space.json").unlink()
    assert "params" in run("report", "again.db").stdout  # by the whole space


def test_idle_choices_are_fixed_on_request(run, planted):
    record = json.loads(run("reduce", planted, "--fix", "--json").stdout)
    assert {"operation", "heads"} <= set(record["fixed"])
    assert all(len(record["kept_options"][name]) == 1 for name in record["fixed"])
    assert record["size"] < record["whole"] / 1000
    assert "operation" not in json.loads(run("reduce", planted, "--json").stdout)["kept_options"]


def test_where_there_is_nothing_it_says_so(run, tmp_path):
    path = stored(tmp_path / "noise.db", lambda a, rng: rng.gauss(0, 1))
    said = run("reduce", path).stdout
    assert "Nothing was found: all choices together do not tell the order" in said.replace("\n", " ")
    assert "search the whole space" in said
    out = tmp_path / "space.json"
    told = run("reduce", path, "-o", out, code=1).stderr
    assert "no smaller space was found" in told
    assert not out.exists()


def test_cells_are_held_within_bounds(run, tmp_path):
    traits = construct("space", "rnn_cell").traits
    path = stored(
        tmp_path / "cells.db",
        lambda a, rng: rng.gauss(0, 0.3) - traits(a)["count linear"],
        name="rnn_cell",
    )
    out = tmp_path / "space.json"
    said = run("reduce", path, "-o", out).stdout
    assert "count linear: 1 to 2." in said
    assert "of random architectures lie in it" in said
    drawn = [Architecture.from_json(line) for line in run("sample", out, "-n", 8).stdout.splitlines()]
    assert all(traits(a)["count linear"] <= 2 for a in drawn)


def test_in_python(planted):
    found = api.reduce(planted, keep=0.2)
    assert found.effects.decide()[:2] == ["layers", "hidden"]
    assert found.space is not None
    assert found.space.sample(Random(0)).layers == 4
    assert found.held_out.best == 32


def test_a_search_that_was_no_random_draw_is_told(run, tmp_path):
    path = tmp_path / "evolved.db"
    api.search("bert_encoder", maximize="depth_width_rank", trials=30, store=path)
    assert "regularized_evolution looks more often" in run("reduce", path).stdout.replace("\n", " ")


def test_bad_input(wrong, planted, tmp_path):
    assert "not a share" in wrong("reduce", planted, "--keep", "0")
    assert "not a share" in wrong("reduce", planted, "--keep", "ten")
    assert "not a share" in wrong("reduce", planted, "--lose", "100%")
    assert "written as JSON" in wrong("reduce", planted, "-o", tmp_path / "space.txt")
    assert "no benchmark is called 'nas_bench_bret'. Did you mean 'nas_bench_bert'" in wrong(
        "reduce", "nas_bench_bret"
    )
    assert "--target and --space are for a benchmark" in wrong("reduce", planted, "--target", "glue")
    assert "there is no store" in wrong("reduce", tmp_path / "none.db")
    assert "too few to tell" in wrong("reduce", stored(tmp_path / "few.db", lambda a, r: 1.0 * a.layers, n=5))
    with Store(tmp_path / "empty.db", write=True) as log:
        log.append("question", events.question_body(Question("bert_encoder", (("magic", "higher"),))))
    assert "0 architectures are too few" in wrong("reduce", tmp_path / "empty.db")


def test_a_share_of_all_is_not_sure():
    low, high = wilson(30, 30)  # the textbook's: n / (n + z^2)
    assert low == pytest.approx(30 / (30 + 1.959964**2))
    assert high == 1
    assert wilson(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason="the published tables are not here")
def test_on_500_encoders_depth_and_width_decide_and_the_operation_does_not(run):
    record = json.loads(run("reduce", "nas_bench_bert", "--data", DATA, "--json").stdout)
    verdicts = {c["choice"]: c["verdict"] for c in record["choices"]}
    assert [c["choice"] for c in record["choices"]][:2] == ["layers", "hidden"]
    assert verdicts["layers"] == verdicts["hidden"] == "matters"
    assert verdicts["operation"] == "does not matter"
    assert record["kept_options"]["layers"] == [4]
    assert record["kept_options"]["hidden"] == [256]
    assert record["held_out"]["kept"] >= 0.9 * record["held_out"]["best"]
    assert record["held_out"]["inside"] < 0.4


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason="the published tables are not here")
def test_on_cells_nothing_is_left_out(run):
    said = run("reduce", "nas_bench_nlp", "--data", DATA).stdout
    assert "Nothing was found that could be left out" in said
