"""`untrained correlate` and `untrained data`, on eight trained cells in the published layout."""

import csv
import json
from pathlib import Path

import pytest

from untrained import benchmarks
from untrained.apps import correlation

WANT = {"proxy", "target", "n", "failed", "tau", "tau_low", "tau_high", "rho", "tau_better_half"}
WANT |= {"top10_overlap", "hard_pairs", "hard_pairs_n", "seconds_per_arch", "beats_size"}
CORRELATE = ["correlate", "nas_bench_nlp", "--workers", "1", "--data"]


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    """Intervals from a few resamples; the numbers are not what is tested here."""
    monkeypatch.setattr(correlation, "DRAWS", 20)


def test_correlate_prints_a_table_per_truth(run, data):
    said = run(*CORRELATE, data, "--proxy", "fading_memory").stdout
    for target in ("wikitext2_val_loss", "wikitext2_test_loss", "ptb_test_loss"):
        assert f"{target} (nats per token, lower is better)\nscore " in said
    for score in ("fading_memory", "fading_memory.memory", "params", "params_nonembedding", "flops", "nodes"):
        assert said.count(f"\n{score} ") == 3
    assert "8 networks with a known architecture, 7 distinct: 1 are twins" in said


def test_correlate_as_json(run, data):
    records = json.loads(run(*CORRELATE, data, "-p", "fading_memory", "--limit", 5, "--json").stdout)
    assert all(r.keys() >= WANT for r in records)
    assert {r["n"] for r in records} == {5}
    assert {"fading_memory", "params", "flops"} <= {r["proxy"] for r in records}


def test_published_values_are_correlated_without_building_anything(run, data):
    records = json.loads(run(*CORRELATE, data, "-p", "published:all", "--json").stdout)
    assert sum(r["proxy"].startswith("published:") for r in records) == 3 * 12
    only = json.loads(run(*CORRELATE, data, "-p", "published:hidden_covariance.layer2", "--json").stdout)
    assert {r["proxy"] for r in only if r["proxy"].startswith("published:")} == {
        "published:hidden_covariance.layer2"
    }


def test_all_is_every_proxy_and_the_default(run, data, monkeypatch):
    from untrained.apps import api

    asked = []
    real = api.correlate
    monkeypatch.setattr(
        api, "correlate", lambda name, proxies, **o: asked.append(proxies) or real(name, ["lag0_gain"], **o)
    )
    run(*CORRELATE, data)
    run(*CORRELATE, data, "-p", "all,params")
    assert asked == [["all"], ["all", "params"]]


def test_scores_go_to_a_file(run, data, tmp_path):
    path = tmp_path / "scores.csv"
    result = run(*CORRELATE, data, "-p", "lag0_gain", "--scores", path)
    assert result.stderr == f"written: {path}\n"
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert len(rows) == 8
    assert rows[0].keys() >= {"id", "key", "lag0_gain", "params", "wikitext2_val_loss"}
    assert [p.name for p in tmp_path.iterdir()] == ["scores.csv"]


@pytest.mark.parametrize("versus", ["lag0_gain", "params", "nodes", "fading_memory.live"])
def test_versus_is_scored_where_it_was_not_asked_for(run, data, versus):
    words = [*CORRELATE, data, "-p", "fading_memory", "--versus", versus]
    records = json.loads(run(*words, "--json").stdout)
    assert all(r["minus_versus_low"] <= r["minus_versus"] <= r["minus_versus_high"] for r in records)
    assert {r["minus_versus"] for r in records if r["proxy"] == versus} == {0.0}
    assert " versus " in run(*words).stdout


def test_when_no_score_has_a_number_the_work_has_failed(run, data):
    result = run(*CORRELATE, data, "-p", "hidden_covariance:layer=9", code=1)
    assert "none of these scores has a number for any network: hidden_covariance:layer=9" in result.stderr
    assert "layers 1 to 3" in result.stderr


WRONG = {
    "no such benchmark": (["correlate", "nope"], "untrained list benchmark"),
    "limit of two": ([*CORRELATE, ".", "--limit", "2"], "--limit"),
    "no seeds": ([*CORRELATE, ".", "--seeds", "0"], "--seeds"),
    "no data": ([*CORRELATE, "."], "untrained data get nas_bench_nlp"),
    "no such folder": ([*CORRELATE, ".", "--scores", "nowhere/x.csv"], "mkdir -p"),
    "scores to a folder": ([*CORRELATE, ".", "--scores", "."], "this is a folder"),
    "get of nothing": (["data", "get", "nope"], "untrained list benchmark"),
    "verify of nothing": (["data", "verify", "nope"], "untrained list benchmark"),
}


@pytest.mark.parametrize(("words", "said"), WRONG.values(), ids=WRONG)
def test_wrong_use(wrong, words, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert said in wrong(*words)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-p", "published:nope"], "no published metric is called 'nope'"),
        (["-p", "fading_memry"], "Did you mean 'fading_memory'"),
        (["--scale", "huge"], "no scale is called 'huge'"),
        (["--text", "nothing.txt"], "cannot read the text"),
    ],
)
def test_wrong_names(wrong, data, words, said):
    assert said in wrong(*CORRELATE, data, *words)


def test_an_unknown_score_to_compare_with_is_said_before_the_work(wrong, data):
    assert "Did you mean 'nodes'?" in wrong(*CORRELATE, data, "--versus", "nods")


def test_data_list_says_what_is_here(run, data, tmp_path):
    def mine(folder) -> list[str]:
        lines = run("data", "list", "--data", folder).stdout.splitlines()
        return [line for line in lines if line.startswith("nas_bench_nlp ")]

    assert [line.split()[-1] for line in mine(data)] == [
        str(data / name) for name in ("wikitext2_logs.zip", "RNN_results.csv")
    ]
    assert all(line.endswith(" not here") for line in mine(tmp_path))
    assert "untrained data get NAME" in run("data", "list", "--data", tmp_path).stdout
    records = json.loads(run("data", "list", "--data", tmp_path, "--json").stdout)
    assert {r["path"] for r in records} == {None}
    assert all(r["url"].startswith("https://") and len(r["sha256"]) in {0, 64} for r in records)


def test_data_verify_says_both_hashes(run, data):
    result = run("data", "verify", "nas_bench_nlp", "--data", data, code=1)
    assert result.stdout.count("published ") == result.stdout.count("found ") == 2
    assert "wikitext2_logs.zip differs, RNN_results.csv differs" in result.stderr
    assert "untrained data get nas_bench_nlp" in result.stderr


def test_data_verify_of_files_that_are_not_there(run, tmp_path, monkeypatch):
    monkeypatch.setenv("UNTRAINED_DATA", str(tmp_path))
    result = run("data", "verify", "nas_bench_nlp", "--json", code=1)
    records = json.loads(result.stdout)
    assert [(r["status"], r["sha256_found"]) for r in records] == [("missing", None)] * 2
    assert all(str(tmp_path) in r["path"] for r in records)
    assert "wikitext2_logs.zip is missing" in result.stderr


def test_data_verify_of_the_published_files(run, data, monkeypatch):
    import hashlib
    from dataclasses import replace

    from untrained.core import registry

    table = registry.get("benchmark", "nas_bench_nlp")
    same = [replace(f, sha256=hashlib.sha256((data / f.name).read_bytes()).hexdigest()) for f in table.files]
    monkeypatch.setattr(table, "files", tuple(same))
    result = run("data", "verify", "nas_bench_nlp", "--data", data)
    assert result.stdout.count("ok  ") == 2
    assert result.stderr == ""


def test_data_get_prints_where_the_files_are(run, monkeypatch, tmp_path):
    seen = []

    def get(benchmark, into, progress):
        seen.append((benchmark.name, into))
        progress(benchmark.files[0], 5, 10)
        return [Path(into or "cache") / f.name for f in benchmark.files]

    monkeypatch.setattr(benchmarks, "get", get)
    said = run("data", "get", "nas_bench_nlp", "--data", tmp_path).stdout
    assert said == f"{tmp_path / 'wikitext2_logs.zip'}\n{tmp_path / 'RNN_results.csv'}\n"
    records = json.loads(run("data", "get", "nas_bench_nlp", "--json").stdout)
    assert [r["file"] for r in records] == ["wikitext2_logs.zip", "RNN_results.csv"]
    assert seen == [("nas_bench_nlp", tmp_path), ("nas_bench_nlp", None)]
