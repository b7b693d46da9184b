"""The dear end of a search: a loss after some updates as a metric, and the best few trained."""

import json
import math

import pytest

from untrained.core import registry
from untrained.studies.store import load
from untrained.testing import check_metric
from untrained.training.checkpoint import load_tensors, read_tensors

TINY = ["--scale", "paper:width=8,layers=1,vocabulary=260"]
FEW = "trained_loss:batch=4,length=16,steps=3"
SHORT = "causal_lm:steps=4,length=16,batch=4,eval_every=2,eval_windows=4"


@pytest.fixture
def store(run, tmp_path):
    words = ["--trials", "6", "--strategy", "random_search", "--store", tmp_path / "study.db"]
    run("search", "rnn_cell", "--maximize", "lag0_gain", *words)
    return tmp_path / "study.db"


def test_equal_seeds_give_equal_losses_and_the_network_stays(run, cells):
    words = ["score", "--arch", cells, *TINY, "--proxy", FEW, "--json"]
    one, two = (json.loads(run(*words).stdout) for _ in range(2))
    assert [r["value"] for r in one] == [r["value"] for r in two]
    assert {(r["better"], r["unit"], r["status"]) for r in one} == {("lower", "nats per byte", "ok")}
    assert all(r["value"] == pytest.approx(r["parts"]["untrained"] - r["parts"]["learned"]) for r in one)
    assert one[0]["parts"]["untrained"] == pytest.approx(math.log(260), abs=0.1)


@pytest.mark.parametrize("name", registry.names("trained"))
@pytest.mark.parametrize("space", registry.names("space"))
def test_a_trained_metric_leaves_the_network_alone(name, space, monkeypatch):
    metric = registry.get("trained", name)
    monkeypatch.setitem(registry._added, ("trained", name), metric.with_options(steps=2, batch=2, length=8))
    assert check_metric("trained", name, space, None).ok


def test_a_loss_after_training_can_be_searched_for(run, tmp_path):
    words = ["--trials", "5", "--strategy", "random_search", "--store", tmp_path / "s.db", *TINY]
    run("search", "rnn_cell", "--minimize", FEW, "--also", "lag0_gain", *words)
    study = load(tmp_path / "s.db")
    losses = [t.values[FEW] for t in study.trials]
    assert study.distinct()[0].values[FEW] == min(losses)


def test_it_is_the_dear_end_of_successive_halving(run, tmp_path):
    cheap, dear = "lag0_gain", FEW
    words = [
        "--strategy",
        "successive_halving:start=9",
        "--trials",
        24,
        "--batch",
        3,
        "--store",
        tmp_path / "s.db",
        *TINY,
    ]
    run("search", "rnn_cell", "--minimize", dear, "--fidelity", cheap, *words)
    trials = load(tmp_path / "s.db").trials
    looked = [t for t in trials if t.fidelity == 0]
    trained = [t for t in trials if t.fidelity is None]
    assert 0 < len(trained) < len(looked)
    assert all(dear not in t.values for t in looked)


def test_the_best_of_a_search_are_trained_and_the_best_of_them_is_kept(run, tmp_path, store):
    out = tmp_path / "out"
    words = ["train", store, "--top", 3, "-r", SHORT, *TINY, "-o", out]
    said = run(*words).stdout
    assert "3 trained, best first" in said
    assert max(map(len, said.replace(str(out), "OUT").splitlines())) <= 80
    ranking = json.loads((out / "ranking.json").read_text())
    ids = [t.architecture.id for t in load(store).distinct()[:3]]
    assert {r["arch"] for r in ranking} == set(ids)
    assert [ids[r["place"] - 1] for r in ranking] == [r["arch"] for r in ranking]
    losses = [r["marks"]["loss"] for r in ranking]
    assert losses == sorted(losses)
    kept = json.loads((out / "architecture.json").read_text())
    space = registry.get("space", "rnn_cell")()
    arch = next(t.architecture for t in load(store).distinct() if t.architecture.id == ranking[0]["arch"])
    assert json.loads(arch.to_json())["choices"] == kept["choices"]
    tensors, words_of = read_tensors(out / "weights.safetensors")
    load_tensors(space.build(arch, scale=kept["scale"]), tensors, "here")
    assert words_of["marks"]["loss"] == losses[0]
    before = {p.name: p.read_bytes() for p in out.iterdir() if p.is_file()}
    again = json.loads(run(*words, "--resume", "--json").stdout)
    assert [r["marks"] for r in again] == [r["marks"] for r in ranking]
    assert before["weights.safetensors"] == (out / "weights.safetensors").read_bytes()


def test_minutes_become_steps(run, tmp_path, cells):
    one = tmp_path / "one.jsonl"
    one.write_text(cells.read_text().splitlines()[0])
    words = ["train", "--arch", one, *TINY, "-r", SHORT.replace("eval_every=2", "eval_every=1000")]
    run(*words, "--minutes", "0.01", "-o", tmp_path / "out")
    settings = json.loads((tmp_path / "out" / "recipe.json").read_text())["settings"]
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert result["step"] == settings["steps"] >= 1
    run(*words, "--minutes", "0.01", "-o", tmp_path / "out", "--resume")


def test_where_all_diverge_nothing_is_kept(run, tmp_path, store):
    out = tmp_path / "out"
    recipe = SHORT.replace("steps=4", "steps=60") + ",peak_lr=1000,clip=0,warmup=0"
    said = run("train", store, "--top", 2, "-r", recipe, *TINY, "-o", out, code=1).stderr
    assert "could be trained" in said
    assert "diverged" in said
    assert not (out / "weights.safetensors").exists()
    assert {r["status"] for r in json.loads((out / "ranking.json").read_text())} == {"failed"}


def test_wrong_stores_are_told(wrong, tmp_path):
    assert "needs the store of a search" in wrong("train", "--top", 2, "-o", tmp_path / "out")
    assert "needs the store of a search" in wrong(
        "train", tmp_path / "no.db", "--top", 2, "-o", tmp_path / "o"
    )
    (tmp_path / "x.db").write_text("no store")
    assert "x.db" in wrong("train", tmp_path / "x.db", "--top", 2, "-o", tmp_path / "out")


def test_it_reads_the_text_of_the_search(run, tmp_path):
    (tmp_path / "a.txt").write_text("ab " * 5_000)
    words = ["score", "--recipe", "lstm", *TINY, "--proxy", "trained_loss:steps=60,peak_lr=0.03", "--json"]
    usual, own = (json.loads(run(*words, *more).stdout)[0] for more in ([], ["--text", tmp_path / "a.txt"]))
    assert usual["value"] > 2.5  # English
    assert own["value"] < 1.6  # three letters, ln 3 = 1.1
